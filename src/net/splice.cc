// SPDX-License-Identifier: Apache-2.0
#include "net/splice.h"

#include <utility>

namespace pelton::net {
namespace {

/// What may wait for one side before the other is not read any more.
constexpr size_t kMaxQueue = 256 * 1024;

}  // namespace

Splice::Splice(world::Timers& timers, std::unique_ptr<world::Connection> a,
               std::unique_ptr<world::Connection> b, std::function<void()> ended,
               base::Duration patience)
    : patience_(patience), linger_(timers), ended_(std::move(ended)) {
  a_.connection = std::move(a);
  b_.connection = std::move(b);
  start(a_, b_);
  start(b_, a_);
}

Splice::~Splice() = default;

void Splice::start(Side& from, Side& to) {
  from.connection->start(
      {.on_data = [this, &from, &to](std::string_view bytes) { on_data(from, to, bytes); },
       .on_end = [this, &from, &to](const base::Status& status) { on_end(from, to, status); },
       .on_drained = [this, &to] { on_drained(to); }});
}

void Splice::on_data(Side& from, Side& to, std::string_view bytes) {
  to.connection->send(bytes);
  if (to.connection->queued_bytes() <= kMaxQueue || from.is_paused) return;
  from.is_paused = true;
  from.connection->pause_reading();
}

/// The other side has taken everything that came from this one.
void Splice::on_drained(Side& from) {
  if (is_ending_) return end();
  if (std::exchange(from.is_paused, false)) from.connection->resume_reading();
}

void Splice::on_end(Side& from, Side& to, const base::Status& status) {
  from.has_ended = true;
  if (is_ending_) return end();  // it takes no more
  to.connection->finish();
  // A side that broke takes no answer, and may be what keeps the other waiting.
  if (to.has_ended || !status.ok()) end_when_taken(to);
}

void Splice::end_when_taken(const Side& last) {
  if (last.connection->queued_bytes() == 0) return end();
  is_ending_ = true;
  linger_.start(patience_, [this] { end(); });
}

void Splice::end() {
  if (const auto ended = std::exchange(ended_, nullptr)) ended();
}

}  // namespace pelton::net
