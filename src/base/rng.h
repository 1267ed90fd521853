// SPDX-License-Identifier: Apache-2.0
// Seeded pseudo-random numbers that are the same on every machine and library.
//
// One run has one seed; every user of randomness forks its own stream by name, so that a new user
// does not shift the numbers of the others. Not for secrets: those come from world::Random.
#pragma once
#include <cstdint>
#include <string_view>

#include "base/strings.h"

namespace pelton::base {

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, passes BigCrush, trivially seeded.
class Rng {
  __extension__ using Wide = unsigned __int128;

 public:
  explicit Rng(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// Uniform in [0, bound); bound > 0. The bias is below 2^-32 for bounds below 2^32.
  uint64_t below(uint64_t bound) {
    return static_cast<uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }
  /// Uniform in [low, high].
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(below(static_cast<uint64_t>(high - low) + 1));
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }  ///< in [0, 1)
  bool chance(double probability) { return unit() < probability; }
  /// An independent stream, determined by this stream's present state and the name.
  Rng fork(std::string_view name) const { return Rng(hash64(name, state_)); }

 private:
  uint64_t state_;
};

}  // namespace pelton::base
