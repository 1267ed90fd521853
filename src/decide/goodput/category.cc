// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/category.h"

namespace pelton::decide::goodput {
namespace {

struct Names {
  const char* name;
  const char* label;
};

constexpr Names kNames[kCategories] = {
    {"ELASTIC_SLICE_DOWN", "waiting for nodes"},
    {"ELASTIC_SCALE_UP", "growing"},
    {"ELASTIC_REINITIALIZATION", "starting at another width"},
    {"WASTED_PROGRESS_FROM_DISRUPTION", "wasted progress"},
    {"UNPRODUCTIVE_CHECKPOINT_RESTORE_TIME", "restoring"},
    {"UNPRODUCTIVE_CHECKPOINT_SAVE_TIME", "saving"},
    {"CUSTOM_BADPUT_EVENTS", "named by the script"},
    {"DATA_LOADING_SYNC", "waiting for data"},
    {"TPU_INITIALIZATION", "initialization"},
    {"TRAINING_PREP", "preparation"},
    {"PROGRAM_STARTUP", "compiling"},
    {"PRODUCTIVE", "productive"},
    {"INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION", "recovery"},
    {"OTHER", "other"},
};

}  // namespace

const char* category_name(Category category) {
  return kNames[static_cast<size_t>(category)].name;
}

const char* category_label(Category category) {
  return kNames[static_cast<size_t>(category)].label;
}

std::optional<Category> category_of(std::string_view name) {
  for (size_t i = 0; i < kCategories; ++i) {
    if (kNames[i].name == name) return static_cast<Category>(i);
  }
  return std::nullopt;
}

}  // namespace pelton::decide::goodput
