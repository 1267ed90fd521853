// SPDX-License-Identifier: Apache-2.0
// Writes a file from its begin to its end, in blocks of 2 MiB off the loop: whoever has the next
// bytes does not wait for the file system, and memory whose huge pages are written whole is not
// zeroed first.
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "world/files.h"

namespace pelton::agent {

class BlockWriter {
 public:
  /// `on_written` comes on the loop after each block; after an error nothing more is written.
  BlockWriter(std::unique_ptr<world::File> file, uint64_t size,
              std::function<void(base::Status)> on_written);
  /// What is being written is written still, and nobody is told.
  ~BlockWriter();
  BlockWriter(const BlockWriter&) = delete;
  BlockWriter& operator=(const BlockWriter&) = delete;

  /// The bytes that follow, no more than `size` in all.
  void add(std::string_view bytes);
  /// One block is being written and another waits: whoever can should wait for on_written.
  bool is_busy() const { return !waiting_.empty(); }
  bool is_done() const { return added_ == size_ && written_ == size_; }

 private:
  static constexpr size_t kBlock = size_t{2} << 20;
  struct Block {
    std::string bytes;
    size_t filled = 0;
    bool is_free = true;
  };
  void take_block();
  void write_next();
  void on_end(const Block& block, base::Status status);

  std::unique_ptr<world::File> file_;
  uint64_t size_, added_ = 0, written_ = 0;
  std::function<void(base::Status)> on_written_;
  std::vector<std::shared_ptr<Block>> blocks_;  ///< used again and again
  std::shared_ptr<Block> filling_;
  std::deque<std::shared_ptr<Block>> waiting_;
  bool is_writing_ = false;  ///< one at a time: the file system lets no two into one file
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace pelton::agent
