// SPDX-License-Identifier: Apache-2.0
#include "api/validate.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/custom/check_definition.h"
#include "api/custom/check_object.h"
#include "api/custom/definition.h"
#include "api/names.h"
#include "api/native.h"
#include "api/object.h"
#include "api/selector.h"
#include "api/validate_kinds.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Status;

constexpr size_t kAnnotationBytesMax = 256 * 1024;

// As the server's JSON shows a value: strings quoted, objects as JSON.
std::string shown(const Json& value) {
  std::string text = value.dump();
  constexpr size_t kShownMax = 1000;
  if (text.size() > kShownMax) text = text.substr(0, kShownMax) + "…";
  return text;
}

void check_annotations(Findings& findings, const Path& path, const Json& annotations) {
  size_t total = 0;
  for (const Json::Member& member : annotations.members()) {
    const std::string problem = check_qualified_name(base::to_lower(member.name));
    if (!problem.empty()) findings.invalid(path, member.name, problem);
    total += member.name.size() + member.value.as_string().size();
  }
  if (total > kAnnotationBytesMax) findings.too_long(path, kAnnotationBytesMax);
}

void check_owners(Findings& findings, const Path& path, const Json& owners) {
  bool has_controller = false;
  for (const Json& owner : owners.items()) {
    for (const char* field : {"apiVersion", "kind", "name", "uid"}) {
      if (owner[field].as_string().empty()) {
        findings.invalid(path / field, "", "must not be empty");
      }
    }
    if (owner["apiVersion"].as_string() == "v1" && owner["kind"].as_string() == "Event") {
      findings.invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner");
    }
    if (!owner["controller"].as_bool()) continue;
    if (has_controller) {
      findings.invalid(path, owners, "Only one reference can have Controller set to true.");
    }
    has_controller = true;
  }
}

void check_name(Findings& findings, const Path& path, const ResourceInfo& resource,
                const Json& name) {
  if (name.as_string().empty()) {
    findings.required(path, "name or generateName is required");
  } else if (resource.name_pattern == "label") {
    check_with(findings, path, name, check_dns1123_label);
  } else if (resource.name_pattern == "label1035") {
    check_with(findings, path, name, check_dns1035_label);
  } else if (resource.name_pattern == "path") {
    check_with(findings, path, name, check_path_segment);
  } else {
    check_with(findings, path, name, check_dns1123_subdomain);
  }
}

// Of built-in kinds a finalizer is one of Kubernetes' own or says by its domain whose it is.
void check_finalizer(Findings& findings, const Path& at, const Path& list, const Json& finalizer,
                     const ResourceInfo& resource) {
  const std::string& name = finalizer.as_string();
  check_with(findings, list, finalizer, check_qualified_name);
  if (!is_native(resource) || name.find('/') != std::string::npos) return;
  if (name != "kubernetes" && name != "orphan" && name != "foregroundDeletion") {
    findings.invalid(at, finalizer,
                     "name is neither a standard finalizer name nor is it fully qualified");
  }
}

void check_metadata(Findings& findings, const ResourceInfo& resource, const Json& metadata) {
  const Path path("metadata");
  check_name(findings, path / "name", resource, metadata["name"]);
  const std::string& space = metadata["namespace"].as_string();
  if (!resource.is_namespaced && !space.empty()) {
    findings.forbidden(path / "namespace", "not allowed on this type");
  } else if (resource.is_namespaced && space.empty()) {
    findings.required(path / "namespace");
  } else if (resource.is_namespaced) {
    check_with(findings, path / "namespace", metadata["namespace"], check_dns1123_label);
  }
  check_labels(findings, path / "labels", metadata["labels"]);
  check_annotations(findings, path / "annotations", metadata["annotations"]);
  check_owners(findings, path / "ownerReferences", metadata["ownerReferences"]);
  size_t index = 0;
  for (const Json& finalizer : metadata["finalizers"].items()) {
    check_finalizer(findings, (path / "finalizers")[index++], path / "finalizers", finalizer,
                    resource);
  }
}

