// SPDX-License-Identifier: Apache-2.0
#include "api/custom/check_definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/object.h"
#include "api/validate_kinds.h"
#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;

namespace {
constexpr size_t kSelectableMax = 8;
constexpr std::string_view kColumnTypes[] = {"boolean", "date", "integer", "number", "string"};
constexpr std::string_view kColumnFormats[] = {"byte",  "date",  "date-time", "double",
                                               "float", "int32", "int64",     "password"};

template <size_t N>
bool is_one_of(const std::string& text, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

template <size_t N>
std::string joined(const std::string_view (&list)[N]) {
  return base::join({std::begin(list), std::end(list)}, ",");
}

void check_enum(Findings& findings, const Path& path, const Json& value,
                std::initializer_list<std::string_view> supported) {
  if (value.as_string().empty()) return findings.required(path);
  check_one_of(findings, path, value, supported);
}

void check_label(Findings& findings, const Path& path, const Json& name, bool is_mixed_case) {
  if (name.as_string().empty()) return;
  const std::string problem =
      check_dns1035_label(is_mixed_case ? base::to_lower(name.as_string()) : name.as_string());
  if (problem.empty()) return;
  findings.invalid(
      path, name,
      is_mixed_case ? "may have mixed case, but should otherwise match: " + problem : problem);
}

void check_names(Findings& findings, const Path& path, const Json& names) {
  for (const char* field : {"plural", "singular"}) {
    check_label(findings, path / field, names[field], false);
  }
  for (const char* field : {"kind", "listKind"}) {
    check_label(findings, path / field, names[field], true);
  }
  for (const char* field : {"shortNames", "categories"}) {
    size_t index = 0;
    for (const Json& name : names[field].items()) {
      check_label(findings, (path / field)[index++], name, false);
    }
  }
  if (!names["kind"].as_string().empty() && names["kind"] == names["listKind"]) {
    findings.invalid(path / "listKind", names["listKind"], "kind and listKind may not be the same");
  }
}

void check_required_names(Findings& findings, const Path& path, const Json& names) {
  for (const char* field : {"plural", "singular", "kind", "listKind"}) {
    if (names[field].as_string().empty()) findings.required(path / field);
  }
  check_names(findings, path, names);
}

void check_group(Findings& findings, const Json& group) {
  const Path path("spec.group");
  if (group.as_string().empty()) return findings.required(path);
  const std::string problem = check_dns1123_subdomain(group.as_string());
  if (!problem.empty()) return findings.invalid(path, group, problem);
  if (group.as_string().find('.') == std::string::npos) {
    findings.invalid(path, group, "should be a domain with at least one dot");
  }
}

/// A path of names with a dot before each. Whether it is one.
bool check_path(Findings& findings, const Path& at, const Json& path) {
  if (path.as_string().empty()) {
    findings.required(at);
    return false;
  }
  if (path.as_string().front() == '.') return true;
  findings.invalid(at, path, "must be a simple json path starting with .");
  return false;
}

void check_column(Findings& findings, const Path& path, const Json& column) {
  if (column["name"].as_string().empty()) findings.required(path / "name");
  const std::string types = "must be one of " + joined(kColumnTypes);
  const std::string& type = column["type"].as_string();
  if (type.empty()) {
    findings.required(path / "type", types);
  } else if (!is_one_of(type, kColumnTypes)) {
    findings.invalid(path / "type", column["type"], types);
  }
  const std::string& format = column["format"].as_string();
  if (!format.empty() && !is_one_of(format, kColumnFormats)) {
    findings.invalid(path / "format", column["format"], "must be one of " + joined(kColumnFormats));
  }
  check_path(findings, path / "JSONPath", column["jsonPath"]);
}

void check_scale_path(Findings& findings, const Path& at, const Json& path,
                      std::string_view parent) {
  if (!check_path(findings, at, path)) return;
  if (path.as_string().starts_with("." + std::string(parent) + ".")) return;
  findings.invalid(at, path, "should be a json path under ." + std::string(parent));
}

void check_subresources(Findings& findings, const Path& path, const Json& subresources) {
  const Json& scale = subresources["scale"];
  if (!scale.is_object()) return;
  const Path at = path / "scale";
  check_scale_path(findings, at / "specReplicasPath", scale["specReplicasPath"], "spec");
  check_scale_path(findings, at / "statusReplicasPath", scale["statusReplicasPath"], "status");
  const std::string& selector = scale["labelSelectorPath"].as_string();
  if (selector.empty() || selector.starts_with(".spec.") || selector.starts_with(".status.")) {
    return;
  }
  if (check_path(findings, at / "labelSelectorPath", scale["labelSelectorPath"])) {
    findings.invalid(at / "labelSelectorPath", scale["labelSelectorPath"],
                     "should be a json path under either .spec or .status");
  }
}

/// What the schema says of the value at a path of names, or null.
const Json& schema_at(const Json& schema, std::string_view path) {
  const Json* at = &schema;
  if (path.starts_with('.')) path.remove_prefix(1);
  for (std::string_view name : base::split(path, '.')) at = &(*at)["properties"][name];
  return *at;
}

void check_selectable(Findings& findings, const Path& path, const Json& fields,
                      const Json& schema) {
  std::set<std::string> seen;
  size_t index = 0;
  for (const Json& field : fields.items()) {
    const Path at = path[index++] / "jsonPath";
    const Json& where = field["jsonPath"];
    if (where.as_string().empty()) {
      findings.required(at);
      continue;
    }
    if (where.as_string().starts_with(".metadata")) {
      findings.invalid(at, where, "must not point to fields in metadata");
    }
    const std::string& type = schema_at(schema, where.as_string())["type"].as_string();
    if (type != "string" && type != "boolean" && type != "integer") {
      findings.invalid(at, where,
                       "must point to a field of type string, boolean or integer. Enum string "
                       "fields and strings with formats are allowed.");
    }
    if (!seen.insert(where.as_string()).second) findings.duplicate(at, where);
  }
  if (seen.size() > kSelectableMax) findings.too_many(path, seen.size(), kSelectableMax);
}

void check_deprecation(Findings& findings, const Path& path, const Json& version) {
  const Json* warning = version.find("deprecationWarning");
  if (warning == nullptr) return;
  const Path at = path / "deprecationWarning";
  if (!version["deprecated"].as_bool()) {
    findings.invalid(at, *warning, "can only be set for deprecated versions");
  } else if (warning->as_string().empty()) {
    findings.invalid(at, *warning, "must not be an empty string");
  } else if (warning->as_string().size() > 256) {
    findings.invalid(at, *warning, "must be <= 256 characters long");
  }
}

/// Where status is a subresource, rules about it must stand at properties.status.
void check_root(Findings& findings, const Path& path, const Json& schema, bool has_status) {
  constexpr std::string_view kAllowed[] = {"description",
                                           "exclusiveMaximum",
                                           "exclusiveMinimum",
                                           "externalDocs",
                                           "example",
                                           "format",
                                           "items",
                                           "maxItems",
                                           "maxLength",
                                           "maximum",
                                           "minItems",
                                           "minLength",
                                           "minimum",
                                           "multipleOf",
                                           "pattern",
                                           "properties",
                                           "required",
                                           "title",
                                           "type",
                                           "uniqueItems",
                                           "x-kubernetes-preserve-unknown-fields",
                                           "x-kubernetes-validations"};
  if (schema["nullable"].as_bool()) {
    findings.forbidden(path / "nullable", "nullable cannot be true at the root");
  }
  if (!has_status) return;
  for (const Json::Member& member : schema.members()) {
    if (is_one_of(member.name, kAllowed)) continue;
    return findings.invalid(path, member.name,
                            "only these fields are allowed at the root of the schema if the status "
                            "subresource is enabled: " +
                                joined(kAllowed));
  }
}

void check_version(Findings& findings, const Path& path, const Json& version) {
  check_with(findings, path / "name", version["name"], check_dns1035_label);
  if (version["name"].as_string().empty()) {
    findings.invalid(path / "name", "", check_dns1035_label(""));
  }
  check_deprecation(findings, path, version);
  const Json& schema = version["schema"]["openAPIV3Schema"];
  if (schema.is_object()) {
    const Path at = path / "schema" / "openAPIV3Schema";
    check_root(findings, at, schema, version["subresources"]["status"].is_object());
    check_structural(findings, at, schema);
    check_schema(findings, at, schema);
  }
  check_subresources(findings, path / "subresources", version["subresources"]);
  size_t index = 0;
  for (const Json& column : version["additionalPrinterColumns"].items()) {
    check_column(findings, (path / "additionalPrinterColumns")[index++], column);
  }
  check_selectable(findings, path / "selectableFields", version["selectableFields"], schema);
}

void check_versions(Findings& findings, const Json& versions) {
  const Path path("spec.versions");
  size_t index = 0, stored = 0;
  std::set<std::string> names;
  for (const Json& version : versions.items()) {
    const Path at = path[index++];
    if (!version["schema"]["openAPIV3Schema"].is_object()) {
      findings.required(at / "schema" / "openAPIV3Schema");
    }
    stored += version["storage"].as_bool();
    names.insert(version["name"].as_string());
    check_version(findings, at, version);
  }
  if (names.size() != versions.size()) {
    findings.invalid(path, versions, "must contain unique version names");
  }
  if (stored != 1) {
    findings.invalid(path, versions, "must have exactly one version marked as storage version");
  }
}

void check_conversion(Findings& findings, const Json& conversion) {
  if (!conversion.is_object()) return;
  const Path path("spec.conversion");
  check_enum(findings, path / "strategy", conversion["strategy"], {"None", "Webhook"});
  const bool has_webhook = conversion["webhook"].is_object();
  const bool is_webhook = conversion["strategy"].as_string() == "Webhook";
  if (!is_webhook && has_webhook) {
    findings.forbidden(path / "webhookClientConfig",
                       "should not be set when strategy is not set to Webhook");
  } else if (is_webhook) {
    const Json& client = conversion["webhook"]["clientConfig"];
    if (!client.is_object()) {
      findings.required(path / "webhookClientConfig", "required when strategy is set to Webhook");
    } else if (client.contains("url") == client.contains("service")) {
      findings.required(path / "webhookClientConfig", "exactly one of url or service is required");
    }
    if (conversion["webhook"]["conversionReviewVersions"].empty()) {
      findings.required(path / "conversionReviewVersions");
    }
  }
}

void check_approval(Findings& findings, const Json& definition) {
  if (!is_protected_group(definition["spec"]["group"].as_string())) return;
  const Path path = Path("metadata.annotations").key(kApprovalAnnotation);
  const std::string& approval = annotation_of(definition, kApprovalAnnotation);
  if (approval.empty()) {
    findings.required(path, "protected groups must have approval annotation \"" +
                                std::string(kApprovalAnnotation) +
                                "\", see https://github.com/kubernetes/enhancements/pull/1111");
  } else if (!approval.starts_with("unapproved") && !approval.starts_with("https://") &&
             !approval.starts_with("http://")) {
    findings.invalid(path, approval,
                     "protected groups must have approval annotation with either a URL or a reason "
                     "starting with \"unapproved\"");
  }
}

void check_stored_versions(Findings& findings, const Json& definition) {
  const Path path("status.storedVersions");
  size_t index = 0;
  for (const Json& stored : definition["status"]["storedVersions"].items()) {
    const auto& versions = definition["spec"]["versions"].items();
    const bool is_there = std::any_of(versions.begin(), versions.end(), [&](const Json& version) {
      return version["name"] == stored;
    });
    if (!is_there) {
      findings.invalid(path[index], stored,
                       "missing from spec.versions; it was a storage version, and must remain "
                       "until no object is stored in it and it is removed from "
                       "status.storedVersions");
    }
    ++index;
  }
}

void check_spec(Findings& findings, const Json& definition) {
  const Json& spec = definition["spec"];
  check_group(findings, spec["group"]);
  check_enum(findings, Path("spec.scope"), spec["scope"], {"Cluster", "Namespaced"});
  check_versions(findings, spec["versions"]);
  check_required_names(findings, Path("spec.names"), spec["names"]);
  check_conversion(findings, spec["conversion"]);
  if (spec["preserveUnknownFields"].as_bool()) {
    findings.invalid("spec.preserveUnknownFields", true,
                     "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in "
                     "spec.versions[*].schema instead");
  }
}
}  // namespace

bool is_protected_group(std::string_view group) {
  return group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") ||
         group.ends_with(".kubernetes.io");
}

void check_definition(Findings& findings, const Json& definition) {
  const Json& spec = definition["spec"];
  const std::string wanted = spec["names"]["plural"].as_string() + "." + spec["group"].as_string();
  if (name_of(definition) != wanted) {
    findings.invalid("metadata.name", name_of(definition),
                     "must be spec.names.plural+\".\"+spec.group");
  }
  check_spec(findings, definition);
  check_stored_versions(findings, definition);
  check_approval(findings, definition);
}

void check_definition_update(Findings& findings, const Json& before, const Json& after) {
  check_spec(findings, after);
  check_stored_versions(findings, after);
  if (!(before["metadata"]["annotations"][kApprovalAnnotation] ==
        after["metadata"]["annotations"][kApprovalAnnotation])) {
    check_approval(findings, after);
  }
  const auto keep = [&](const char* path) {
    check_immutable(findings, Path(path), before.at(path), after.at(path));
  };
  if (is_condition_true(before, "Established")) {
    keep("spec.scope");
    keep("spec.names.kind");
  }
  keep("spec.group");
  keep("spec.names.plural");
}

}  // namespace pelton::api::custom
