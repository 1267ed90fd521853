// SPDX-License-Identifier: Apache-2.0
// Kinds whose rules fit on a page: Service, Node, Lease, ConfigMap, Secret, EndpointSlice, Event.
#include <fmt/format.h>

#include <set>

#include "api/names.h"
#include "api/object.h"
#include "api/quantity.h"
#include "api/validate_kinds.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr size_t kConfigBytesMax = 1024 * 1024;

void check_service_ports(Findings& findings, const Path& path, const Json& ports) {
  std::set<std::string> names, pairs;
  size_t index = 0;
  for (const Json& port : ports.items()) {
    const Path at = path[index++];
    const std::string& name = port["name"].as_string();
    if (name.empty() && ports.size() > 1) findings.required(at / "name");
    check_with(findings, at / "name", port["name"], check_dns1123_label);
    if (!name.empty() && !names.insert(name).second) findings.duplicate(at / "name", name);
    check_port(findings, at / "port", port["port"]);
    check_one_of(findings, at / "protocol", port["protocol"], {"SCTP", "TCP", "UDP"});
    if (port["targetPort"].is_int()) {
      check_port(findings, at / "targetPort", port["targetPort"]);
    } else {
      check_with(findings, at / "targetPort", port["targetPort"], check_port_name);
    }
    const std::string pair =
        port["protocol"].as_string() + "/" + std::to_string(port["port"].as_int());
    if (!pairs.insert(pair).second) {
      findings.duplicate(at,
                         Json::object({{"port", port["port"]}, {"protocol", port["protocol"]}}));
    }
  }
}

void check_taints(Findings& findings, const Path& path, const Json& taints) {
  std::set<std::string> seen;
  size_t index = 0;
  for (const Json& taint : taints.items()) {
    const Path at = path[index++];
    const std::string problem = check_qualified_name(taint["key"].as_string());
    if (!problem.empty()) findings.invalid(at / "key", taint["key"], problem);
    check_with(findings, at / "value", taint["value"], check_label_value);
    if (taint["effect"].as_string().empty()) {
      findings.required(at / "effect");
    } else {
      check_one_of(findings, at / "effect", taint["effect"],
                   {"NoExecute", "NoSchedule", "PreferNoSchedule"});
    }
    if (!seen.insert(taint["key"].as_string() + ":" + taint["effect"].as_string()).second) {
      findings.duplicate(at, taint);
    }
  }
}

size_t decoded_size(const Json& value) {
  auto bytes = base::base64_decode(value.as_string());
  return bytes.ok() ? bytes->size() : value.as_string().size();
}

}  // namespace

