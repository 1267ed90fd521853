// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/copy.h"

#include <gtest/gtest.h>

#include "base/rng.h"
#include "base/strings.h"
#include "decide/checkpoint/manifest.h"

namespace pelton::checkpoint {
namespace {

TEST(Copy, IsExactAndTheHashIsXxHash3WhateverLengthAndAlignment) {
  base::Rng rng(3);
  std::string bytes(20'000, '\0');
  for (char& c : bytes) c = static_cast<char>(rng.below(256));
  const std::vector<size_t> sizes = {0,    1,    63,   64,   240,  241,  1023, 1024, 1025,
                                     1088, 1089, 2047, 2048, 2049, 3000, 4096, 9999};
  for (const size_t size : sizes) {
    for (const size_t from : {0, 1, 32, 63}) {
      for (const size_t to : {0, 1, 16, 31, 32, 64}) {
        alignas(64) static char area[12'000];
        std::fill(std::begin(area), std::end(area), '\x55');
        const uint64_t hash = copy_and_hash(area + to, bytes.data() + from, size);
        const std::string_view expected = std::string_view(bytes).substr(from, size);
        EXPECT_EQ(hash, base::hash64(expected)) << size;
        EXPECT_EQ(std::string_view(area + to, size), expected) << size;
        EXPECT_EQ(area[to + size], '\x55') << size << ": wrote past the end";
      }
    }
  }
}

TEST(Copy, EachChunkHasItsChecksum) {
  const size_t size = 2 * decide::checkpoint::kChunkBytes + 5;
  const std::string bytes(size, 'x');
  std::string to(size, '\0');
  const auto sums = copy_and_hash_chunks(to.data(), bytes.data(), size);
  ASSERT_EQ(sums.size(), 3u);
  EXPECT_EQ(sums[0], sums[1]);
  EXPECT_EQ(sums[2], base::hash64("xxxxx"));
  EXPECT_EQ(to, bytes);
}

}  // namespace
}  // namespace pelton::checkpoint
