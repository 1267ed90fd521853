// SPDX-License-Identifier: Apache-2.0
// Which kinds upstream has as Go types, and which it knows by a CustomResourceDefinition alone.
//
// It shows in small things: a Go type has members that nobody set, and leaves out maps and lists
// that are empty; an object of a custom kind is kept as it came. Pure.
#pragma once
#include "api/registry.h"

namespace pelton::api {

inline bool is_native(const ResourceInfo& resource) {
  const std::string_view group = resource.group;
  if (resource.custom != nullptr) return false;
  return group.find('.') == std::string_view::npos ||
         (group.ends_with(".k8s.io") && !group.ends_with(".x-k8s.io"));
}

}  // namespace pelton::api
