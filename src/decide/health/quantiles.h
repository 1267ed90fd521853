// SPDX-License-Identifier: Apache-2.0
// How long something usually takes: median and 99th percentile of a stream of durations, in 1 KiB
// and a few nanoseconds per value.
//
// A histogram with logarithmic buckets, eight to each doubling (the scheme of HdrHistogram and
// DDSketch: Masson, Rim, Lee, VLDB 2019), so that an answer is at most 1/8 too large. Old values
// fade: at 8,192 all counts are halved, so that a job that became slower for good is soon the usual
// one.
#pragma once
#include <array>
#include <cstdint>

#include "base/time.h"

namespace pelton::decide::health {

class Quantiles {
 public:
  void add(base::Duration duration);  ///< negative counts as zero
  int64_t seen() const { return seen_; }
  /// The least duration that a share `q` of the values does not exceed (nearest rank: with fewer
  /// than 100 values, 0.99 is the largest). Zero where nothing was seen.
  base::Duration quantile(double q) const;

 private:
  // 1 µs (all below are one bucket) to 2^42 ns = 73 minutes (all above are one bucket).
  static constexpr int kLeastBits = 10, kMostBits = 42, kPerDoubling = 8;
  static constexpr size_t kBuckets = (kMostBits - kLeastBits) * kPerDoubling + 2;
  static size_t bucket_of(int64_t ns);
  static int64_t most_in(size_t bucket);

  std::array<uint32_t, kBuckets> counts_{};
  uint32_t total_ = 0;   ///< of counts_
  int64_t seen_ = 0;     ///< ever
  int64_t largest_ = 0;  ///< ns, ever: what the last bucket means
};

}  // namespace pelton::decide::health
