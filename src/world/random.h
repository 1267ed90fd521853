// SPDX-License-Identifier: Apache-2.0
// Randomness from outside: identities and secrets.
#pragma once
#include <string>

namespace pelton::world {

class Random {
 public:
  virtual ~Random() = default;
  /// `size` bytes; from the kernel in the real world, from the seed in a simulated one.
  virtual std::string bytes(size_t size) = 0;
  std::string uuid();  ///< RFC 4122 version 4, lower case
};

}  // namespace pelton::world
