// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/incoming_part.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "checkpoint/held.h"
#include "os/test_world.h"

namespace pelton::agent {
namespace {

namespace checkpoint_names = decide::checkpoint;

/// A part of two slices, the first of more than a chunk, as a peer sends it.
class IncomingPartTest : public os::RealWorldTest {
 protected:
  void SetUp() override {
    memory_ = world().files.real_path(directory_).value();
    base::Rng rng(7);
    checkpoint_names::Manifest manifest;
    manifest.job = "what its script calls it";
    manifest.run = "job";
    manifest.step = 20;
    manifest.writer = 3;
    manifest.writers = 4;
    manifest.file = "w00003.data";
    manifest.tensors = {{"big", "uint8", 1, {1'500'001}}, {"small", "uint8", 1, {10}}};
    for (uint64_t i = 0; i < 2; ++i) {
      manifest.slices.push_back({i, checkpoint_names::whole(manifest.tensors[i]), 0, {}});
    }
    lay_out(manifest);
    data_.resize(manifest.file_bytes);
    for (char& each : data_) each = static_cast<char>(rng.next());
    for (auto& slice : manifest.slices) {
      const uint64_t bytes = bytes_of(manifest.tensors[slice.tensor], slice.box);
      for (uint64_t at = 0; at < bytes; at += checkpoint_names::kChunkBytes) {
        slice.checksums.push_back(base::hash64(std::string_view(data_).substr(
            slice.at + at, std::min(checkpoint_names::kChunkBytes, bytes - at))));
      }
    }
    manifest_ = checkpoint_names::seal(to_json(manifest));
    stream_ = base::Json::object({{"manifest", static_cast<int64_t>(manifest_.size())},
                                  {"data", static_cast<int64_t>(data_.size())}})
                  .dump() +
              "\n" + manifest_ + data_;
  }
  std::unique_ptr<IncomingPart> part(PartId id = {{3, 20}, 3}) {
    return std::make_unique<IncomingPart>(world().files, memory_, "job", id);
  }
  /// In pieces of so many bytes.
  static base::Status feed(IncomingPart& part, std::string_view stream, size_t piece) {
    for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
      PELTON_TRY(part.feed(stream.substr(0, piece)));
    }
    return base::ok();
  }
  /// Until what was fed is in the file, or is not.
  base::Status wait(IncomingPart& part) {
    base::Status status;
    part.tell([&](const base::Status& written) {
      status = written;
      if (!status.ok() || part.is_complete()) stop();
    });
    if (!part.is_complete()) run();
    part.tell([](const base::Status&) {});
    return status;
  }
  std::string in_version(const std::string& name) const {
    return memory_ + "/checkpoint/step-000000000020-g3/" + name;
  }
  size_t files() {
    const auto all = world().files.list(memory_ + "/checkpoint/step-000000000020-g3");
    return all.ok() ? all->size() : 0;
  }

