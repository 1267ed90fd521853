// SPDX-License-Identifier: Apache-2.0
// The columns of `kubectl get`: which there are per kind, and the cells of one object. The API
// always sends all of them; kubectl hides those of priority 1 without -o wide. Pure.
#pragma once
#include <span>
#include <string_view>

#include "api/registry.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::api {

struct Column {
  std::string_view name;    ///< "Ready"
  std::string_view type;    ///< "string", "integer", "date"
  std::string_view format;  ///< "name" for the name, else ""
  int priority = 0;         ///< 0 always, 1 with -o wide
  std::string_view description;
};

/// The columns of a resource; name and age where it has no others.
std::span<const Column> columns_of(const ResourceInfo& resource);
/// One cell per column.
base::Json::Array cells_of(const ResourceInfo& resource, const base::Json& object,
                           base::Instant now);

}  // namespace pelton::api
