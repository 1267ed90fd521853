// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/tensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/rng.h"

namespace pelton::decide::checkpoint {
namespace {

using ::testing::HasSubstr;

Tensor tensor(Extents shape, uint32_t item_bytes = 4) {
  return {"w", "float32", item_bytes, std::move(shape)};
}

TEST(Cover, ExactlyOnceIsAllThatIsAccepted) {
  const Tensor t = tensor({4, 6});
  const Box left{{0, 0}, {4, 3}}, right{{0, 3}, {4, 3}};
  EXPECT_TRUE(check_cover(t, {left, right}).ok());
  EXPECT_TRUE(check_cover(t, {left, right, left}).ok()) << "a replica";
  EXPECT_TRUE(check_cover(t, {left, {{0, 3}, {1, 3}}, {{1, 3}, {3, 3}}}).ok()) << "no grid";
  EXPECT_EQ(check_cover(t, {left}).message(), "tensor w: [0:4, 3:6] is covered by no slice");
  EXPECT_EQ(check_cover(t, {left, right, {{3, 2}, {1, 2}}}).message(),
            "tensor w: [3:4, 2:3] is covered by two slices");
  EXPECT_THAT(check_cover(t, {left, {{0, 3}, {4, 4}}}).message(), HasSubstr("sticks out"));
  EXPECT_THAT(check_cover(t, {{{0}, {4}}}).message(), HasSubstr("1 dimensions; it has 2"));
}

TEST(Cover, ScalarsNeedOneSliceAndEmptyTensorsNone) {
  EXPECT_TRUE(check_cover(tensor({}), {{{}, {}}}).ok());
  EXPECT_FALSE(check_cover(tensor({}), {}).ok());
  EXPECT_TRUE(check_cover(tensor({3, 0}), {}).ok());
}

TEST(Tensors, WhatCannotBeIsNamed) {
  EXPECT_THAT(check({{"", "float32", 4, {}}}).message(), HasSubstr("no name"));
  EXPECT_THAT(check({tensor({1}), tensor({2})}).message(), HasSubstr("there twice"));
  EXPECT_THAT(check({tensor({1}, 0)}).message(), HasSubstr("an item of 0 bytes"));
  EXPECT_THAT(check({tensor({uint64_t{1} << 40, uint64_t{1} << 40})}).message(), HasSubstr("2^60"));
  EXPECT_THAT(check({tensor({0, uint64_t{1} << 63})}).message(), HasSubstr("2^60"));
  EXPECT_FALSE(check(tensor({4}), {{UINT64_MAX}, {5}}).ok()) << "no overflow";
}

/// Boxes of random cuts, as a mesh would make them.
std::vector<Box> random_grid(base::Rng& rng, const Extents& shape) {
  std::vector<Box> boxes = {{Extents(shape.size(), 0), shape}};
  for (size_t d = 0; d < shape.size(); ++d) {
    std::vector<Box> cut;
    for (const Box& box : boxes) {
      const uint64_t at = rng.below(box.extent[d] + 1);
      Box a = box, b = box;
      a.extent[d] = at;
      b.offset[d] += at;
      b.extent[d] -= at;
      for (const Box& each : {a, b}) {
        if (volume(each.extent) != 0) cut.push_back(each);
      }
    }
    boxes = cut;
  }
  return boxes;
}

TEST(Runs, ReshardingByRunsIsReshardingByElements) {
  base::Rng rng(7);
  for (int round = 0; round < 300; ++round) {
    Extents shape;
    for (uint64_t n = rng.below(4); n > 0; --n) shape.push_back(1 + rng.below(6));
    const Tensor t = tensor(shape, 2);
    const std::vector<Box> before = random_grid(rng, shape), after = random_grid(rng, shape);
    ASSERT_TRUE(check_cover(t, before).ok());
    // Each element's value is its place in the whole.
    std::vector<uint16_t> all(volume(shape));
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
    const auto cut = [&](const Box& box) {
      std::vector<uint16_t> part(volume(box.extent));
      for_each_stretch(t, whole(t), box, [&](const Stretch& run) {
        std::copy_n(all.begin() + static_cast<ptrdiff_t>(run.from / 2), run.bytes / 2,
                    part.begin() + static_cast<ptrdiff_t>(run.to / 2));
      });
      return part;
    };
    std::vector<uint16_t> joined(all.size(), 0xffff);
    for (const Box& to : after) {
      std::vector<uint16_t> target(volume(to.extent), 0xffff);
      for (const Box& from : before) {
        const std::vector<uint16_t> source = cut(from);
        for_each_stretch(t, from, to, [&](const Stretch& run) {
          ASSERT_LE(run.from + run.bytes, source.size() * 2);
          ASSERT_LE(run.to + run.bytes, target.size() * 2);
          std::copy_n(source.begin() + static_cast<ptrdiff_t>(run.from / 2), run.bytes / 2,
                      target.begin() + static_cast<ptrdiff_t>(run.to / 2));
        });
      }
      EXPECT_EQ(target, cut(to));
    }
  }
}

TEST(Runs, WholeRowsAreOneRun) {
  const Tensor t = tensor({8, 4});
  int runs = 0;
  for_each_stretch(t, {{0, 0}, {4, 4}}, {{2, 0}, {6, 4}}, [&](const Stretch& run) {
    ++runs;
    EXPECT_EQ(run.from, 32u);
    EXPECT_EQ(run.to, 0u);
    EXPECT_EQ(run.bytes, 32u);
  });
  EXPECT_EQ(runs, 1);
}

TEST(Shares, OfAllWritersCoverTheTensor) {
  for (const Extents& shape : {Extents{}, Extents{3}, Extents{10}, Extents{2, 9}, Extents{0, 4}}) {
    for (const uint64_t writers : {1, 2, 4, 7}) {
      std::vector<Box> boxes;
      for (uint64_t w = 0; w < writers; ++w) {
        if (const auto box = share_of(tensor(shape), w, writers, 5)) boxes.push_back(*box);
      }
      EXPECT_TRUE(check_cover(tensor(shape), boxes).ok()) << writers;
    }
  }
}

}  // namespace
}  // namespace pelton::decide::checkpoint