  std::string memory_, data_, manifest_, stream_;
};

TEST_F(IncomingPartTest, IsPublishedWholeAndOnlyThen) {
  for (const size_t piece : {size_t{1'000}, size_t{65'537}, stream_.size()}) {
    const auto incoming = part();
    const std::string_view most = std::string_view(stream_).substr(0, stream_.size() - 1);
    ASSERT_TRUE(feed(*incoming, most, piece).ok());
    EXPECT_FALSE(incoming->is_complete());
    EXPECT_TRUE(checkpoint::read_held(world().files, memory_, 9).empty());
    ASSERT_TRUE(incoming->feed(std::string_view(stream_).substr(most.size())).ok());
    ASSERT_TRUE(incoming->is_fed());
    ASSERT_TRUE(wait(*incoming).ok());
    ASSERT_TRUE(incoming->is_complete());
    const base::Status published = incoming->publish();
    ASSERT_TRUE(published.ok()) << published.message();
    EXPECT_EQ(world().files.read(in_version("w00003.data")).value(), data_);
    EXPECT_EQ(world().files.read(in_version("w00003.manifest")).value(), manifest_);
    EXPECT_EQ(files(), 2U) << "nothing half is left";
    const auto held = checkpoint::read_held(world().files, memory_, 9);
    ASSERT_EQ(held.size(), 1U);
    EXPECT_EQ(held[0], (checkpoint_names::Holding{{3, 20}, 4, {3}}));
    EXPECT_TRUE(world().files.remove_tree(memory_ + "/checkpoint").ok());
  }
}

TEST_F(IncomingPartTest, AnyChangedByteOfASliceIsFoundAndNothingIsLeft) {
  base::Rng rng(11);
  for (int i = 0; i < 40; ++i) {
    std::string stream = stream_;
    const size_t at = rng.below(stream.size());
    const size_t in_data = at - std::min(at, stream.size() - data_.size());
    const size_t small = (1'500'001 + 63) / 64 * 64;
    const bool is_gap = at >= stream.size() - data_.size() &&
                        ((in_data >= 1'500'001 && in_data < small) || in_data >= small + 10);
    stream[at] = static_cast<char>(stream[at] ^ 1);
    const auto incoming = part();
    const base::Status fed = feed(*incoming, stream, 100'000);
    if (is_gap) continue;  // bytes that nobody saved
    EXPECT_TRUE(!fed.ok() || !incoming->is_fed()) << at;
  }
  EXPECT_EQ(files(), 0U);
}

TEST_F(IncomingPartTest, WhereTheSenderDiesTheHalfIsRemoved) {
  auto incoming = part();
  ASSERT_TRUE(incoming->feed(std::string_view(stream_).substr(0, stream_.size() / 2)).ok());
  EXPECT_EQ(files(), 1U);
  incoming.reset();
  EXPECT_EQ(files(), 0U);
}

TEST_F(IncomingPartTest, AnotherPartIsNotTakenForIt) {
  for (const PartId other : {PartId{{3, 20}, 2}, PartId{{3, 21}, 3}}) {
    const base::Status fed = feed(*part(other), stream_, 1 << 20);
    EXPECT_EQ(fed.code(), base::Code::InvalidArgument) << fed.message();
  }
  IncomingPart foreign(world().files, memory_, "another job", {{3, 20}, 3});
  EXPECT_EQ(feed(foreign, stream_, 1 << 20).code(), base::Code::InvalidArgument);
  EXPECT_FALSE(feed(*part(), "GET / HTTP/1.1\n", 100).ok());
  EXPECT_FALSE(feed(*part(), std::string(10'000, 'x'), 100).ok());
}

TEST_F(IncomingPartTest, ALinkThatAWorkerHasPutThereIsNotFollowed) {
  ASSERT_TRUE(world().files.make_directories(memory_ + "/elsewhere").ok());
  ASSERT_TRUE(world().files.make_directories(memory_ + "/checkpoint").ok());
  ASSERT_TRUE(
      world()
          .files.make_link(memory_ + "/elsewhere", memory_ + "/checkpoint/step-000000000020-g3")
          .ok());
  EXPECT_EQ(feed(*part(), stream_, 1 << 20).code(), base::Code::InvalidArgument);
  EXPECT_TRUE(world().files.list(memory_ + "/elsewhere")->empty());
}

TEST(PartId, NamesComeBackAndOthersAreNone) {
  const PartId part{{3, 20}, 3};
  EXPECT_EQ(to_string(part), "step-000000000020-g3/w00003");
  EXPECT_EQ(part_of(to_string(part)), part);
  for (const char* other : {"step-000000000020-g3", "step-000000000020-g3/w3", "../x/w00003",
                            "step-000000000020-g3/../w00003", "step-000000000020-g3/w00003.data"}) {
    EXPECT_FALSE(part_of(other)) << other;
  }
}

}  // namespace
}  // namespace pelton::agent