void check_metadata_update(Findings& findings, const Json& before, const Json& after) {
  const Path path("metadata");
  for (const char* field : {"name", "namespace", "uid", "creationTimestamp"}) {
    check_immutable(findings, path / field, before[field], after[field]);
  }
  if (!before["deletionTimestamp"].is_string()) return;
  const auto& old = before["finalizers"].items();
  std::vector<std::string> added;
  for (const Json& finalizer : after["finalizers"].items()) {
    if (std::find(old.begin(), old.end(), finalizer) == old.end()) {
      added.push_back(finalizer.dump());
    }
  }
  if (!added.empty()) {
    findings.forbidden(path / "finalizers",
                       "no new finalizers can be added if the object is being deleted, found new "
                       "finalizers []string{" +
                           base::join(added, ", ") + "}");
  }
}

struct KindRules {
  std::string_view kind;
  void (*create)(Findings&, const Json&);
  void (*update)(Findings&, const Json&, const Json&);
};

void validate_definition(Findings& findings, const Json& definition) {
  custom::check_definition(findings, definition);
}

void validate_definition_update(Findings& findings, const Json& before, const Json& after) {
  custom::check_definition_update(findings, before, after);
}

void validate_pod(Findings& findings, const Json& pod) {
  validate_pod_spec(findings, Path("spec"), pod["spec"]);
}

constexpr KindRules kKinds[] = {
    {"ClusterRole", validate_cluster_role, nullptr},
    {"ClusterRoleBinding", validate_cluster_role_binding, validate_role_binding_update},
    {"ConfigMap", validate_config, validate_config_update},
    {"CustomResourceDefinition", validate_definition, validate_definition_update},
    {"EndpointSlice", validate_endpoint_slice, validate_endpoint_slice_update},
    {"Event", validate_event, validate_event_update},
    {"GangBinding", validate_gang_binding, nullptr},
    {"Job", validate_job, validate_job_update},
    {"JobSet", validate_jobset, validate_jobset_update},
    {"Lease", validate_lease, nullptr},
    {"Node", validate_node, validate_node_update},
    {"Pod", validate_pod, validate_pod_update},
    {"Secret", validate_config, validate_config_update},
    {"RecoveryPolicy", validate_recovery_policy, nullptr},
    {"Role", validate_role, nullptr},
    {"RoleBinding", validate_role_binding, validate_role_binding_update},
    {"Service", validate_service, validate_service_update},
};

const KindRules* rules_of(const ResourceInfo& resource) {
  if (resource.custom != nullptr) return nullptr;
  for (const KindRules& rules : kKinds) {
    if (rules.kind == resource.kind) return &rules;
  }
  return nullptr;
}

// JobSet's create rules do not run again on update, as in upstream's webhook; a pod's spec is
// compared with what it was instead; a definition's update rules include them.
bool reruns_on_update(std::string_view kind) {
  return kind != "CustomResourceDefinition" && kind != "JobSet" && kind != "Pod";
}

void check_field_table(Findings& findings, const ResourceInfo& resource, const Json& object) {
  if (resource.custom != nullptr) return;
  if (resource.kind != "JobSet" && resource.group != "pelton.dev") return;
  check_by_table(findings, Path(""), *resource.type, object);
}

void check_by_schema(Findings& findings, const ResourceInfo& resource, const Json& object,
                     const Json* before) {
  if (resource.custom == nullptr) return;
  custom::check_value(findings, *resource.custom->schema, "", object, before);
}

void check_status_by_schema(Findings& findings, const ResourceInfo& resource, const Json& before,
                            const Json& after) {
  const custom::Schema* schema = resource.custom->schema->property("status");
  const Json* status = after.find("status");
  if (schema == nullptr || status == nullptr) return;
  custom::check_value(findings, *schema, "status", *status, before.find("status"));
}

}  // namespace

void Findings::required(const std::string& field, const std::string& detail) {
  causes_.push_back({"FieldValueRequired", field,
                     detail.empty() ? "Required value" : "Required value: " + detail});
}

void Findings::invalid(const std::string& field, const Json& value, const std::string& detail) {
  causes_.push_back(
      {"FieldValueInvalid", field,
       fmt::format("Invalid value: {}{}{}", shown(value), detail.empty() ? "" : ": ", detail)});
}

void Findings::wrong_type(const std::string& field, const Json& value, const std::string& detail) {
  causes_.push_back(
      {"FieldValueTypeInvalid", field, fmt::format("Invalid value: {}: {}", shown(value), detail)});
}

