// SPDX-License-Identifier: Apache-2.0
#include "api/pod_resources.h"

#include <algorithm>

#include "api/quantity.h"

namespace pelton::api {

using base::Json;

namespace {

constexpr int64_t kPodsPerNode = 110;

void add(Amounts& to, const Amounts& amounts) {
  for (const auto& [resource, amount] : amounts) to[resource] += amount;
}

void raise(Amounts& to, const Amounts& amounts) {
  for (const auto& [resource, amount] : amounts) {
    to[resource] = std::max(to[resource], amount);
  }
}

Amounts requests_in(const Json& resources) {
  Amounts out = amounts_from(resources["limits"]);
  for (const auto& [resource, amount] : amounts_from(resources["requests"])) {
    out[resource] = amount;
  }
  return out;
}

}  // namespace

Amounts amounts_from(const Json& map) {
  Amounts out;
  for (const auto& [resource, text] : map.members()) {
    const Quantity quantity = Quantity::or_zero(text);
    out[resource] = resource == "cpu" ? quantity.milli_value() : quantity.value();
  }
  return out;
}

Amounts requests_of(const Json& pod) {
  const Json& spec = pod["spec"];
  Amounts running;   // containers, and init containers that keep running
  Amounts sidecars;  // those of the init containers so far
  Amounts peak;      // what starting up takes at most
  for (const Json& container : spec["initContainers"].items()) {
    const Amounts own = requests_in(container["resources"]);
    if (container["restartPolicy"].as_string() == "Always") {
      add(sidecars, own);
      raise(peak, sidecars);
      continue;
    }
    Amounts together = sidecars;
    add(together, own);
    raise(peak, together);
  }
  for (const Json& container : spec["containers"].items()) {
    add(running, requests_in(container["resources"]));
  }
  add(running, sidecars);
  raise(running, peak);
  for (const auto& [resource, amount] : requests_in(spec["resources"])) running[resource] = amount;
  add(running, amounts_from(spec["overhead"]));
  std::erase_if(running, [](const auto& entry) { return entry.second == 0; });
  running["pods"] = 1;
  return running;
}

Amounts allocatable_of(const Json& node) {
  const Json& allocatable = node["status"]["allocatable"];
  Amounts out = amounts_from(allocatable.empty() ? node["status"]["capacity"] : allocatable);
  out.emplace("pods", kPodsPerNode);
  return out;
}

bool has_ended(const Json& pod) {
  const std::string& phase = pod["status"]["phase"].as_string();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace pelton::api
