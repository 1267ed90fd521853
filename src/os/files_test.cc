// SPDX-License-Identifier: Apache-2.0
#include "world/files.h"

#include <sys/stat.h>
#include <unistd.h>

#include "os/test_world.h"

namespace pelton::os {
namespace {

using base::Code;
using base::Status;
using world::OpenMode;

class FilesTest : public RealWorldTest {
 protected:
  world::Files& files() { return world().files; }
};

TEST_F(FilesTest, WhatIsWrittenIsReadBackAndTheEndIsShort) {
  auto file = files().open(path("a"), OpenMode::ReadWrite).value();
  ASSERT_TRUE(file->write_at(0, "hello").ok());
  ASSERT_TRUE(file->write_at(5, " world").ok());
  EXPECT_EQ(file->read_at(0, 100).value(), "hello world");
  EXPECT_EQ(file->read_at(6, 2).value(), "wo");
  EXPECT_EQ(file->size().value(), 11u);
  ASSERT_TRUE(file->truncate(5).ok());
  EXPECT_EQ(files().read(path("a")).value(), "hello");
}

TEST_F(FilesTest, OpenModesSayWhatIsWrong) {
  EXPECT_EQ(files().open(path("none"), OpenMode::Read).status().code(), Code::NotFound);
  EXPECT_TRUE(files().open(path("a"), OpenMode::CreateNew).ok());
  EXPECT_EQ(files().open(path("a"), OpenMode::CreateNew).status().code(), Code::AlreadyExists);
  const Status status = files().open(path("none/a"), OpenMode::ReadWrite).status();
  EXPECT_EQ(status.code(), Code::NotFound);
  EXPECT_NE(status.message().find(path("none/a")), std::string::npos);
}

TEST_F(FilesTest, SyncReportsOnTheLoopInOrderOfTheCalls) {
  auto file = files().open(path("a"), OpenMode::ReadWrite).value();
  std::string order;
  bool is_within_call = true;
  ASSERT_TRUE(file->write_at(0, "x").ok());
  file->sync([&](Status s) { order += s.ok() && !is_within_call ? "1" : "!"; });
  files().sync_directory(directory_, [&](Status s) { order += s.ok() ? "2" : "!"; });
  file->sync([&](Status s) {
    order += s.ok() ? "3" : "!";
    stop();
  });
  is_within_call = false;
  run();
  EXPECT_EQ(order, "123");
}

TEST_F(FilesTest, AFileThatIsGoneIsNotToldAboutItsSync) {
  auto file = files().open(path("a"), OpenMode::ReadWrite).value();
  bool has_told = false;
  file->sync([&](Status) { has_told = true; });
  file.reset();
  files().sync_directory(directory_, [&](Status) { stop(); });
  run();
  EXPECT_FALSE(has_told);
}

TEST_F(FilesTest, AFailedSyncStaysFailed) {
  // A pipe opened as a file cannot be synced (EINVAL).
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  auto file = files().open(path("fifo"), OpenMode::ReadWrite).value();
  int failures = 0;
  file->sync([&](Status s) { failures += !s.ok(); });
  file->sync([&](Status s) {
    failures += !s.ok();
    stop();
  });
  run();
  EXPECT_EQ(failures, 2);
}

TEST_F(FilesTest, SyncOfAnAbsentDirectoryFails) {
  files().sync_directory(path("none"), [&](Status s) {
    EXPECT_EQ(s.code(), Code::NotFound);
    stop();
  });
  run();
}

TEST_F(FilesTest, DirectoriesAreMadeListedSortedAndRemovedWithoutFollowingLinks) {
  ASSERT_TRUE(files().make_directories(path("d/e/f")).ok());
  ASSERT_TRUE(files().make_directories(path("d/e/f")).ok());
  ASSERT_TRUE(files().replace(path("d/b"), "bb").ok());
  ASSERT_TRUE(files().replace(path("d/a"), "").ok());
  ASSERT_TRUE(files().replace(path("outside"), "kept").ok());
  ASSERT_EQ(::symlink(directory_.c_str(), path("d/link").c_str()), 0);
  const auto entries = files().list(path("d")).value();
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].name, "a");
  EXPECT_EQ(entries[1].size, 2u);
  EXPECT_TRUE(entries[2].is_directory);
  EXPECT_FALSE(entries[3].is_directory);
  EXPECT_EQ(files().remove(path("d")).code(), Code::FailedPrecondition);
  EXPECT_TRUE(files().remove_tree(path("d")).ok());
  EXPECT_TRUE(files().remove_tree(path("d")).ok());
  EXPECT_TRUE(files().exists(path("outside")));
  EXPECT_EQ(files().list(path("d")).status().code(), Code::NotFound);
  EXPECT_EQ(files().make_directories(path("outside/x")).code(), Code::InvalidArgument);
}

TEST_F(FilesTest, ALinkIsSwappedInOneStepAndARealPathHasNone) {
  ASSERT_TRUE(files().make_directories(path("one")).ok());
  ASSERT_TRUE(files().make_directories(path("two")).ok());
  ASSERT_TRUE(files().make_link("one", path("current")).ok());
  EXPECT_EQ(files().make_link("two", path("current")).code(), base::Code::AlreadyExists);
  ASSERT_TRUE(files().make_link("two", path("next")).ok());
  ASSERT_TRUE(files().rename(path("next"), path("current")).ok());
  EXPECT_EQ(*files().real_path(path("current")), *files().real_path(path("two")));
  EXPECT_NE(*files().real_path(path("one")), *files().real_path(path("two")));
  EXPECT_EQ(files().real_path(path("three")).status().code(), base::Code::NotFound);
}

