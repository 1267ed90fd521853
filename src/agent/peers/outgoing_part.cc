// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/outgoing_part.h"

#include <algorithm>
#include <utility>

#include "base/json.h"

namespace pelton::agent {
namespace {

/// Not sent yet. The kernel has its own buffers besides, which keep the line busy; what waits here
/// leaves the processor's cache.
constexpr size_t kMaxQueued = size_t{256} << 10;
constexpr size_t kPiece = size_t{128} << 10;
/// In one turn of the loop: others want theirs too.
constexpr size_t kPerTurn = size_t{4} << 20;
/// A peer that takes nothing for so long is given up.
constexpr base::Duration kStall = base::Duration::seconds(30);

}  // namespace

base::Result<std::unique_ptr<OutgoingPart>> OutgoingPart::make(world::World world,
                                                               const std::string& manifest,
                                                               const std::string& data) {
  std::unique_ptr<OutgoingPart> part(new OutgoingPart(world));
  // Whoever can write there could have put a link there.
  for (const std::string& path : {manifest, data}) {
    PELTON_ASSIGN(const std::string real, world.files.real_path(path));
    if (real != path) return base::invalid_argument(path + ": leads elsewhere");
  }
  PELTON_ASSIGN(const std::string text, world.files.read(manifest));
  PELTON_ASSIGN(part->data_, world.files.open(data, world::OpenMode::Read));
  PELTON_ASSIGN(part->size_, part->data_->size());
  part->head_ = base::Json::object({{"manifest", static_cast<int64_t>(text.size())},
                                    {"data", static_cast<int64_t>(part->size_)}})
                    .dump() +
                "\n" + text;
  return part;
}

void OutgoingPart::start(std::unique_ptr<world::Connection> connection,
                         std::function<void()> done) {
  connection_ = std::move(connection);
  done_ = std::move(done);
  connection_->start({.on_data = [](std::string_view) {},
                      .on_end = [this](const base::Status&) { end(); },
                      .on_drained = [this] { pump(); }});
  connection_->send(std::exchange(head_, {}));
  buffer_.resize(kPiece);
  pump();
}

void OutgoingPart::pump() {
  if (!connection_ || sent_ == size_) return;
  stalled_.start(kStall, [this] { end(); });
  for (size_t turn = 0; turn < kPerTurn && sent_ < size_; turn += kPiece) {
    if (connection_->queued_bytes() >= kMaxQueued) return;  // goes on in on_drained
    const auto read =
        data_->read_into(sent_, buffer_.data(), std::min<uint64_t>(kPiece, size_ - sent_));
    // It was made shorter: the peer sees an end before the end.
    if (!read.ok() || *read == 0) return next_.start(base::Duration(), [this] { end(); });
    connection_->send(std::string_view(buffer_).substr(0, *read));
    sent_ += *read;
  }
  if (sent_ == size_) return connection_->finish();
  next_.start(base::Duration(), [this] { pump(); });
}

void OutgoingPart::end() {
  connection_.reset();
  if (const auto done = std::exchange(done_, nullptr)) done();
}

}  // namespace pelton::agent
