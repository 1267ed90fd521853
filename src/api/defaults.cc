// SPDX-License-Identifier: Apache-2.0
#include "api/defaults.h"

#include <algorithm>
#include <string>

#include "api/custom/definition.h"
#include "api/custom/shape.h"
#include "api/defaults_table.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;

// A row whose text is parsed once.
struct ParsedRow {
  std::string_view type;
  std::string_view field;
  Json value;
};

const std::vector<ParsedRow>& parsed_rows() {
  static const std::vector<ParsedRow> rows = [] {
    std::vector<ParsedRow> out;
    for (const DefaultRow& row : default_rows()) {
      out.push_back({row.type, row.field, Json::parse(row.value).value()});
    }
    std::stable_sort(out.begin(), out.end(),
                     [](const ParsedRow& a, const ParsedRow& b) { return a.type < b.type; });
    return out;
  }();
  return rows;
}

void set_absent(Json& object, std::string_view name, Json value) {
  if (object[name].is_null()) object.set(name, std::move(value));
}

// Absent, or the empty string, or zero: what upstream's non-pointer fields take for unset.
bool is_unset(const Json& value) {
  return value.is_null() || (value.is_string() && value.as_string().empty()) ||
         (value.is_int() && value.as_int() == 0);
}

// The tag of an image name is "latest", said or not: not the case with a digest.
bool is_latest(const std::string& image) {
  if (image.find('@') != std::string::npos) return false;
  const size_t slash = image.rfind('/');
  const size_t colon = image.find(':', slash == std::string::npos ? 0 : slash);
  return colon == std::string::npos || image.substr(colon + 1) == "latest";
}

void default_container(Json& container) {
  if (is_unset(container["imagePullPolicy"])) {
    container.set("imagePullPolicy",
                  is_latest(container["image"].as_string()) ? "Always" : "IfNotPresent");
  }
}

void default_volume(Json& volume) {
  if (volume.size() <= 1 && volume.contains("name")) volume.set("emptyDir", Json::object());
}

// Requests that are not given follow the limits; only in pods, not in templates.
void default_requests(Json& container) {
  Json& resources = container.child("resources");
  const Json limits = resources["limits"];
  for (const Json::Member& limit : limits.members()) {
    set_absent(resources.child("requests"), limit.name, limit.value);
  }
}

void default_host_ports(Json& container) {
  if (!container.contains("ports")) return;
  for (Json& port : container.child("ports").mutable_items()) {
    if (is_unset(port["hostPort"])) port.set("hostPort", port["containerPort"]);
  }
}

void default_pod(Json& pod) {
  Json& spec = pod.child("spec");
  if (!spec.is_object()) return;
  set_absent(spec, "enableServiceLinks", true);
  const bool has_host_network = spec["hostNetwork"].as_bool();
  for (const char* list : {"containers", "initContainers"}) {
    if (!spec.contains(list)) continue;
    for (Json& container : spec.child(list).mutable_items()) {
      default_requests(container);
      if (has_host_network) default_host_ports(container);
    }
  }
}

void default_service_spec(Json& spec) {
  const std::string type = spec["type"].as_string();
  const bool is_external = type == "NodePort" || type == "LoadBalancer";
  if (spec["sessionAffinity"].as_string() == "ClientIP") {
    set_absent(spec.child("sessionAffinityConfig").child("clientIP"), "timeoutSeconds", 10800);
  } else {
    spec.erase("sessionAffinityConfig");
  }
  if (spec.contains("ports")) {
    for (Json& port : spec.child("ports").mutable_items()) {
      if (is_unset(port["targetPort"])) port.set("targetPort", port["port"]);
    }
  }
  if (type == "ExternalName") return;
  set_absent(spec, "internalTrafficPolicy", "Cluster");
  if (is_external) set_absent(spec, "externalTrafficPolicy", "Cluster");
  if (type == "LoadBalancer") set_absent(spec, "allocateLoadBalancerNodePorts", true);
}

