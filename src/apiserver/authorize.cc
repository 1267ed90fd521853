// SPDX-License-Identifier: Apache-2.0
#include "apiserver/authorize.h"

#include <algorithm>
#include <array>

#include "apiserver/api_status.h"
#include "base/strings.h"

namespace pelton::apiserver {

using base::Json;
using base::Status;

namespace {
constexpr std::string_view kMasters = "system:masters";
constexpr std::string_view kNodes = "system:nodes";
constexpr std::string_view kMonitoring = "system:monitoring";
constexpr std::string_view kNodePrefix = "system:node:";
constexpr std::string_view kNodeLeases = "kube-node-lease";

bool in_group(const net::Identity& who, std::string_view group) {
  return std::find(who.groups.begin(), who.groups.end(), group) != who.groups.end();
}

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

bool is_read(const Access& a) {
  return is_one_of(a.verb, {"get", "list", "watch"});
}

/// The value that "name=value" (or ==) demands in a field selector; "" where it does not.
std::string demanded(const Access& a, std::string_view field) {
  for (std::string_view term : base::split(a.field_selector, ',')) {
    const size_t equals = term.find('=');
    if (equals == std::string_view::npos || term.substr(0, equals) != field) continue;
    std::string_view value = term.substr(equals + 1);
    if (!value.empty() && value.front() == '=') value.remove_prefix(1);
    return std::string(value);
  }
  return {};
}

/// Why a node may not, or nullptr.
const char* node_refusal(const std::string& node, const Access& a) {
  const bool own_name = a.name == node;
  if (a.group.empty() && a.resource == "nodes") {
    if (is_read(a)) return nullptr;
    if (a.verb == "create" && a.subresource.empty())
      return nullptr;  // admit_node() checks the name
    if (is_one_of(a.verb, {"update", "patch"}) && own_name) return nullptr;
    return "a node may write its own Node only";
  }
  if (a.group == "coordination.k8s.io" && a.resource == "leases") {
    if (a.ns != kNodeLeases) return "a node may use leases in kube-node-lease only";
    if (a.verb == "create") return nullptr;
    if (own_name && !is_one_of(a.verb, {"list", "watch", "deletecollection"})) return nullptr;
    return "a node may use its own Lease only";
  }
  if (a.group.empty() && a.resource == "pods") {
    if (is_one_of(a.verb, {"list", "watch"})) {
      return demanded(a, "spec.nodeName") == node
                 ? nullptr
                 : "a node may list and watch pods with field selector spec.nodeName=<node> only";
    }
    if (a.verb == "get" && a.subresource.empty()) return nullptr;
    if (a.verb == "delete" && a.subresource.empty()) return nullptr;
    if (is_one_of(a.verb, {"get", "update", "patch"}) && a.subresource == "status") return nullptr;
    return "a node may read and delete the pods bound to it and write their status only";
  }
  if (a.resource == "events" && (a.group.empty() || a.group == "events.k8s.io")) {
    return is_one_of(a.verb, {"create", "update", "patch"}) ? nullptr
                                                            : "a node may record events only";
  }
  if (a.group.empty() && is_one_of(a.resource, {"secrets", "configmaps"})) {
    if (is_read(a) && !referenced_name(a).empty()) return nullptr;
    return "a node may read by name the objects that its pods use";
  }
  if (is_read(a) && a.subresource.empty() &&
      ((a.group.empty() && is_one_of(a.resource, {"services", "namespaces"})) ||
       (a.group == "discovery.k8s.io" && a.resource == "endpointslices") ||
       (a.group == "pelton.dev" && a.resource == "recoverypolicies"))) {
    return nullptr;
  }
  return "not among what a node needs";
}
}  // namespace

std::string node_of(const net::Identity& who) {
  if (!in_group(who, kNodes) || who.name.rfind(kNodePrefix, 0) != 0) return {};
  return who.name.substr(kNodePrefix.size());
}

Status access_denied(const net::Identity& who, const Access& a, std::string_view why) {
  std::string text = "User \"" + who.name + "\" cannot " + a.verb + " ";
  if (!a.non_resource_path.empty()) {
    return {base::Code::Forbidden, "forbidden: " + text + "path \"" + a.non_resource_path + "\""};
  }
  std::string resource = a.resource;
  if (!a.subresource.empty()) resource += "/" + a.subresource;
  text += "resource \"" + resource + "\" in API group \"" + a.group + "\"";
  text += a.ns.empty() || a.resource == "namespaces" ? " at the cluster scope"
                                                     : " in the namespace \"" + a.ns + "\"";
  if (!why.empty()) text.append(": ").append(why);
  StatusSubject subject;
  subject.group = a.group;
  subject.resource = a.resource;
  subject.name = a.name;
  return forbidden(subject, text);
}

Status authorize(const net::Identity& who, const Access& access) {
  if (in_group(who, kMasters)) return base::ok();
  const std::string node = node_of(who);
  if (!access.non_resource_path.empty()) {
    const bool is_metrics = access.non_resource_path == "/metrics";
    if (is_metrics ? in_group(who, kMonitoring) && access.verb == "get"
                   : !node.empty() && access.verb == "get") {
      return base::ok();
    }
    return access_denied(who, access, "");
  }
  if (node.empty()) return access_denied(who, access, "");
  const char* refusal = node_refusal(node, access);
  return refusal == nullptr ? base::ok() : access_denied(who, access, refusal);
}

Status admit_node(const net::Identity& who, const Access& a, const Json& object) {
  const std::string node = node_of(who);
  if (node.empty() || in_group(who, kMasters)) return base::ok();
  if (a.group.empty() && a.resource == "pods" && object["spec"]["nodeName"].as_string() != node) {
    return access_denied(who, a, "the pod is not bound to node \"" + node + "\"");
  }
  if (a.verb == "create" && is_one_of(a.resource, {"nodes", "leases"}) &&
      object["metadata"]["name"].as_string() != node) {
    return access_denied(who, a, "a node may create its own only");
  }
  return base::ok();
}

bool needs_referencing_pod(const net::Identity& who, const Access& a) {
  return !node_of(who).empty() && !in_group(who, kMasters) && a.group.empty() &&
         is_one_of(a.resource, {"secrets", "configmaps"});
}

std::string referenced_name(const Access& a) {
  return a.name.empty() ? demanded(a, "metadata.name") : a.name;
}

bool pod_references(const Json& pod, std::string_view resource, std::string_view name) {
  const bool secret = resource == "secrets";
  const Json& spec = pod["spec"];
  for (const Json& volume : spec["volumes"].items()) {
    if (secret ? volume["secret"]["secretName"].as_string() == name
               : volume["configMap"]["name"].as_string() == name) {
      return true;
    }
    for (const Json& source : volume["projected"]["sources"].items()) {
      if (source[secret ? "secret" : "configMap"]["name"].as_string() == name) return true;
    }
  }
  for (const char* list : {"containers", "initContainers"}) {
    for (const Json& container : spec[list].items()) {
      for (const Json& env : container["env"].items()) {
        const Json& from = env["valueFrom"][secret ? "secretKeyRef" : "configMapKeyRef"];
        if (from["name"].as_string() == name) return true;
      }
      for (const Json& from : container["envFrom"].items()) {
        if (from[secret ? "secretRef" : "configMapRef"]["name"].as_string() == name) return true;
      }
    }
  }
  if (secret) {
    for (const Json& ref : spec["imagePullSecrets"].items()) {
      if (ref["name"].as_string() == name) return true;
    }
  }
  return false;
}

}  // namespace pelton::apiserver
