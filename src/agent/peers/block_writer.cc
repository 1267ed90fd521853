// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/block_writer.h"

#include <algorithm>
#include <utility>

namespace pelton::agent {

BlockWriter::BlockWriter(std::unique_ptr<world::File> file, uint64_t size,
                         std::function<void(base::Status)> on_written)
    : file_(std::move(file)), size_(size), on_written_(std::move(on_written)) {}

BlockWriter::~BlockWriter() = default;

void BlockWriter::take_block() {
  const auto free = std::find_if(blocks_.begin(), blocks_.end(),
                                 [](const auto& block) { return block->is_free; });
  if (free != blocks_.end()) {
    filling_ = *free;
  } else {
    filling_ = blocks_.emplace_back(std::make_shared<Block>());
    filling_->bytes.resize(std::min<uint64_t>(kBlock, size_));
  }
  filling_->is_free = false;
  filling_->filled = 0;
}

void BlockWriter::add(std::string_view bytes) {
  while (!bytes.empty() && added_ < size_) {
    if (!filling_) take_block();
    const size_t room = std::min<uint64_t>(kBlock - filling_->filled, size_ - added_);
    const size_t taken = bytes.copy(filling_->bytes.data() + filling_->filled, room);
    bytes.remove_prefix(taken);
    filling_->filled += taken;
    added_ += taken;
    if (filling_->filled < kBlock && added_ < size_) continue;
    waiting_.push_back(std::exchange(filling_, nullptr));
    write_next();
  }
}

void BlockWriter::write_next() {
  if (is_writing_ || waiting_.empty()) return;
  is_writing_ = true;
  const std::shared_ptr<Block> block = waiting_.front();
  waiting_.pop_front();
  file_->write_later(written_, std::string_view(block->bytes).substr(0, block->filled),
                     [this, block, alive = std::weak_ptr(alive_)](base::Status status) {
                       block->is_free = true;
                       if (!alive.expired()) on_end(*block, std::move(status));
                     });
}

void BlockWriter::on_end(const Block& block, base::Status status) {
  is_writing_ = false;
  if (status.ok()) {
    written_ += block.filled;
    write_next();
  }
  const auto tell = on_written_;  // which may destroy this
  tell(std::move(status));
}

}  // namespace pelton::agent
