// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "api/fields/ownership.h"

namespace pelton::api::fields {

using base::Json;

namespace {
/// Structures that are no pointers in Go: the parts of every object, what is required, and a few
/// others.
bool is_always_there(const Field& field) {
  constexpr std::string_view kNames[] = {"metadata", "spec",   "status",          "resources",
                                         "strategy", "source", "deprecatedSource"};
  return field.is_required || std::ranges::find(kNames, field.name) != std::end(kNames);
}

/// Times that are no pointers: null while they are not set.
bool is_time_of_event(const Field& field) {
  constexpr std::string_view kNames[] = {"eventTime", "firstTimestamp", "lastTimestamp",
                                         "deprecatedFirstTimestamp", "deprecatedLastTimestamp"};
  return std::ranges::find(kNames, field.name) != std::end(kNames);
}
}  // namespace

void fill_always_present(const TypeInfo& type, Json& object) {
  for (const Field& field : type.fields) {
    if (is_time_of_event(field)) object.set(field.name, Json());
    if (!is_always_there(field)) continue;
    if (field.shape != Shape::Single) {
      object.set(field.name, Json());
    } else if (field.value == ValueType::Struct) {
      // Only a required field can lead back to its own type, and then nothing could be its value.
      Json below = Json::object();
      fill_always_present(*field.type, below);
      object.set(field.name, std::move(below));
    }
  }
}

}  // namespace pelton::api::fields
