// SPDX-License-Identifier: Apache-2.0
#include "decide/health/phase.h"

#include <array>

namespace pelton::decide::health {
namespace {

constexpr std::array<const char*, kPhases> kNames = {"none", "start", "compile", "step",
                                                     "eval", "save",  "restore", "collective",
                                                     "data", "done",  "exit"};

}  // namespace

const char* phase_name(Phase phase) {
  const auto number = static_cast<size_t>(phase);
  return number < kNames.size() ? kNames[number] : "other";
}

}  // namespace pelton::decide::health
