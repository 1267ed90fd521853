// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pelton::decide::checkpoint {
namespace {

using ::testing::HasSubstr;

/// Writer `writer` of `writers` with its share of w[8, 4] and, the first, the scalar s.
Manifest manifest(uint64_t writer, uint64_t writers) {
  Manifest m;
  m.job = "job";
  m.step = 20;
  m.epoch = 3;
  m.writer = writer;
  m.writers = writers;
  m.file = "w.data";
  m.extra = R"({"position": 7})";
  m.tensors = {{"w", "float32", 4, {8, 4}}, {"s", "int64", 8, {}}};
  for (size_t i = 0; i < m.tensors.size(); ++i) {
    if (const auto box = share_of(m.tensors[i], writer, writers, 0)) {
      m.slices.push_back({i, *box, 0, {0x0123456789abcdef}});
    }
  }
  lay_out(m);
  return m;
}

TEST(Manifests, AreReadAsTheyWereWritten) {
  const Manifest m = manifest(0, 2);
  EXPECT_EQ(manifest_of(unseal(seal(to_json(m)), "m").value()).value(), m);
  EXPECT_EQ(m.slices[1].at % kSliceAlignment, 0u);
  EXPECT_EQ(m.file_bytes, kFileAlignment);
}

TEST(Manifests, ThatAreTornOrChangedAreDataLossAndNamed) {
  const std::string text = seal(to_json(manifest(0, 2)));
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_EQ(unseal(text.substr(0, n), "d/m").status().code(), base::Code::DataLoss);
    std::string flipped = text;
    flipped[n] ^= 1;
    const base::Status status = unseal(flipped, "d/m").status();
    EXPECT_EQ(status.code(), base::Code::DataLoss) << n;
    EXPECT_THAT(status.message(), HasSubstr("d/m: "));
  }
}

TEST(Manifests, ThatSayWhatCannotBeAreRefusedByField) {
  const auto refusal = [](const char* path, base::Json value) {
    base::Json json = to_json(manifest(0, 2));
    json.make(path) = std::move(value);
    return manifest_of(json).status();
  };
  EXPECT_EQ(refusal("version", 2).reason(), "NewerFormat");
  EXPECT_THAT(refusal("format", "x").message(), HasSubstr("format"));
  EXPECT_THAT(refusal("file", "../x").message(), HasSubstr("file"));
  EXPECT_THAT(refusal("writer", 2).message(), HasSubstr("writer"));
  EXPECT_THAT(refusal("plan", "0").message(), HasSubstr("plan"));
  EXPECT_THAT(refusal("fileBytes", 64).message(), HasSubstr("ends after the data file"));
  base::Json json = to_json(manifest(0, 2));
  json.find_mutable("slices")->mutable_items()[0].set("checksums", "");
  EXPECT_THAT(manifest_of(json).status().message(), HasSubstr("has 0 checksums, not 1"));
}

TEST(Completeness, NeedsEveryWriterOnceAndOnePlan) {
  EXPECT_TRUE(check_complete({manifest(1, 2), manifest(0, 2)}).ok());
  EXPECT_THAT(check_complete({manifest(0, 2)}).message(), HasSubstr("of 2 writers 1"));
  EXPECT_FALSE(check_complete({manifest(0, 2), manifest(0, 2)}).ok());
  EXPECT_FALSE(check_complete(std::vector<Manifest>{}).ok());
  Manifest other = manifest(1, 2);
  other.step = 21;
  EXPECT_THAT(check_complete({manifest(0, 2), other}).message(),
              HasSubstr("different checkpoints"));
  other = manifest(1, 2);
  other.tensors[0].dtype = "int32";
  EXPECT_THAT(check_complete({manifest(0, 2), other}).message(), HasSubstr("different tensors"));
  other = manifest(1, 2);
  other.slices.clear();
  EXPECT_THAT(check_complete({manifest(0, 2), other}).message(), HasSubstr("tensor w: [4:8, 0:4]"));
}

TEST(Restore, TakesTheNewestThatAllCanLoad) {
  EXPECT_EQ(decide_restore({{{1, 10}, {1, 20}}, {{1, 20}, {1, 10}, {1, 10}}}), (Version{1, 20}));
  EXPECT_EQ(decide_restore({{{1, 10}, {1, 20}}, {{1, 10}}}), (Version{1, 10}));
  EXPECT_EQ(decide_restore({{{1, 30}, {2, 20}}, {{1, 30}, {2, 20}}}), (Version{2, 20}));
  EXPECT_EQ(decide_restore({{{1, 30}}, {}}), std::nullopt);
}

TEST(Restore, ReadsTheFastestOfEqualSlicesAndEachPartOnce) {
  const Manifest a = manifest(0, 2), b = manifest(1, 2), replica = manifest(0, 2);
  const std::vector<Holder> holders = {{&replica, 2}, {&b, 2}, {&a, 0}};
  const auto reads = plan_reads({a.tensors[0], {{3, 0}, {2, 4}}}, holders).value();
  ASSERT_EQ(reads.size(), 2u);
  EXPECT_EQ(reads[0].places.size(), 2u);
  EXPECT_EQ(reads[0].places[0].holder, 2u);
  EXPECT_EQ(reads[1].places[0].holder, 1u);
  EXPECT_EQ(plan_reads({a.tensors[0], {{0, 0}, {2, 4}}}, holders).value().size(), 1u);
}

TEST(Restore, OntoAShapeThatTheSlicesCannotFormNamesTheTensor) {
  const Manifest a = manifest(0, 2);
  const std::vector<Holder> holders = {{&a, 0}};
  EXPECT_THAT(plan_reads({a.tensors[0], {{0, 0}, {8, 4}}}, holders).status().message(),
              HasSubstr("tensor w: [4:8, 0:4] is covered by no slice"));
  Tensor other = a.tensors[0];
  other.shape = {4, 8};
  EXPECT_THAT(plan_reads({other, whole(other)}, holders).status().message(),
              HasSubstr("step 20 has float32[8, 4], and float32[4, 8] is asked for"));
  other.name = "v";
  EXPECT_THAT(plan_reads({other, whole(other)}, holders).status().message(),
              HasSubstr("tensor v: the checkpoint has no tensor of that name"));
}

}  // namespace
}  // namespace pelton::decide::checkpoint
