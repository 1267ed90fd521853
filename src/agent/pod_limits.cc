// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_limits.h"

#include <algorithm>

#include "agent/pod_lifecycle.h"
#include "api/quantity.h"

namespace pelton::agent {

using base::Json;

int64_t container_amount(const Json& container, const char* limits_or_requests,
                         const std::string& resource) {
  const auto amount = api::Quantity::or_zero(container["resources"][limits_or_requests][resource]);
  return resource == "cpu" ? amount.milli_value() : amount.value();
}

PodLimit pod_limit(const Json& pod, const std::string& resource) {
  PodLimit limit{.is_complete = true};
  int64_t together = 0, sidecars = 0, starting = 0;
  const auto amount_of = [&](const Json& container) {
    const int64_t amount = container_amount(container, "limits", resource);
    limit.is_complete = limit.is_complete && amount > 0;
    return amount;
  };
  for (const Json& container : pod.at("spec.containers").items()) together += amount_of(container);
  for (const Json& container : pod.at("spec.initContainers").items()) {
    const int64_t amount = amount_of(container);
    starting = std::max(starting, sidecars + amount);
    if (is_sidecar(container)) sidecars += amount;
  }
  limit.amount = std::max(together + sidecars, starting);
  return limit;
}

}  // namespace pelton::agent
