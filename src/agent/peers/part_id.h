// SPDX-License-Identifier: Apache-2.0
// One part of one version of a job's checkpoint, and its name on the wire.
#pragma once
#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "decide/checkpoint/holding.h"

namespace pelton::agent {

struct PartId {
  decide::checkpoint::MemoryVersion version;
  int writer = 0;
  auto operator<=>(const PartId&) const = default;
};

std::string to_string(const PartId& part);  ///< "step-000000000020-g3/w00003"
std::optional<PartId> part_of(std::string_view text);

}  // namespace pelton::agent
