// SPDX-License-Identifier: Apache-2.0
// Which EndpointSlices a Service has: the addresses of the pods that its selector names.
//
// Slices have derived names and hold up to 100 endpoints each, in order of the pods' names. A
// headless Service without ports has slices too: DNS lives on their hostnames.
#pragma once
#include <vector>

#include "base/json.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

struct EndpointsObserved {
  const base::Json* service = nullptr;    ///< never null
  std::vector<const base::Json*> pods;    ///< of its namespace, that its selector matches
  std::vector<const base::Json*> slices;  ///< those that the Service owns, by uid
};

/// Whether the Service has endpoints by selector at all (neither ExternalName nor without one).
bool has_selected_endpoints(const base::Json& service);

/// Pure.
Decision decide_endpoints(const EndpointsObserved& observed);

}  // namespace pelton::decide::workload
