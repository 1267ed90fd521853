// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/selector.h"
#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

void check_volume_source(Findings& findings, const Path& path, const Json& volume) {
  if (const Json* source = volume.find("hostPath")) {
    const std::string& host_path = (*source)["path"].as_string();
    if (host_path.empty()) findings.required(path / "hostPath" / "path");
    if (("/" + host_path + "/").find("/../") != std::string::npos) {
      findings.invalid(path / "hostPath" / "path", host_path, "must not contain '..'");
    }
    check_one_of(findings, path / "hostPath" / "type", (*source)["type"],
                 {"", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File",
                  "FileOrCreate", "Socket"});
  }
  if (const Json* source = volume.find("configMap")) {
    if ((*source)["name"].as_string().empty()) findings.required(path / "configMap" / "name");
  }
  if (const Json* source = volume.find("secret")) {
    if ((*source)["secretName"].as_string().empty()) {
      findings.required(path / "secret" / "secretName");
    }
  }
  if (const Json* source = volume.find("persistentVolumeClaim")) {
    if ((*source)["claimName"].as_string().empty()) {
      findings.required(path / "persistentVolumeClaim" / "claimName");
    }
  }
}

// In upstream's order, which decides which of two is one too many.
void check_one_source(Findings& findings, const Path& path, const Json& volume) {
  size_t sources = 0;
  for (const char* source :
       {"emptyDir", "hostPath", "secret", "nfs", "persistentVolumeClaim", "downwardAPI",
        "configMap", "projected", "ephemeral", "csi", "image"}) {
    if (volume.contains(source) && ++sources > 1) {
      findings.forbidden(path / source, "may not specify more than 1 volume type");
    }
  }
}

void check_volumes(Findings& findings, const Path& path, const Json& volumes) {
  std::set<std::string> names;
  size_t index = 0;
  for (const Json& volume : volumes.items()) {
    const Path at = path[index++];
    const std::string& name = volume["name"].as_string();
    if (name.empty()) {
      findings.required(at / "name");
    } else {
      check_with(findings, at / "name", volume["name"], check_dns1123_label);
      if (!names.insert(name).second) findings.duplicate(at / "name", name);
    }
    check_one_source(findings, at, volume);
    check_volume_source(findings, at, volume);
  }
}

