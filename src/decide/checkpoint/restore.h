// SPDX-License-Identifier: Apache-2.0
// Which step to load, and from which bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "decide/checkpoint/manifest.h"

namespace pelton::decide::checkpoint {

/// A step as one attempt wrote it. The later epoch wins, then the later step: who began again from
/// an older step left behind what came after it.
struct Version {
  int64_t epoch = 0;
  int64_t step = 0;
  auto operator<=>(const Version&) const = default;
};

/// The newest that every rank offers: each can load it, from whichever of its tiers. Absent where
/// there is none. `offers` holds one list per rank.
std::optional<Version> decide_restore(const std::vector<std::vector<Version>>& offers);

/// A manifest, and how far away its bytes are.
struct Holder {
  const Manifest* manifest = nullptr;
  int tier = 0;  ///< 0 is the fastest
};

/// One slice that takes part in a wanted box. Any of `places` will do; the fastest is first.
struct Read {
  Box box;
  struct Place {
    size_t holder = 0, slice = 0;
  };
  std::vector<Place> places;
};

/// What a rank wants of one tensor: the whole, or its part under another mesh.
struct Wanted {
  Tensor tensor;
  Box box;
};

/// The slices that make up what is wanted. InvalidArgument names the tensor: there is none of that
/// name, or it has another type or shape, or a part that no slice here covers. The holders are of
/// one version.
base::Result<std::vector<Read>> plan_reads(const Wanted& wanted,
                                           const std::vector<Holder>& holders);

}  // namespace pelton::decide::checkpoint
