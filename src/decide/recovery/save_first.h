// SPDX-License-Identifier: Apache-2.0
// Before a node goes, its job saves: asked of all members, agreed upon by their workers, seen done.
// Pure.
#pragma once
#include <optional>
#include <string>

#include "base/time.h"
#include "decide/recovery/evidence.h"

namespace pelton::decide::recovery {

struct SaveFirst {
  std::optional<SaveBy> save_by;  ///< as the generation is to have it
  bool is_awaited = false;        ///< what is to be done about the notice has to wait for the save
  std::string waits_for;
};
/// One look. `wanted`: what is to be asked, where the generation does not ask it yet; its `after`
/// is found here. Nothing is asked where no worker would answer, and nothing is waited for once a
/// step is saved, or from `latest` on.
SaveFirst save_first(const Evidence& evidence, const Generation& generation, SaveBy wanted,
                     base::Instant now, base::Instant latest);

/// JobRecord::durable_step, as its members say now.
int64_t durable_step_of(const Evidence& evidence, const JobRecord& record);

}  // namespace pelton::decide::recovery
