// SPDX-License-Identifier: Apache-2.0
// A Namespace goes after everything in it.
#pragma once
#include <vector>

#include "base/json.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

struct NamespaceObserved {
  const base::Json* object = nullptr;       ///< the Namespace, never null
  std::vector<const base::Json*> contents;  ///< every object in it, of every kind
  /// Nothing can be in it that is not in `contents`: the views are newer than its deletion.
  bool is_complete = false;
};

/// Nothing unless it is being deleted. Pure.
Decision decide_namespace(const NamespaceObserved& observed);

}  // namespace pelton::decide::workload
