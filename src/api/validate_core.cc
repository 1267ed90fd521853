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

// An address at which somebody else can be reached.
void check_public_ip(Findings& findings, const Path& path, const Json& ip) {
  const std::string& text = ip.as_string();
  const std::string problem = check_ip(text);
  if (!problem.empty()) {
    findings.invalid(path, ip, problem);
  } else if (text.starts_with("127.") || text == "::1") {
    findings.invalid(path, ip, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
  } else if (text.starts_with("169.254.") || base::to_lower(text).starts_with("fe80:")) {
    findings.invalid(path, ip, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
  } else if (text == "0.0.0.0" || text == "::") {
    findings.invalid(path, ip, "may not be unspecified (0.0.0.0 or ::)");
  }
}

void check_cidr(Findings& findings, const Path& path, const Json& cidr) {
  const auto parts = base::split(cidr.as_string(), '/');
  const auto bits = base::parse_int(parts.back());
  const int64_t most = parts.front().find(':') == std::string_view::npos ? 32 : 128;
  if (parts.size() == 2 && check_ip(parts[0]).empty() && bits.ok() && *bits >= 0 && *bits <= most) {
    return;
  }
  findings.invalid(path, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
}

// What the well-known types of Secrets must hold.
void check_secret_type(Findings& findings, const Json& secret) {
  const std::string& type = secret["type"].as_string();
  const Json& data = secret["data"];
  const Path path("data");
  if (type == "kubernetes.io/tls") {
    for (const char* key : {"tls.crt", "tls.key"}) {
      if (!data.contains(key)) findings.required(path.key(key));
    }
  } else if (type == "kubernetes.io/basic-auth") {
    if (data.contains("username") || data.contains("password")) return;
    for (const char* key : {"username", "password"}) findings.required(path.key(key));
  } else if (type == "kubernetes.io/ssh-auth") {
    if (data["ssh-privatekey"].as_string().empty()) findings.required(path.key("ssh-privatekey"));
  } else if (type == "kubernetes.io/service-account-token") {
    constexpr char kName[] = "kubernetes.io/service-account.name";
    if (secret["metadata"]["annotations"][kName].as_string().empty()) {
      findings.required(Path("metadata.annotations").key(kName));
    }
  } else if (type == "kubernetes.io/dockerconfigjson" || type == "kubernetes.io/dockercfg") {
    const char* key = type.ends_with("json") ? ".dockerconfigjson" : ".dockercfg";
    const auto text = base::base64_decode(data[key].as_string());
    if (!data.contains(key)) {
      findings.required(path.key(key));
    } else if (!text.ok() || !Json::parse(*text).ok()) {
      findings.invalid(path.key(key), "<secret contents redacted>", "must be valid JSON");
    }
  }
}

void check_addresses(Findings& findings, const Path& path, const Json& addresses,
                     const std::string& type) {
  if (type != "IPv4" && type != "IPv6") return;
  size_t index = 0;
  for (const Json& address : addresses.items()) {
    const bool is_v6 = address.as_string().find(':') != std::string::npos;
    if (is_v6 != (type == "IPv6") && check_ip(address.as_string()).empty()) {
      findings.invalid(path, address, "must be an " + type + " address");
    }
    check_public_ip(findings, path[index++], address);
  }
}

void check_slice_ports(Findings& findings, const Json& ports) {
  std::set<std::string> names;
  size_t index = 0;
  for (const Json& port : ports.items()) {
    const Path at = Path("ports")[index++];
    check_with(findings, at / "name", port["name"], check_dns1123_label);
    if (!names.insert(port["name"].as_string()).second) {
      findings.duplicate(at / "name", port["name"]);
    }
    check_one_of(findings, at / "protocol", port["protocol"], {"SCTP", "TCP", "UDP"});
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
  size_t index = 0;
  for (const Json& ip : spec["externalIPs"].items()) {
    check_public_ip(findings, (path / "externalIPs")[index++], ip);
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

void validate_service_status(Findings& findings, const Json& service) {
  const bool is_balanced = service["spec"]["type"].as_string() == "LoadBalancer";
  if (!is_balanced && !service["status"]["loadBalancer"]["ingress"].empty()) {
    findings.forbidden(Path("status.loadBalancer.ingress"),
                       "may only be used when `spec.type` is \"LoadBalancer\"");
  }
}

void validate_namespace_status(Findings& findings, const Json& after) {
  const bool is_terminating = after["status"]["phase"].as_string() == "Terminating";
  if (is_terminating == is_being_deleted(after)) return;
  findings.invalid(Path("status.Phase"), after["status"]["phase"],
                   is_terminating ? "may only be 'Terminating' if `deletionTimestamp` is set"
                                  : "may only be 'Active' if `deletionTimestamp` is empty");
}

void validate_node(Findings& findings, const Json& node) {
  size_t index = 0;
  for (const Json& cidr : node["spec"]["podCIDRs"].items()) {
    check_cidr(findings, Path("spec.podCIDRs")[index++], cidr);
  }
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
  for (const char* field : {"podCIDRs", "providerID"}) {
    const Json& old = old_spec[field];
    const bool is_set = old.is_array() ? !old.empty() : !old.as_string().empty();
    if (is_set && !(old == new_spec[field])) {
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
        findings.invalid(Path("data").key(member.name), member.name,
                         "duplicate of key present in binaryData");
      }
    }
  }
  if (total > kConfigBytesMax) findings.too_long(is_secret ? "data" : "", kConfigBytesMax);
  if (is_secret) check_secret_type(findings, object);
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
    const Path path = Path("endpoints")[index++];
    const Path at = path / "addresses";
    const size_t addresses = endpoint["addresses"].size();
    if (addresses == 0) findings.required(at, "must contain at least 1 address");
    if (addresses > kAddressesMax) findings.too_many(at, addresses, kAddressesMax);
    check_with(findings, path / "hostname", endpoint["hostname"], check_dns1123_label);
    check_with(findings, path / "nodeName", endpoint["nodeName"], check_dns1123_subdomain);
    check_addresses(findings, at, endpoint["addresses"], slice["addressType"].as_string());
  }
  check_slice_ports(findings, slice["ports"]);
}

void validate_endpoint_slice_update(Findings& findings, const Json& before, const Json& after) {
  check_immutable(findings, Path("addressType"), before["addressType"], after["addressType"]);
}

void validate_event(Findings& findings, const Json& event) {
  const bool is_core = event["apiVersion"].as_string() == "v1";
  const char* object_field = is_core ? "involvedObject" : "regarding";
  const std::string& space = event[object_field]["namespace"].as_string();
  // Of an object without a namespace the event stands in "default".
  const std::string& own = namespace_of(event);
  if (space.empty() ? own != "default" : space != own) {
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
  check_label_key(findings, Path(controller), event[controller]);
  const std::string& type = event["type"].as_string();
  if (type != "Normal" && type != "Warning") {
    findings.invalid(Path("type"), type, "has invalid value");
  }
}

void validate_event_update(Findings& findings, const Json& before, const Json& after) {
  // Through core/v1 an event is counted up as clients always did.
  if (after["apiVersion"].as_string() == "v1" || !before["eventTime"].is_string()) return;
  struct Named {
    const char* field;
    const char* core;  ///< how upstream's message names it
  };
  for (const Named& named :
       {Named{"regarding", "involvedObject"}, Named{"reason", "reason"}, Named{"note", "message"},
        Named{"type", "type"}, Named{"eventTime", "eventTime"}, Named{"action", "action"},
        Named{"related", "related"}, Named{"reportingController", "reportingController"},
        Named{"reportingInstance", "reportingInstance"}}) {
    check_immutable(findings, Path(named.core), before[named.field], after[named.field]);
  }
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
