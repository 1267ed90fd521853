// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pelton::decide::checkpoint {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

/// A log that is written as directories are: the next number, whatever the writer thinks.
class Log {
 public:
  int64_t fence(const std::string& run, int64_t generation) {
    Record record;
    record.job = "job";
    record.run = run;
    record.generation = generation;
    return append(record);
  }
  int64_t commit(int64_t step, int64_t epoch) {
    Record record;
    record.kind = Record::Kind::Committed;
    record.epoch = epoch;
    record.commit = make(step, epoch);
    return append(record);
  }
  static Commit make(int64_t step, int64_t epoch) {
    return {step, epoch, step_directory(step, epoch), 2, "plan"};
  }
  int64_t append(const Record& record) {
    state.add(++number_, record_of(to_json(record)).value());
    return number_;
  }
  LogState state;

 private:
  int64_t number_ = 0;
};

TEST(CheckpointLog, ACommitOfAnOlderEpochDoesNotCountWhereverItLands) {
  Log log;
  const int64_t first = log.fence("run", 1);
  log.commit(10, first);
  const int64_t second = log.fence("run", 2);
  log.commit(20, first);
  ASSERT_NE(log.state.newest(), nullptr);
  EXPECT_EQ(log.state.newest()->step, 10);
  EXPECT_EQ(decide_commit(log.state, Log::make(20, first)).reason(), "Fenced");
  EXPECT_TRUE(decide_commit(log.state, Log::make(20, second)).ok());
  EXPECT_EQ(decide_commit(log.state, Log::make(10, first)).code(), base::Code::AlreadyExists);
}

TEST(CheckpointLog, WhoBeganAgainFromAnOlderStepIsNotOvertakenByWhatItLeft) {
  Log log;
  const int64_t first = log.fence("run", 1);
  log.commit(20, first);
  const int64_t second = log.fence("run", 2);
  log.commit(12, second);
  EXPECT_EQ(log.state.newest()->step, 12);
}

TEST(CheckpointLog, PeersJoinAndOlderGenerationsAndRunsAreOver) {
  Log log;
  EXPECT_FALSE(decide_begin(log.state, {"job", "a", 1}).value().has_value());
  log.fence("a", 1);
  const int64_t epoch = log.fence("a", 2);
  EXPECT_EQ(decide_begin(log.state, {"job", "a", 2}).value(), epoch);
  EXPECT_FALSE(decide_begin(log.state, {"job", "a", 3}).value().has_value());
  EXPECT_EQ(decide_begin(log.state, {"job", "a", 1}).status().reason(), "Fenced");
  EXPECT_EQ(decide_begin(log.state, {"other", "a", 3}).status().reason(), "OtherJob");
  log.fence("b", 1);
  EXPECT_EQ(decide_begin(log.state, {"job", "a", 9}).status().reason(), "Fenced");
  EXPECT_TRUE(decide_begin(log.state, {"job", "b", 1}).value().has_value());
}

TEST(CheckpointLog, AStateRecordStandsForAllBeforeIt) {
  Log log;
  log.fence("a", 1);
  const int64_t epoch = log.fence("b", 4);
  log.commit(10, epoch);
  log.commit(20, epoch);
  LogState later;
  later.add(log.state.last + 1, record_of(to_json(log.state.to_record())).value());
  EXPECT_EQ(later.epoch, epoch);
  EXPECT_EQ(later.commits, log.state.commits);
  EXPECT_EQ(decide_begin(later, {"job", "a", 9}).status().reason(), "Fenced");
  EXPECT_EQ(decide_begin(later, {"job", "b", 4}).value(), epoch);
}

TEST(CheckpointLog, ADamagedFenceIsKnownByItsCommits) {
  Log log;
  const int64_t first = log.fence("a", 1);
  log.commit(10, first);
  log.state.add_unreadable(3);
  Record record;
  record.kind = Record::Kind::Committed;
  record.commit = Log::make(20, 3);
  log.state.add(4, record);
  EXPECT_EQ(log.state.epoch, 3);
  EXPECT_EQ(log.state.newest()->step, 20);
}

TEST(CheckpointLog, CleaningKeepsTheNewestAndWhatIsBeingWritten) {
  Log log;
  const int64_t first = log.fence("a", 1);
  log.commit(10, first);
  log.commit(20, first);
  const int64_t second = log.fence("a", 2);
  log.commit(30, second);
  const Cleaning cleaning = decide_cleaning(
      log.state,
      {step_directory(10, first), step_directory(20, first), step_directory(25, first),
       step_directory(28, second), step_directory(30, second), step_directory(40, second),
       step_directory(40, second + 5), "lost+found"},
      3, 2);
  EXPECT_THAT(cleaning.drop, ElementsAre(Log::make(10, first)));
  EXPECT_THAT(cleaning.remove, ElementsAre(step_directory(10, first), step_directory(25, first),
                                           step_directory(28, second)));
  EXPECT_EQ(cleaning.state_after, std::nullopt);
  EXPECT_EQ(decide_cleaning(log.state, {}, 1000, 2).state_after, log.state.last);
  EXPECT_THAT(decide_cleaning(log.state, {}, 3, 0).drop,
              ElementsAre(Log::make(20, first), Log::make(10, first)));
}

TEST(CheckpointLog, OnlyNamesOfOursAreRead) {
  EXPECT_EQ(step_and_epoch(step_directory(20, 3)), std::pair(int64_t{20}, int64_t{3}));
  for (const char* name : {"step-20-e3", "step-000000000020", "step--00000000020-e3", "step-e", "",
                           "step-000000000020-e03", "step-000000000020-e3.tmp"}) {
    EXPECT_EQ(step_and_epoch(name), std::nullopt) << name;
  }
  EXPECT_EQ(record_number(record_name(7)), 7);
  EXPECT_EQ(record_number("7.record"), std::nullopt);
  EXPECT_EQ(record_number("000000000007.record.tmp"), std::nullopt);
}

TEST(CheckpointLog, ANewerFormatIsRefusedByName) {
  base::Json json = to_json(Record{});
  json.set("version", 2);
  EXPECT_EQ(record_of(json).status().reason(), "NewerFormat");
  json = to_json(Record{});
  json.set("kind", "vote");
  EXPECT_THAT(record_of(json).status().message(), HasSubstr("kind"));
}

}  // namespace
}  // namespace pelton::decide::checkpoint
