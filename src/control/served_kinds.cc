// SPDX-License-Identifier: Apache-2.0
#include "control/served_kinds.h"

#include <set>

#include "api/registry.h"
#include "client/client.h"

namespace pelton::control {

std::vector<std::string> all_kinds() {
  std::set<std::string> kinds;
  for (const api::ResourceInfo* resource : api::Registry::builtin().resources()) {
    // Definitions of kinds are large, and no part of what owns or fills a namespace.
    if (resource->is_virtual || resource->kind == "CustomResourceDefinition") continue;
    kinds.emplace(resource->kind);
  }
  return {kinds.begin(), kinds.end()};
}

bool is_namespaced_kind(std::string_view kind) {
  const api::ResourceInfo* resource = client::find_resource(kind);
  return resource != nullptr && resource->is_namespaced;
}

bool is_view_past(const client::Cache& view, std::string_view kind, uint64_t revision,
                  base::Duration since, base::Duration lag_max) {
  return view.is_synced(kind) && (view.last_seen(kind) >= revision || since >= lag_max);
}

}  // namespace pelton::control
