// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/block_writer.h"

#include <gtest/gtest.h>

#include <deque>

#include "base/rng.h"

namespace pelton::agent {
namespace {

constexpr size_t kBlock = size_t{2} << 20;

/// Ends a write when it is told to.
class SlowFile final : public world::File {
 public:
  struct Write {
    uint64_t offset;
    std::string_view bytes;
    Done done;
  };
  explicit SlowFile(std::deque<Write>& writes) : writes_(writes) {}
  base::Status write_at(uint64_t, std::string_view) override { return base::ok(); }
  base::Result<std::string> read_at(uint64_t, size_t) override { return std::string(); }
  void write_later(uint64_t offset, std::string_view bytes, Done done) override {
    writes_.push_back({offset, bytes, std::move(done)});
  }
  base::Result<uint64_t> size() override { return 0; }
  base::Status truncate(uint64_t) override { return base::ok(); }
  void sync(Done) override {}

 private:
  std::deque<Write>& writes_;
};

class BlockWriterTest : public ::testing::Test {
 protected:
  BlockWriterTest() : content_(3 * kBlock + 12'345, '\0') {
    base::Rng rng(5);
    for (char& each : content_) each = static_cast<char>(rng.next());
    writer_ = std::make_unique<BlockWriter>(
        std::make_unique<SlowFile>(writes_), content_.size(),
        [this](const base::Status& status) { told_.push_back(status); });
  }
  void add_until(size_t end) {
    for (; at_ < end; at_ += std::min<size_t>(65'000, end - at_)) {
      writer_->add(std::string_view(content_).substr(at_, std::min<size_t>(65'000, end - at_)));
    }
  }
  void end_write(base::Status status = base::ok()) {
    ASSERT_FALSE(writes_.empty());
    const SlowFile::Write write = std::move(writes_.front());
    writes_.pop_front();
    written_.resize(std::max<size_t>(written_.size(), write.offset + write.bytes.size()));
    write.bytes.copy(written_.data() + write.offset, write.bytes.size());
    write.done(std::move(status));
  }

  std::string content_, written_;
  size_t at_ = 0;
  std::deque<SlowFile::Write> writes_;
  std::vector<base::Status> told_;
  std::unique_ptr<BlockWriter> writer_;
};

TEST_F(BlockWriterTest, WritesWholeBlocksInOrderOneAtATime) {
  add_until(kBlock - 1);
  EXPECT_TRUE(writes_.empty());
  add_until(2 * kBlock + 7);
  ASSERT_EQ(writes_.size(), 1U) << "the second waits for the first";
  EXPECT_EQ(writes_[0].bytes.size(), kBlock);
  EXPECT_TRUE(writer_->is_busy());
  end_write();
  EXPECT_FALSE(writer_->is_busy());
  add_until(content_.size());
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(writer_->is_done());
    ASSERT_EQ(writes_.size(), 1U);
    end_write();
  }
  EXPECT_TRUE(writer_->is_done());
  EXPECT_EQ(told_.size(), 4U);
  EXPECT_TRUE(written_ == content_);
}

TEST_F(BlockWriterTest, AfterAnErrorNothingMoreIsWritten) {
  add_until(content_.size());
  end_write({base::Code::ResourceExhausted, "full"});
  EXPECT_TRUE(writes_.empty());
  ASSERT_EQ(told_.size(), 1U);
  EXPECT_EQ(told_[0].code(), base::Code::ResourceExhausted);
  EXPECT_FALSE(writer_->is_done());
}

TEST_F(BlockWriterTest, WhatIsBeingWrittenStaysValidWhereTheWriterGoes) {
  add_until(kBlock);
  writer_.reset();
  end_write();
  EXPECT_TRUE(written_ == content_.substr(0, kBlock));
  EXPECT_TRUE(told_.empty()) << "nobody is told";
}

}  // namespace
}  // namespace pelton::agent
