// SPDX-License-Identifier: Apache-2.0
#include "api/schema.h"

#include <algorithm>

namespace pelton::api {

const Field* TypeInfo::find(std::string_view field_name) const {
  auto it = std::lower_bound(fields.begin(), fields.end(), field_name,
                             [](const Field& f, std::string_view n) { return f.name < n; });
  return it != fields.end() && it->name == field_name ? &*it : nullptr;
}

const TypeInfo* find_type(std::string_view name) {
  const auto types = all_types();
  auto it = std::lower_bound(types.begin(), types.end(), name,
                             [](const TypeInfo* t, std::string_view n) { return t->name < n; });
  return it != types.end() && (*it)->name == name ? *it : nullptr;
}

}  // namespace pelton::api