TEST_F(FilesTest, ASecondNameIsGivenToOneOfTwo) {
  ASSERT_TRUE(files().replace(path("a"), "1").ok());
  ASSERT_TRUE(files().replace(path("b"), "2").ok());
  EXPECT_TRUE(files().link(path("a"), path("c")).ok());
  EXPECT_EQ(files().link(path("b"), path("c")).code(), Code::AlreadyExists);
  EXPECT_EQ(files().read(path("c")).value(), "1");
  EXPECT_EQ(files().link(path("none"), path("d")).code(), Code::NotFound);
}

TEST_F(FilesTest, WritesPastTheCacheEndOnTheLoopInAnyOrder) {
  auto file = files().open(path("a"), OpenMode::CreateDirect).value();
  EXPECT_EQ(files().open(path("a"), OpenMode::CreateDirect).status().code(), Code::AlreadyExists);
  struct alignas(world::kDirectAlignment) Block {
    char bytes[world::kDirectAlignment];
  };
  std::vector<Block> blocks(8);
  size_t ended = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    std::fill_n(blocks[i].bytes, sizeof(Block), static_cast<char>('a' + i));
    file->write_later(i * sizeof(Block), {blocks[i].bytes, sizeof(Block)}, [&](Status s) {
      EXPECT_TRUE(s.ok()) << s.to_string();
      if (++ended == blocks.size()) stop();
    });
  }
  EXPECT_EQ(ended, 0u);
  run();
  for (size_t i = 0; i < blocks.size(); ++i) {
    EXPECT_EQ(files().read(path("a")).value()[i * sizeof(Block) + 7], static_cast<char>('a' + i));
  }
}

TEST_F(FilesTest, RenameReplaces) {
  ASSERT_TRUE(files().replace(path("a"), "old").ok());
  ASSERT_TRUE(files().replace(path("a"), "new").ok());
  EXPECT_EQ(files().read(path("a")).value(), "new");
  EXPECT_EQ(files().list(directory_).value().size(), 1u);
  EXPECT_EQ(files().rename(path("none"), path("b")).code(), Code::NotFound);
}

TEST_F(FilesTest, ALockNamesItsHolderAndDiesWithIt) {
  auto lock = files().lock(path("lock"), "pid 42");
  ASSERT_TRUE(lock.ok());
  const auto second = files().lock(path("lock"), "pid 43");
  EXPECT_EQ(second.status().code(), Code::FailedPrecondition);
  EXPECT_NE(second.status().message().find("pid 42"), std::string::npos);
  std::move(lock).value().reset();
  EXPECT_TRUE(files().lock(path("lock"), "pid 43").ok());
}

TEST_F(FilesTest, AWatchTellsOfWritesAndOfNewNames) {
  ASSERT_TRUE(files().replace(path("a"), "1").ok());
  int file_changes = 0, directory_changes = 0;
  const auto check = [&] {
    if (file_changes > 0 && directory_changes > 0) stop();
  };
  auto on_file = files().watch(path("a"), [&] {
    ++file_changes;
    check();
  });
  auto on_directory = files().watch(directory_, [&] {
    ++directory_changes;
    check();
  });
  ASSERT_TRUE(on_file.ok() && on_directory.ok());
  auto file = files().open(path("a"), OpenMode::ReadWrite).value();
  ASSERT_TRUE(file->write_at(0, "2").ok());
  ASSERT_TRUE(files().replace(path("b"), "").ok());
  run();
}

TEST_F(FilesTest, TwoWatchesOfOneFileEndIndependently) {
  ASSERT_TRUE(files().replace(path("a"), "1").ok());
  int first_calls = 0;
  auto first = files().watch(path("a"), [&] { ++first_calls; }).value();
  auto second = files().watch(path("a"), [&] { stop(); }).value();
  first.reset();
  auto file = files().open(path("a"), OpenMode::ReadWrite).value();
  ASSERT_TRUE(file->write_at(0, "2").ok());
  run();
  EXPECT_EQ(first_calls, 0);
}

TEST_F(FilesTest, AWatchMayEndItself) {
  std::unique_ptr<world::FileWatch> watch;
  watch = files()
              .watch(directory_,
                     [&] {
                       watch.reset();
                       stop();
                     })
              .value();
  ASSERT_TRUE(files().replace(path("a"), "1").ok());
  run();
}

TEST_F(FilesTest, WatchingNothingIsAnError) {
  EXPECT_EQ(files().watch(path("none"), [] {}).status().code(), Code::NotFound);
}

TEST_F(FilesTest, AMappedFileShowsWhatIsWrittenLater) {
  ASSERT_TRUE(files().replace(path("a"), "before").ok());
  auto mapped = files().map(path("a"), 6).value();
  EXPECT_EQ(mapped->bytes(), "before");
  ASSERT_TRUE(files().open(path("a"), OpenMode::ReadWrite).value()->write_at(0, "after!").ok());
  EXPECT_EQ(mapped->bytes(), "after!");
  EXPECT_EQ(files().map(path("a"), 7).status().code(), Code::InvalidArgument);
  EXPECT_EQ(files().map(path("none"), 1).status().code(), Code::NotFound);
}

TEST_F(FilesTest, ModesAreSet) {
  ASSERT_TRUE(files().replace(path("a"), "").ok());
  ASSERT_TRUE(files().set_mode(path("a"), 0640).ok());
  EXPECT_EQ(std::filesystem::status(path("a")).permissions(), std::filesystem::perms(0640));
}

}  // namespace
}  // namespace pelton::os
