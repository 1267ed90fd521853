// SPDX-License-Identifier: Apache-2.0
#include "launch/heartbeat_page.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>

#include "os/test_world.h"

namespace pelton::launch {
namespace {

/// What python/pelton/heartbeat.py does, into memory that a reader sees.
class Writer {
 public:
  explicit Writer(std::string& page) : page_(page) {}
  void begin_slot() { put(slot(), next_ + 1); }
  void write(int64_t at, int64_t step, Phase phase) {
    put(slot() + 8, at);
    put(slot() + 16, step);
    put(slot() + 24, static_cast<uint64_t>(phase));
    begin_slot();
    ++next_;
    put(32, next_);
  }

 private:
  size_t slot() const { return kPageHeader + kPageRecord * (next_ % kPageCapacity); }
  template <typename T>
  void put(size_t offset, T value) {
    std::atomic_ref(*reinterpret_cast<T*>(page_.data() + offset))
        .store(value, std::memory_order_release);
  }
  std::string& page_;
  uint64_t next_ = 0;
};

std::vector<Beat> read(PageReader& reader, const std::string& page) {
  std::vector<Beat> beats;
  reader.read(page, beats);
  return beats;
}

TEST(HeartbeatPage, EachRecordIsReadOnceAndInOrder) {
  std::string page = make_page(3, 7);
  ASSERT_TRUE(PageReader::check(page, 3, 7).ok());
  Writer writer(page);
  PageReader reader;
  EXPECT_TRUE(read(reader, page).empty());
  writer.write(10, -1, Phase::Start);
  writer.write(20, 0, Phase::Step);
  EXPECT_EQ(read(reader, page), (std::vector<Beat>{{10, -1, Phase::Start}, {20, 0, Phase::Step}}));
  EXPECT_TRUE(read(reader, page).empty());
  writer.write(30, 1, Phase::Step);
  EXPECT_EQ(read(reader, page), (std::vector<Beat>{{30, 1, Phase::Step}}));
  PageReader successor;
  EXPECT_EQ(read(successor, page).size(), 3u);
}

TEST(HeartbeatPage, WhoReadsTooLateLosesTheOldestOnly) {
  std::string page = make_page(1, 0);
  Writer writer(page);
  PageReader reader;
  const int64_t total = int64_t{kPageCapacity} * 2 + 5;
  for (int64_t i = 0; i < total; ++i) writer.write(i, i, Phase::Step);
  const std::vector<Beat> beats = read(reader, page);
  // The oldest that is still there may be being overwritten by a record that is not counted yet.
  ASSERT_EQ(beats.size(), kPageCapacity - 1);
  EXPECT_EQ(beats.back().step, total - 1);
  EXPECT_EQ(beats.front().step, total - kPageCapacity + 1);
  EXPECT_EQ(reader.lost(), static_cast<uint64_t>(total) - beats.size());
}

TEST(HeartbeatPage, ATornRecordIsDropped) {
  std::string page = make_page(1, 0);
  Writer writer(page);
  for (int i = 0; i < 4; ++i) writer.write(i, i, Phase::Step);
  const uint64_t other = 77;
  std::memcpy(page.data() + kPageHeader + kPageRecord * 1, &other, sizeof other);
  PageReader reader;
  const std::vector<Beat> beats = read(reader, page);
  ASSERT_EQ(beats.size(), 2u);
  EXPECT_EQ(beats[0].step, 2);
  EXPECT_EQ(reader.lost(), 2u);
}

class FastWriterTest : public os::RealWorldTest {};

TEST_F(FastWriterTest, NeverShowsAWrongRecord) {
  std::string page = make_page(1, 0);
  constexpr int64_t kTotal = 300'000;
  std::atomic<bool> has_ended = false;
  world().executor.run(
      [&] {
        Writer writer(page);
        for (int64_t i = 0; i < kTotal; ++i) writer.write(i * 3, i, Phase::Step);
        has_ended = true;
      },
      [this] { stop(); });
  PageReader reader;
  int64_t last = -1;
  uint64_t seen = 0;
  for (bool is_last = false; !is_last;) {
    is_last = has_ended;
    for (const Beat& beat : read(reader, page)) {
      EXPECT_GT(beat.step, last);
      EXPECT_EQ(beat.at_ns, beat.step * 3);
      last = beat.step;
      ++seen;
    }
  }
  run();
  EXPECT_EQ(last, kTotal - 1);
  EXPECT_EQ(seen + reader.lost(), static_cast<uint64_t>(kTotal));
}

TEST(HeartbeatPage, APageOfAnotherVersionGenerationOrRankIsRefused) {
  std::string page = make_page(3, 7);
  EXPECT_FALSE(PageReader::check(page, 2, 7).ok());
  EXPECT_FALSE(PageReader::check(page, 3, 6).ok());
  EXPECT_FALSE(PageReader::check(page.substr(1), 3, 7).ok());
  page[8] = 2;
  EXPECT_FALSE(PageReader::check(page, 3, 7).ok());
}

TEST(HeartbeatPage, PhasesHaveNames) {
  EXPECT_STREQ(phase_name(Phase::Collective), "collective");
  EXPECT_STREQ(phase_name(Phase{1000}), "other");
}

TEST(HeartbeatPage, SaysWhenTheInterpreterLetAnotherThreadRun) {
  std::string page = make_page(1, 0);
  EXPECT_EQ(tick_in(page).at_ns, 0);
  page.replace(kPageTicks, 8, std::string(8, '\1'));
  EXPECT_EQ(tick_in(page).at_ns, 0x0101010101010101);
  EXPECT_FALSE(tick_in(page).collects_garbage);
  page[kPageTicks + 8] = 1;
  EXPECT_TRUE(tick_in(page).collects_garbage);
  EXPECT_EQ(tick_in(page.substr(0, kPageTicks)).at_ns, 0) << "one without";
}

TEST(HeartbeatPage, AsksForASaveAndHoldsTheAnswer) {
  std::string page = make_page(1, 0);
  EXPECT_FALSE(save_request_in(page));
  EXPECT_FALSE(save_answer_in(page).is_looking);
  const base::Instant by = base::Instant::from_unix_ns(1'700'000'000'123'000'000);
  page.replace(kPageAsks, 8, save_request(by));
  page.replace(kPageMayAgree, 8, may_agree());
  EXPECT_EQ(save_request_in(page), by);
  page[56] = 1;
  EXPECT_TRUE(save_answer_in(page).is_looking);
  EXPECT_EQ(save_answer_in(page).saved_step, -1);
  page[56] = 9;
  EXPECT_EQ(save_answer_in(page).saved_step, 7);
  page.replace(kPageAsks, 8, std::string(8, '\x7f'));
  EXPECT_FALSE(save_request_in(page)) << "no time that there is";
}

}  // namespace
}  // namespace pelton::launch