void default_job(Json& job) {
  const Json& labels = job["spec"]["template"]["metadata"]["labels"];
  if (!labels.empty() && labels_of(job).empty()) {
    Json copy = labels;
    job.child("metadata").set("labels", std::move(copy));
  }
}

// Runs before the table's rows, which would hide what was not set.
void default_job_spec(Json& spec) {
  if (spec["completions"].is_null() && spec["parallelism"].is_null()) spec.set("completions", 1);
  set_absent(spec, "backoffLimit", spec.contains("backoffLimitPerIndex") ? INT32_MAX : 6);
  set_absent(spec, "podReplacementPolicy",
             spec.contains("podFailurePolicy") ? "Failed" : "TerminatingOrFailed");
}

void default_namespace(Json& object) {
  if (name_of(object).empty()) return;
  object.make("metadata.labels").set("kubernetes.io/metadata.name", name_of(object));
}

// One address range said in two ways.
void default_node_spec(Json& spec) {
  if (!is_unset(spec["podCIDR"])) set_absent(spec, "podCIDRs", Json::array({spec["podCIDR"]}));
}

// The deprecated name of the same field.
void default_pod_spec(Json& spec) {
  if (is_unset(spec["serviceAccountName"])) {
    if (is_unset(spec["serviceAccount"])) return;
    spec.set("serviceAccountName", spec["serviceAccount"]);
  }
  spec.set("serviceAccount", spec["serviceAccountName"]);
}

void default_node(Json& node) {
  if (!node["status"]["capacity"].is_object()) return;
  Json& status = node.child("status");
  const Json capacity = status["capacity"];
  set_absent(status, "allocatable", capacity);
}

void default_role_binding(Json& binding) {
  Json& reference = binding.child("roleRef");
  if (!reference.is_object()) reference = Json::object();
  if (is_unset(reference["apiGroup"])) reference.set("apiGroup", kRbacGroup);
}

void default_subject(Json& subject) {
  const std::string& kind = subject["kind"].as_string();
  if ((kind == "User" || kind == "Group") && is_unset(subject["apiGroup"])) {
    subject.set("apiGroup", kRbacGroup);
  }
}

// stringData is data that needs no base64; it is never stored.
void default_secret(Json& secret) {
  const Json text = secret["stringData"];
  for (const Json::Member& member : text.members()) {
    secret.child("data").set(member.name, base::base64_encode(member.value.as_string()));
  }
  secret.erase("stringData");
}

// What JobSet's webhook fills in inside lists. Upstream does so on create only; here also on
// update, so that the same manifest can be applied twice: kubectl replaces lists as a whole.
void default_jobset_lists(Json& spec) {
  if (spec["replicatedJobs"].is_array()) {
    for (Json& replicated : spec.child("replicatedJobs").mutable_items()) {
      if (!replicated["template"].is_object()) continue;  // required: validation says so
      Json& job = replicated.make("template.spec");
      set_absent(job, "completionMode", "Indexed");
      set_absent(job.make("template.spec"), "restartPolicy", "OnFailure");
    }
  }
  if (spec["failurePolicy"]["rules"].is_array()) {
    size_t index = 0;
    for (Json& rule : spec.child("failurePolicy").child("rules").mutable_items()) {
      if (is_unset(rule["name"])) rule.set("name", "failurePolicyRule" + std::to_string(index));
      ++index;
    }
  }
}

// What it fills in beside them, on create only: each may be removed later.
void default_jobset_policies(Json& spec) {
  set_absent(spec.child("successPolicy"), "operator", "All");
  set_absent(spec.child("startupPolicy"), "startupPolicyOrder", "AnyOrder");
  set_absent(spec.child("network"), "enableDNSHostnames", true);
  set_absent(spec.child("network"), "publishNotReadyAddresses", true);
}