void validate_service(Findings& findings, const Json& service) {
  const Json& spec = service["spec"];
  const Path path("spec");
  const std::string& type = spec["type"].as_string();
  const bool is_headless = spec["clusterIP"].as_string() == "None";
  check_one_of(findings, path / "type", spec["type"],
               {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"});
  if (spec["ports"].empty() && !is_headless && type != "ExternalName") {
    findings.required(path / "ports");
  }
  check_service_ports(findings, path / "ports", spec["ports"]);
  check_labels(findings, path / "selector", spec["selector"]);
  check_one_of(findings, path / "sessionAffinity", spec["sessionAffinity"], {"ClientIP", "None"});
  check_one_of(findings, path / "ipFamilyPolicy", spec["ipFamilyPolicy"],
               {"PreferDualStack", "RequireDualStack", "SingleStack"});
  if (is_headless && (type == "NodePort" || type == "LoadBalancer")) {
    findings.invalid((path / "clusterIPs")[0], "None",
                     "may not be set to 'None' for " + type + " services");
  } else if (!is_headless) {
    check_with(findings, (path / "clusterIPs")[0], spec["clusterIP"], check_ip);
  }
  if (type == "ExternalName") {
    if (spec["externalName"].as_string().empty()) findings.required(path / "externalName");
    check_with(findings, path / "externalName", spec["externalName"], check_dns1123_subdomain);
  }
}

void validate_service_update(Findings& findings, const Json& before, const Json& after) {
  const std::string& old_ip = before["spec"]["clusterIP"].as_string();
  if (old_ip.empty() || before["spec"]["type"].as_string() == "ExternalName" ||
      after["spec"]["type"].as_string() == "ExternalName") {
    return;
  }
  if (after["spec"]["clusterIP"].as_string() != old_ip) {
    findings.invalid(Path("spec.clusterIPs[0]"), after["spec"]["clusterIPs"],
                     "may not change once set");
  }
}

void validate_node(Findings& findings, const Json& node) {
  check_taints(findings, Path("spec.taints"), node["spec"]["taints"]);
  for (const char* list : {"capacity", "allocatable"}) {
    for (const Json::Member& member : node["status"][list].members()) {
      const Path at = (Path("status") / list).key(member.name);
      const std::string problem = check_qualified_name(member.name);
      if (!problem.empty()) findings.invalid(at, member.name, problem);
      if (Quantity::or_zero(member.value).is_negative()) {
        findings.invalid(at, member.value, "must be greater than or equal to 0");
      }
    }
  }
}

void validate_node_update(Findings& findings, const Json& before, const Json& after) {
  const Json& old_spec = before["spec"];
  const Json& new_spec = after["spec"];
  for (const char* field : {"podCIDR", "providerID"}) {
    if (!old_spec[field].as_string().empty() && !(old_spec[field] == new_spec[field])) {
      findings.forbidden(
          Path("spec") / field,
          fmt::format("node updates may not change {} except from \"\" to valid", field));
    }
  }
}

void validate_lease(Findings& findings, const Json& lease) {
  const Json& spec = lease["spec"];
  const Path path("spec");
  check_at_least(findings, path / "leaseDurationSeconds", spec["leaseDurationSeconds"], 1);
  check_at_least(findings, path / "leaseTransitions", spec["leaseTransitions"], 0);
  if (spec["holderIdentity"].is_string() && spec["holderIdentity"].as_string().empty()) {
    findings.invalid(path / "holderIdentity", "", "must not be empty");
  }
}

void validate_config(Findings& findings, const Json& object) {
  const bool is_secret = object["kind"].as_string() == "Secret";
  size_t total = 0;
  for (const char* list : {"data", "binaryData"}) {
    for (const Json::Member& member : object[list].members()) {
      const Path at = Path(list).key(member.name);
      const std::string problem = check_config_key(member.name);
      if (!problem.empty()) findings.invalid(at, member.name, problem);
      const bool is_binary = is_secret || std::string_view(list) == "binaryData";
      total += is_binary ? decoded_size(member.value) : member.value.as_string().size();
      if (!is_secret && is_binary && object["data"].contains(member.name)) {
        findings.invalid(at, member.name, "duplicate of key present in data");
      }
    }
  }
  if (total > kConfigBytesMax) findings.too_long(is_secret ? "data" : "", kConfigBytesMax);
  if (object["type"].as_string() == "kubernetes.io/tls") {
    for (const char* key : {"tls.crt", "tls.key"}) {
      if (!object["data"].contains(key)) findings.required(Path("data").key(key));
    }
  }
}

void validate_config_update(Findings& findings, const Json& before, const Json& after) {
  if (before["kind"].as_string() == "Secret") {
    check_immutable(findings, Path("type"), before["type"], after["type"]);
  }
  if (!before["immutable"].as_bool()) return;
  if (!after["immutable"].as_bool()) {
    findings.forbidden(Path("immutable"), "field is immutable when `immutable` is set");
  }
  for (const char* field : {"data", "binaryData"}) {
    if (!(before[field] == after[field])) {
      findings.forbidden(Path(field), "field is immutable when `immutable` is set");
    }
  }
}

void validate_endpoint_slice(Findings& findings, const Json& slice) {
  if (slice["addressType"].as_string().empty()) {
    findings.required(Path("addressType"));
  } else {
    check_one_of(findings, Path("addressType"), slice["addressType"], {"FQDN", "IPv4", "IPv6"});
  }
  constexpr size_t kEndpointsMax = 1000, kAddressesMax = 100;
  const size_t count = slice["endpoints"].size();
  if (count > kEndpointsMax) findings.too_many(Path("endpoints"), count, kEndpointsMax);
  size_t index = 0;
  for (const Json& endpoint : slice["endpoints"].items()) {
    const Path at = Path("endpoints")[index++] / "addresses";
    const size_t addresses = endpoint["addresses"].size();
    if (addresses == 0) findings.required(at, "must contain at least 1 address");
    if (addresses > kAddressesMax) findings.too_many(at, addresses, kAddressesMax);
    if (slice["addressType"].as_string() == "FQDN") continue;
    size_t address_index = 0;
    for (const Json& address : endpoint["addresses"].items()) {
      const std::string problem = check_ip(address.as_string());
      if (!problem.empty()) findings.invalid(at[address_index], address, problem);
      ++address_index;
    }
  }
}

void validate_event(Findings& findings, const Json& event) {
  const bool is_core = event["apiVersion"].as_string() == "v1";
  const char* object_field = is_core ? "involvedObject" : "regarding";
  const std::string& space = event[object_field]["namespace"].as_string();
  if (!space.empty() && space != namespace_of(event)) {
    findings.invalid(Path(object_field) / "namespace", space, "does not match event.namespace");
  }
  // Events of the new form say when, by whom and about what step.
  const bool is_new_form = event["eventTime"].is_string();
  if (!is_core && !is_new_form) {
    findings.required(Path("eventTime"));
    return;
  }
  if (!is_new_form) return;
  const char* controller = is_core ? "reportingComponent" : "reportingController";
  for (const char* field : {controller, "reportingInstance", "action", "reason"}) {
    if (event[field].as_string().empty()) findings.required(Path(field));
  }
  check_one_of(findings, Path("type"), event["type"], {"Normal", "Warning"});
}

void validate_gang_binding(Findings& findings, const Json& binding) {
  const Path path("spec.bindings");
  const Json& bindings = binding["spec"]["bindings"];
  if (bindings.empty()) findings.required(path, "name at least one pod and its node");
  std::set<std::string> pods;
  size_t index = 0;
  for (const Json& placement : bindings.items()) {
    const Path at = path[index++];
    for (const char* field : {"podName", "podUID", "nodeName"}) {
      if (placement[field].is_string() && placement[field].as_string().empty()) {
        findings.required(at / field);
      }
    }
    if (!pods.insert(placement["podName"].as_string()).second) {
      findings.duplicate(at / "podName", placement["podName"]);
    }
  }
}

}  // namespace pelton::api
