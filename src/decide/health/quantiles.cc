// SPDX-License-Identifier: Apache-2.0
#include "decide/health/quantiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace pelton::decide::health {
namespace {

constexpr uint32_t kFull = 8192;

}  // namespace

size_t Quantiles::bucket_of(int64_t ns) {
  if (ns < int64_t{1} << kLeastBits) return 0;
  if (ns >= int64_t{1} << kMostBits) return kBuckets - 1;
  const int bits = std::bit_width(static_cast<uint64_t>(ns)) - 1;
  const auto eighth = static_cast<size_t>((ns >> (bits - 3)) & (kPerDoubling - 1));
  return 1 + static_cast<size_t>(bits - kLeastBits) * kPerDoubling + eighth;
}

int64_t Quantiles::most_in(size_t bucket) {
  if (bucket == 0) return (int64_t{1} << kLeastBits) - 1;
  const int bits = kLeastBits + static_cast<int>((bucket - 1) / kPerDoubling);
  const auto eighth = static_cast<int64_t>((bucket - 1) % kPerDoubling);
  return ((kPerDoubling + eighth + 1) << (bits - 3)) - 1;
}

void Quantiles::add(base::Duration duration) {
  const int64_t ns = std::max<int64_t>(0, duration.ns());
  ++counts_[bucket_of(ns)];
  ++total_;
  ++seen_;
  largest_ = std::max(largest_, ns);
  if (total_ < kFull) return;
  total_ = 0;
  for (uint32_t& count : counts_) {
    count /= 2;
    total_ += count;
  }
}

base::Duration Quantiles::quantile(double q) const {
  const auto rank = static_cast<uint32_t>(
      std::clamp(std::ceil(q * total_), 1.0, std::max(1.0, static_cast<double>(total_))));
  uint32_t below = 0;
  for (size_t bucket = 0; bucket < kBuckets; ++bucket) {
    below += counts_[bucket];
    if (below < rank) continue;
    const int64_t most = bucket == kBuckets - 1 ? largest_ : most_in(bucket);
    return base::Duration::nanoseconds(std::min(most, largest_));
  }
  return {};
}

}  // namespace pelton::decide::health