void Findings::add(const Findings& others) {
  causes_.insert(causes_.end(), others.causes_.begin(), others.causes_.end());
}

void Findings::duplicate(const std::string& field, const Json& value) {
  causes_.push_back({"FieldValueDuplicate", field, "Duplicate value: " + shown(value)});
}

void Findings::forbidden(const std::string& field, const std::string& detail) {
  causes_.push_back({"FieldValueForbidden", field, "Forbidden: " + detail});
}

void Findings::not_supported(const std::string& field, const Json& value,
                             const std::vector<std::string_view>& supported) {
  std::vector<std::string> quoted;
  for (std::string_view text : supported) quoted.push_back(fmt::format("\"{}\"", text));
  causes_.push_back({"FieldValueNotSupported", field,
                     fmt::format("Unsupported value: {}: supported values: {}", shown(value),
                                 base::join(quoted, ", "))});
}

void Findings::too_long(const std::string& field, size_t limit_bytes) {
  causes_.push_back({"FieldValueTooLong", field,
                     fmt::format("Too long: may not be more than {} bytes", limit_bytes)});
}

void Findings::not_found(const std::string& field, const Json& value) {
  causes_.push_back({"FieldValueNotFound", field, "Not found: " + shown(value)});
}

void Findings::too_many(const std::string& field, size_t count, size_t limit) {
  causes_.push_back({"FieldValueTooMany", field,
                     fmt::format("Too many: {}: must have at most {} items", count, limit)});
}

Status Findings::to_status(const ResourceInfo& resource, std::string_view name) const {
  if (causes_.empty()) return base::ok();
  std::vector<std::string> parts;
  std::set<std::string> seen;
  for (const base::Cause& cause : causes_) {
    std::string text = cause.field + ": " + cause.message;
    if (seen.insert(text).second) parts.push_back(std::move(text));
  }
  const std::string all = base::join(parts, ", ");
  Status status(base::Code::InvalidArgument, "Invalid",
                fmt::format("{} \"{}\" is invalid: {}", resource.qualified_kind(), name,
                            parts.size() == 1 ? all : "[" + all + "]"));
  for (const base::Cause& cause : causes_) status.add_cause(cause);
  return status;
}

void check_with(Findings& findings, const Path& path, const Json& value,
                std::string (*check)(std::string_view)) {
  if (value.as_string().empty()) return;
  const std::string problem = check(value.as_string());
  if (!problem.empty()) findings.invalid(path, value, problem);
}

void check_labels(Findings& findings, const Path& path, const Json& labels) {
  for (const Json::Member& member : labels.members()) {
    std::string problem = check_qualified_name(member.name);
    if (!problem.empty()) findings.invalid(path, member.name, problem);
    problem = check_label_value(member.value.as_string());
    if (!problem.empty()) findings.invalid(path, member.value, problem);
  }
}

void check_one_of(Findings& findings, const Path& path, const Json& value,
                  std::initializer_list<std::string_view> supported) {
  if (value.is_null()) return;
  if (std::find(supported.begin(), supported.end(), value.as_string()) != supported.end()) return;
  findings.not_supported(path, value, {supported.begin(), supported.end()});
}

void check_at_least(Findings& findings, const Path& path, const Json& value, int64_t least) {
  if (value.is_null() || value.as_int() >= least) return;
  findings.invalid(path, value,
                   least == 1 ? "must be greater than 0"
                              : fmt::format("must be greater than or equal to {}", least));
}

void check_label_key(Findings& findings, const Path& path, const Json& key) {
  // Upstream says of nothing that it is too short and that its form is wrong.
  if (key.as_string().empty()) findings.invalid(path, "", "name part must consist of characters");
  const std::string problem = check_qualified_name(key.as_string());
  if (!problem.empty()) findings.invalid(path, key.as_string(), problem);
}

void check_port(Findings& findings, const Path& path, const Json& value) {
  if (value.as_int() >= 1 && value.as_int() <= 65535) return;
  findings.invalid(path, value, "must be between 1 and 65535, inclusive");
}