void default_definition_spec(Json& spec) {
  const std::string kind = spec["names"]["kind"].as_string();
  if (spec["names"].is_object() && !kind.empty()) {
    Json& names = spec.child("names");
    if (is_unset(names["singular"])) names.set("singular", base::to_lower(kind));
    if (is_unset(names["listKind"])) names.set("listKind", kind + "List");
  }
  set_absent(spec, "conversion", Json::object({{"strategy", "None"}}));
}

struct TypeRule {
  std::string_view type;
  void (*apply)(Json&);
  bool is_before_rows = false;
};

constexpr TypeRule kRules[] = {
    {"io.k8s.api.batch.v1.Job", default_job},
    {"io.k8s.api.batch.v1.JobSpec", default_job_spec, true},
    {"io.k8s.api.core.v1.Container", default_container},
    {"io.k8s.api.core.v1.EphemeralContainer", default_container},
    {"io.k8s.api.core.v1.Namespace", default_namespace},
    {"io.k8s.api.core.v1.Node", default_node},
    {"io.k8s.api.core.v1.NodeSpec", default_node_spec},
    {"io.k8s.api.core.v1.Pod", default_pod},
    {"io.k8s.api.core.v1.PodSpec", default_pod_spec},
    {"io.k8s.api.core.v1.Secret", default_secret},
    {"io.k8s.api.core.v1.ServiceSpec", default_service_spec},
    {"io.k8s.api.core.v1.Volume", default_volume, true},
    {"io.k8s.api.rbac.v1.ClusterRoleBinding", default_role_binding},
    {"io.k8s.api.rbac.v1.RoleBinding", default_role_binding},
    {"io.k8s.api.rbac.v1.Subject", default_subject},
    {"io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec",
     default_definition_spec},
};

void run_rules(const TypeInfo& type, Json& object, bool is_before_rows) {
  for (const TypeRule& rule : kRules) {
    if (rule.type == type.name && rule.is_before_rows == is_before_rows) rule.apply(object);
  }
}

// JobSet is a custom resource: its schema defaults only what is its own, never the Jobs inside.
bool is_foreign(const Field& field, bool is_in_jobset) {
  return is_in_jobset && !field.type->name.starts_with("io.x-k8s.jobset.");
}

void walk(const TypeInfo& type, Json& object, bool is_in_jobset) {
  if (!object.is_object()) return;
  run_rules(type, object, true);
  const auto& rows = parsed_rows();
  auto row = std::lower_bound(rows.begin(), rows.end(), type.name,
                              [](const ParsedRow& r, std::string_view t) { return r.type < t; });
  for (; row != rows.end() && row->type == type.name; ++row) {
    const Json& have = object[row->field];
    // Zero and "" count as unset where upstream has no pointer; false and 0 of pointers stay.
    const bool is_zero_unset = type.name == "io.k8s.api.core.v1.Probe" || have.is_string();
    if (have.is_null() || (is_zero_unset && is_unset(have))) object.set(row->field, row->value);
  }
  for (Json::Member& member : object.mutable_members()) {
    const Field* field = type.find(member.name);
    if (!field || field->value != ValueType::Struct || is_foreign(*field, is_in_jobset)) continue;
    if (field->shape == Shape::Single) {
      walk(*field->type, member.value, is_in_jobset);
    } else if (member.value.is_array()) {
      for (Json& item : member.value.mutable_items()) walk(*field->type, item, is_in_jobset);
    } else if (member.value.is_object()) {
      for (Json::Member& item : member.value.mutable_members()) {
        walk(*field->type, item.value, is_in_jobset);
      }
    }
  }
  run_rules(type, object, false);
}

}  // namespace

void apply_defaults(const ResourceInfo& resource, Json& object, bool is_create) {
  if (resource.custom != nullptr) return custom::fill_defaults(*resource.custom->schema, object);
  const bool is_jobset = resource.kind == "JobSet";
  if (is_jobset && object["spec"].is_object()) {
    default_jobset_lists(object.child("spec"));
    if (is_create) default_jobset_policies(object.child("spec"));
  }
  walk(*resource.type, object, is_jobset);
}

}  // namespace pelton::api
