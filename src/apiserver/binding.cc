// SPDX-License-Identifier: Apache-2.0
#include "apiserver/binding.h"

#include <set>

#include "api/object.h"
#include "apiserver/api_status.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
Status binding_conflict(const std::string& pod, const std::string& why) {
  StatusSubject s;
  s.resource = "pods/binding";
  s.name = pod;
  return object_conflict(s, why);
}
}  // namespace

Result<PodBinding> read_binding(const Json& body, const std::string& pod_name) {
  StatusSubject s;
  s.resource = "pods";
  s.kind = "Binding";
  s.name = pod_name;
  PodBinding out;
  const Json& target = body["target"];
  const std::string& kind = target["kind"].as_string();
  if (!kind.empty() && kind != "Node") {
    return invalid_field(s, "FieldValueNotSupported", "target.kind",
                         "Unsupported value: \"" + kind + "\": supported values: \"Node\"");
  }
  if (target["name"].as_string().empty()) {
    return invalid_field(s, "FieldValueRequired", "target.name", "Required value");
  }
  const std::string& name = body["metadata"]["name"].as_string();
  if (!name.empty() && name != pod_name) {
    return bad_request("the name of the binding (" + name + ") is not that of the pod (" +
                       pod_name + ")");
  }
  out.pod_name = pod_name;
  out.pod_uid = body["metadata"]["uid"].as_string();
  out.node_name = target["name"].as_string();
  return out;
}

Result<std::vector<PodBinding>> read_gang_binding(const Json& body) {
  StatusSubject s;
  s.group = "pelton.dev";
  s.resource = "gangbindings";
  s.kind = "GangBinding";
  s.name = api::name_of(body);
  std::vector<PodBinding> out;
  std::set<std::string> seen;
  const Json& bindings = body["spec"]["bindings"];
  if (bindings.empty()) {
    return invalid_field(s, "FieldValueRequired", "spec.bindings", "Required value");
  }
  for (size_t i = 0; i < bindings.size(); ++i) {
    const std::string at = "spec.bindings[" + std::to_string(i) + "].";
    PodBinding one{bindings[i]["podName"].as_string(), bindings[i]["podUID"].as_string(),
                   bindings[i]["nodeName"].as_string()};
    if (one.pod_name.empty()) {
      return invalid_field(s, "FieldValueRequired", at + "podName", "Required value");
    }
    if (one.node_name.empty()) {
      return invalid_field(s, "FieldValueRequired", at + "nodeName", "Required value");
    }
    if (!seen.insert(one.pod_name).second) {
      return invalid_field(s, "FieldValueDuplicate", at + "podName",
                           "Duplicate value: \"" + one.pod_name + "\"");
    }
    out.push_back(std::move(one));
  }
  return out;
}

Status pod_conflict(const PodBinding& binding, const std::string& why) {
  return binding_conflict(binding.pod_name, "pod " + binding.pod_name + " on node \"" +
                                                binding.node_name + "\": " + why);
}

Result<Json> bind_pod(Json pod, const PodBinding& binding, base::Instant now) {
  const std::string& name = binding.pod_name;
  if (!binding.pod_uid.empty() && binding.pod_uid != api::uid_of(pod)) {
    return binding_conflict(name, "Precondition failed: UID in precondition: " + binding.pod_uid +
                                      ", UID in object meta: " + api::uid_of(pod));
  }
  if (api::is_being_deleted(pod)) {
    return binding_conflict(name,
                            "pod " + name + " is being deleted, cannot be assigned to a host");
  }
  if (const std::string& node = pod["spec"]["nodeName"].as_string(); !node.empty()) {
    return binding_conflict(name, "pod " + name + " is already assigned to node \"" + node + "\"");
  }
  if (!pod["spec"]["schedulingGates"].empty()) {
    return binding_conflict(name, "pod " + name + " has non-empty .spec.schedulingGates");
  }
  pod.make("spec").set("nodeName", binding.node_name);
  api::set_condition(pod, {"PodScheduled", "True", "", ""}, now);
  for (Json& condition : pod.child("status").child("conditions").mutable_items()) {
    if (condition["type"].as_string() != "PodScheduled") continue;
    condition.set("lastProbeTime", nullptr);
    condition.erase("reason");
    condition.erase("message");
  }
  return pod;
}

Status gang_conflict(const std::string& gang, const PodBinding& binding, const std::string& why) {
  StatusSubject s;
  s.group = "pelton.dev";
  s.resource = "gangbindings";
  s.name = gang;
  Status status = object_conflict(
      s, "pod \"" + binding.pod_name + "\" on node \"" + binding.node_name + "\": " + why);
  status.add_cause({"FieldValueInvalid", "spec.bindings", binding.pod_name});
  return status;
}

}  // namespace pelton::apiserver