void check_label_selector(Findings& findings, const Path& path, const Json& selector) {
  check_labels(findings, path / "matchLabels", selector["matchLabels"]);
  size_t index = 0;
  for (const Json& expression : selector["matchExpressions"].items()) {
    const Path at = path / "matchExpressions";
    auto parsed = LabelSelector::from_expressions(Json::array({expression}));
    if (!parsed.ok()) findings.invalid(at[index], expression, parsed.error().message());
    ++index;
  }
}

void check_immutable(Findings& findings, const Path& path, const Json& before, const Json& after) {
  if (!(before == after)) findings.invalid(path, after, "field is immutable");
}

namespace {

void check_value_by_table(Findings& findings, const Path& path, const Field& field,
                          const Json& value) {
  if (field.value == ValueType::Struct) {
    check_by_table(findings, path, *field.type, value);
  } else if (!field.enum_values.empty()) {
    const auto allowed = base::split(field.enum_values, '|');
    if (std::find(allowed.begin(), allowed.end(), value.as_string()) == allowed.end()) {
      findings.not_supported(path, value, allowed);
    }
  }
}

void check_list_keys(Findings& findings, const Path& path, const Field& field, const Json& list) {
  if (field.list_map_keys.empty()) return;
  std::set<std::string> seen;
  size_t index = 0;
  for (const Json& item : list.items()) {
    Json key = Json::object();
    for (std::string_view name : base::split(field.list_map_keys, ',')) key.set(name, item[name]);
    if (!seen.insert(key.dump()).second) findings.duplicate(path[index], key);
    ++index;
  }
}

}  // namespace

void check_by_table(Findings& findings, const Path& path, const TypeInfo& type, const Json& value) {
  for (const Field& field : type.fields) {
    const Json* member = value.find(field.name);
    if (!member) {
      if (field.is_required) findings.required(path / field.name);
      continue;
    }
    // Jobs inside a JobSet are templates: checked when they are created.
    if (field.value == ValueType::Struct && field.type->name.starts_with("io.k8s.")) continue;
    if (field.shape == Shape::Single) {
      check_value_by_table(findings, path / field.name, field, *member);
    } else if (field.shape == Shape::List) {
      size_t index = 0;
      for (const Json& item : member->items()) {
        check_value_by_table(findings, (path / field.name)[index++], field, item);
      }
      check_list_keys(findings, path / field.name, field, *member);
    }
  }
}

Status validate_create(const ResourceInfo& resource, const Json& object) {
  Findings findings;
  check_metadata(findings, resource, object["metadata"]);
  check_field_table(findings, resource, object);
  check_by_schema(findings, resource, object, nullptr);
  const KindRules* rules = rules_of(resource);
  if (rules) rules->create(findings, object);
  return findings.to_status(resource, name_of(object));
}

Status validate_update(const ResourceInfo& resource, const Json& before, const Json& after) {
  Findings findings;
  check_metadata(findings, resource, after["metadata"]);
  check_metadata_update(findings, before["metadata"], after["metadata"]);
  check_field_table(findings, resource, after);
  check_by_schema(findings, resource, after, &before);
  if (const KindRules* rules = rules_of(resource)) {
    if (reruns_on_update(resource.kind)) rules->create(findings, after);
    if (rules->update) rules->update(findings, before, after);
  }
  return findings.to_status(resource, name_of(after));
}

Status validate_status_update(const ResourceInfo& resource, const Json& before, const Json& after) {
  Findings findings;
  check_metadata_update(findings, before["metadata"], after["metadata"]);
  if (resource.custom != nullptr) {
    check_status_by_schema(findings, resource, before, after);
    return findings.to_status(resource, name_of(after));
  }
  if (resource.kind == "JobSet") {
    check_field_table(findings, resource,
                      Json::object({{"spec", after["spec"]}, {"status", after["status"]}}));
  }
  if (resource.kind == "Job") validate_job_status(findings, before, after);
  if (resource.kind == "Service") validate_service_status(findings, after);
  if (resource.kind == "Namespace") validate_namespace_status(findings, after);
  if (resource.kind == "Pod") {
    const std::string& phase = after["status"]["phase"].as_string();
    if (!phase.empty()) {
      check_one_of(findings, Path("status.phase"), after["status"]["phase"],
                   {"Failed", "Pending", "Running", "Succeeded", "Unknown"});
    }
  }
  return findings.to_status(resource, name_of(after));
}

}  // namespace pelton::api