void check_tolerations(Findings& findings, const Path& path, const Json& tolerations) {
  size_t index = 0;
  for (const Json& toleration : tolerations.items()) {
    const Path at = path[index++];
    const std::string& op = toleration["operator"].as_string();
    check_with(findings, at / "key", toleration["key"], check_qualified_name);
    if (toleration["key"].as_string().empty() && op != "Exists") {
      findings.invalid(at / "operator", op,
                       "operator must be Exists when `key` is empty, which means \"match all "
                       "values and all keys\"");
    }
    if (!op.empty())
      check_one_of(findings, at / "operator", toleration["operator"], {"Equal", "Exists"});
    if (op == "Exists" && !toleration["value"].as_string().empty()) {
      findings.invalid(at / "operator", toleration["value"],
                       "value must be empty when `operator` is 'Exists'");
    }
    if (!toleration["effect"].as_string().empty()) {
      check_one_of(findings, at / "effect", toleration["effect"],
                   {"NoExecute", "NoSchedule", "PreferNoSchedule"});
    }
    if (!toleration["tolerationSeconds"].is_null() &&
        toleration["effect"].as_string() != "NoExecute") {
      findings.invalid(at / "effect", toleration["effect"],
                       "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }
  }
}

void check_node_requirement(Findings& findings, const Path& path, const Json& requirement) {
  const std::string& op = requirement["operator"].as_string();
  const size_t values = requirement["values"].size();
  if (op == "In" || op == "NotIn") {
    if (values == 0) {
      findings.required(path / "values", "must be specified when `operator` is 'In' or 'NotIn'");
    }
  } else if (op == "Exists" || op == "DoesNotExist") {
    if (values > 0) {
      findings.forbidden(path / "values",
                         "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
  } else if (op == "Gt" || op == "Lt") {
    if (values != 1) {
      findings.required(path / "values",
                        "must be specified single value when `operator` is 'Lt' or 'Gt'");
    }
  } else {
    findings.invalid(path / "operator", requirement["operator"], "not a valid selector operator");
  }
  check_label_key(findings, path / "key", requirement["key"]);
}

void check_node_term(Findings& findings, const Path& path, const Json& term) {
  size_t index = 0;
  for (const Json& requirement : term["matchExpressions"].items()) {
    check_node_requirement(findings, (path / "matchExpressions")[index++], requirement);
  }
}

constexpr char kRequired[] = "requiredDuringSchedulingIgnoredDuringExecution";
constexpr char kPreferred[] = "preferredDuringSchedulingIgnoredDuringExecution";

void check_weight(Findings& findings, const Path& path, const Json& preference) {
  const int64_t weight = preference["weight"].as_int();
  if (weight >= 1 && weight <= 100) return;
  findings.invalid(path / "weight", preference["weight"], "must be in the range 1-100");
}

void check_affinity_term(Findings& findings, const Path& path, const Json& term) {
  const Json& key = term["topologyKey"];
  if (key.as_string().empty()) findings.required(path / "topologyKey", "can not be empty");
  check_label_key(findings, path / "topologyKey", key);
  check_label_selector(findings, path / "labelSelector", term["labelSelector"]);
}

void check_pod_affinity(Findings& findings, const Path& path, const Json& affinity) {
  size_t index = 0;
  for (const Json& term : affinity[kRequired].items()) {
    check_affinity_term(findings, (path / kRequired)[index++], term);
  }
  index = 0;
  for (const Json& preference : affinity[kPreferred].items()) {
    const Path at = (path / kPreferred)[index++];
    check_weight(findings, at, preference);
    check_affinity_term(findings, at / "podAffinityTerm", preference["podAffinityTerm"]);
  }
}

void check_spread(Findings& findings, const Path& path, const Json& constraints) {
  size_t index = 0;
  for (const Json& constraint : constraints.items()) {
    const Path at = path[index++];
    check_at_least(findings, at / "maxSkew", constraint["maxSkew"], 1);
    if (constraint["topologyKey"].as_string().empty()) {
      findings.required(at / "topologyKey", "can not be empty");
    }
    check_one_of(findings, at / "whenUnsatisfiable", constraint["whenUnsatisfiable"],
                 {"DoNotSchedule", "ScheduleAnyway"});
    check_label_selector(findings, at / "labelSelector", constraint["labelSelector"]);
  }
}

void check_affinity(Findings& findings, const Path& path, const Json& affinity) {
  const Path node_path = path / "nodeAffinity";
  if (const Json* required = affinity["nodeAffinity"].find(kRequired)) {
    const Path at = node_path / kRequired / "nodeSelectorTerms";
    const Json& terms = (*required)["nodeSelectorTerms"];
    if (terms.empty()) findings.required(at, "must have at least one node selector term");
    size_t index = 0;
    for (const Json& term : terms.items()) check_node_term(findings, at[index++], term);
  }
  size_t index = 0;
  for (const Json& preference : affinity["nodeAffinity"][kPreferred].items()) {
    const Path at = (node_path / kPreferred)[index++];
    check_weight(findings, at, preference);
    check_node_term(findings, at / "preference", preference["preference"]);
  }
  for (const char* kind : {"podAffinity", "podAntiAffinity"}) {
    check_pod_affinity(findings, path / kind, affinity[kind]);
  }
}

// What an update may change: images, deadlines, more tolerations, fewer scheduling gates.
Json without_mutable_fields(const Json& pod, bool was_gated) {
  Json spec = pod["spec"];
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    if (!spec[list].is_array()) continue;
    for (Json& container : spec.child(list).mutable_items()) container.erase("image");
  }
  for (const char* field : {"activeDeadlineSeconds", "tolerations", "schedulingGates",
                            "terminationGracePeriodSeconds"}) {
    spec.erase(field);
  }
  if (was_gated) spec.erase("nodeSelector"), spec.erase("affinity");
  return spec;
}

bool contains_all(const Json& whole, const Json& part) {
  const auto& items = whole.items();
  return std::all_of(part.items().begin(), part.items().end(), [&](const Json& item) {
    return std::find(items.begin(), items.end(), item) != items.end();
  });
}

void check_no_new_gates(Findings& findings, const Path& path, const Json& before,
                        const Json& after) {
  size_t index = 0;
  for (const Json& gate : after.items()) {
    const Path at = path[index++];
    if (std::find(before.items().begin(), before.items().end(), gate) == before.items().end()) {
      findings.forbidden(at / "name", "only deletion is allowed, but found new scheduling gate '" +
                                          gate["name"].as_string() + "'");
    }
  }
}

// A deadline may be set and come nearer.
void check_deadline(Findings& findings, const Path& path, const Json& before, const Json& after) {
  if (before.is_null()) return;
  if (after.is_null()) {
    findings.invalid(path, after, "must not update from a positive integer to nil value");
  } else if (after.as_int() > before.as_int()) {
    findings.invalid(path, after, "must be less than or equal to previous value");
  }
}

}  // namespace

void validate_pod_spec(Findings& findings, const Path& path, const Json& spec) {
  check_volumes(findings, path / "volumes", spec["volumes"]);
  validate_containers(findings, path, spec);
  if (spec["restartPolicy"].as_string().empty()) {
    findings.required(path / "restartPolicy");
  } else {
    check_one_of(findings, path / "restartPolicy", spec["restartPolicy"],
                 {"Always", "OnFailure", "Never"});
  }
  check_one_of(findings, path / "dnsPolicy", spec["dnsPolicy"],
               {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"});
  check_at_least(findings, path / "activeDeadlineSeconds", spec["activeDeadlineSeconds"], 1);
  check_labels(findings, path / "nodeSelector", spec["nodeSelector"]);
  check_tolerations(findings, path / "tolerations", spec["tolerations"]);
  check_affinity(findings, path / "affinity", spec["affinity"]);
  check_spread(findings, path / "topologySpreadConstraints", spec["topologySpreadConstraints"]);
  check_user_ids(findings, path / "securityContext", spec["securityContext"]);
  check_with(findings, path / "priorityClassName", spec["priorityClassName"],
             check_dns1123_subdomain);
  check_with(findings, path / "hostname", spec["hostname"], check_dns1123_label);
  check_with(findings, path / "subdomain", spec["subdomain"], check_dns1123_label);
  check_with(findings, path / "nodeName", spec["nodeName"], check_dns1123_subdomain);
  check_with(findings, path / "serviceAccountName", spec["serviceAccountName"],
             check_dns1123_subdomain);
  std::set<std::string> gates;
  size_t index = 0;
  for (const Json& gate : spec["schedulingGates"].items()) {
    const Path at = (path / "schedulingGates")[index++];
    check_with(findings, at, gate["name"], check_qualified_name);
    if (!gates.insert(gate["name"].as_string()).second) findings.duplicate(at, gate["name"]);
  }
}

void validate_pod_template(Findings& findings, const Path& path, const Json& pod_template) {
  // Upstream's path of a template's labels leaves metadata out.
  check_labels(findings, path / "labels", pod_template["metadata"]["labels"]);
  validate_pod_spec(findings, path / "spec", pod_template["spec"]);
}

void validate_pod_update(Findings& findings, const Json& before, const Json& after) {
  const Path path("spec");
  const Json& old_spec = before["spec"];
  const Json& new_spec = after["spec"];
  const bool was_gated = !old_spec["schedulingGates"].empty();
  if (old_spec["containers"].size() != new_spec["containers"].size()) {
    findings.forbidden(path / "containers", "pod updates may not add or remove containers");
    return;
  }
  validate_containers(findings, path, new_spec);
  if (!contains_all(new_spec["tolerations"], old_spec["tolerations"])) {
    findings.forbidden(path / "tolerations",
                       "existing toleration can not be modified except its tolerationSeconds");
  }
  check_no_new_gates(findings, path / "schedulingGates", old_spec["schedulingGates"],
                     new_spec["schedulingGates"]);
  check_deadline(findings, path / "activeDeadlineSeconds", old_spec["activeDeadlineSeconds"],
                 new_spec["activeDeadlineSeconds"]);
  const bool changes_grace =
      !(old_spec["terminationGracePeriodSeconds"] == new_spec["terminationGracePeriodSeconds"]);
  if (changes_grace ||
      !(without_mutable_fields(before, was_gated) == without_mutable_fields(after, was_gated))) {
    findings.forbidden(
        path,
        "pod updates may not change fields other than "
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
        "`spec.tolerations` (only additions to existing tolerations),"
        "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously "
        "negative)");
  }
}

}  // namespace pelton::api
