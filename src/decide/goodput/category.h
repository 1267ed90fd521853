// SPDX-License-Identifier: Apache-2.0
// Where a job's time goes. Names and meanings are those of ml-goodput-measurement 0.2.3 (Google),
// "Productive" being its goodput and the others its types of badput, so that numbers compare.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace pelton::decide::goodput {

/// In the order of precedence: where two claim the same instant, the earlier one has it.
enum class Category : uint8_t {
  ElasticSliceDown,  ///< nobody trains: too few nodes are left, and it waits for others
  ElasticScaleUp,    ///< between the last step at one width and the decision for a larger one
  ElasticReinitialization,  ///< from the decision for another width to its first step
  WastedProgress,           ///< steps, and parts of one, that had to be done again
  CheckpointRestore,        ///< reading the state back
  CheckpointSave,           ///< as long as a save held up the step
  Custom,                   ///< held up by what the script named itself: an evaluation
  DataLoadingSync,          ///< held up by the data
  TpuInitialization,        ///< processes start and find their accelerators, TPU or not
  TrainingPrep,             ///< what a script does before its loop
  ProgramStartup,           ///< compilation: what the first step takes beyond the usual one
  Productive,               ///< steps whose result was kept
  InfrastructureRecovery,   ///< from a failure to the next start
  Other,                    ///< claimed by none
};
inline constexpr int kCategories = 14;

const char* category_name(Category category);   ///< "WASTED_PROGRESS_FROM_DISRUPTION"
const char* category_label(Category category);  ///< for people: "wasted progress"
std::optional<Category> category_of(std::string_view name);

}  // namespace pelton::decide::goodput
