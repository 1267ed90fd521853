// SPDX-License-Identifier: Apache-2.0
#include "apiserver/pod_place.h"

#include "api/object.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;

Result<std::string> choose_container(const Call& call, const Json& pod) {
  std::vector<std::string> names;
  std::vector<std::string> init_names;
  for (const Json& c : pod["spec"]["containers"].items()) names.push_back(c["name"].as_string());
  for (const Json& c : pod["spec"]["initContainers"].items()) {
    init_names.push_back(c["name"].as_string());
  }
  const std::string& asked = call.query.get("container");
  if (!asked.empty()) {
    for (const auto* list : {&names, &init_names}) {
      for (const std::string& name : *list) {
        if (name == asked) return asked;
      }
    }
    return bad_request("container " + asked + " is not valid for pod " + call.path.name);
  }
  if (names.size() == 1) return names[0];
  if (const std::string& chosen =
          api::annotation_of(pod, "kubectl.kubernetes.io/default-container");
      !chosen.empty()) {
    return chosen;
  }
  std::string message = "a container name must be specified for pod " + call.path.name +
                        ", choose one of: [" + base::join(names, " ") + "]";
  if (!init_names.empty()) {
    message += " or one of the init containers: [" + base::join(init_names, " ") + "]";
  }
  return bad_request(message);
}

Result<world::Address> kubelet_address(const CorePtr& core, const std::string& node) {
  const api::ResourceInfo* nodes = core->registry->find("", "v1", "nodes");
  PELTON_CHECK(nodes != nullptr);
  PELTON_ASSIGN(const Stored stored, core->objects.get(*nodes, "", node));
  const Json& status = (*stored.object)["status"];
  world::Address address;
  address.port =
      static_cast<uint16_t>(status["daemonEndpoints"]["kubeletEndpoint"]["Port"].as_int());
  for (const Json& entry : status["addresses"].items()) {
    if (entry["type"].as_string() == "InternalIP") address.host = entry["address"].as_string();
  }
  if (address.host.empty() || address.port == 0) {
    return base::unavailable("node " + node +
                             " has not said where its kubelet listens: wait "
                             "until it is Ready");
  }
  return address;
}

}  // namespace pelton::apiserver
