// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <fmt/format.h>

#include <set>

#include "api/custom/definition.h"
#include "api/native.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
constexpr std::string_view kQuantity = "io.k8s.apimachinery.pkg.api.resource.Quantity";
constexpr std::string_view kIntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

Json ref_to(std::string_view type) {
  return Json::object({{"$ref", "#/components/schemas/" + std::string(type)}});
}

std::string meta(std::string_view name) {
  return std::string(kMeta) + std::string(name);
}

Json typed(std::string_view type, std::string_view format = "") {
  Json schema = Json::object({{"type", type}});
  if (!format.empty()) schema.set("format", format);
  return schema;
}

// A reference in the form that upstream writes, to which kubectl's merge code is used.
Json all_of(std::string_view type, bool has_default) {
  Json schema = Json::object({{"allOf", Json::array({ref_to(type)})}});
  if (has_default) schema.set("default", Json::object());
  return schema;
}

Json value_schema(const Field& field) {
  switch (field.value) {
    case ValueType::Struct:
      return all_of(field.type->name, true);
    case ValueType::String:
      return typed("string");
    case ValueType::Bool:
      return typed("boolean");
    case ValueType::Int32:
      return typed("integer", "int32");
    case ValueType::Int64:
      return typed("integer", "int64");
    case ValueType::Double:
      return typed("number", "double");
    case ValueType::Bytes:
      return typed("string", "byte");
    case ValueType::Quantity:
      return all_of(kQuantity, false);
    case ValueType::IntOrString:
      return all_of(kIntOrString, false);
    case ValueType::Time:
      return all_of(meta("Time"), false);
    case ValueType::MicroTime:
      return all_of(meta("MicroTime"), false);
    case ValueType::StructOrBool:
      return Json::object({{"x-kubernetes-preserve-unknown-fields", true}});
    case ValueType::Any:
      return Json::object({{"type", "object"}, {"x-kubernetes-preserve-unknown-fields", true}});
  }
  return Json::object();
}

Json string_list(std::string_view joined, char separator) {
  Json list = Json::array();
  for (std::string_view part : base::split(joined, separator)) list.push_back(part);
  return list;
}

Json field_schema(const Field& field) {
  Json schema = value_schema(field);
  if (!field.enum_values.empty()) schema.set("enum", string_list(field.enum_values, '|'));
  if (field.shape == Shape::Map) {
    return Json::object({{"type", "object"}, {"additionalProperties", std::move(schema)}});
  }
  if (field.shape == Shape::List) {
    schema = Json::object({{"type", "array"}, {"items", std::move(schema)}});
    static constexpr const char* kListTypes[] = {"atomic", "set", "map"};
    schema.set("x-kubernetes-list-type", kListTypes[static_cast<size_t>(field.list_type)]);
    if (!field.list_map_keys.empty()) {
      schema.set("x-kubernetes-list-map-keys", string_list(field.list_map_keys, ','));
    }
  }
  std::string strategy = field.patch_strategy == PatchStrategy::Merge ? "merge" : "";
  if (field.has_retain_keys) strategy += strategy.empty() ? "retainKeys" : ",retainKeys";
  if (!strategy.empty()) schema.set("x-kubernetes-patch-strategy", strategy);
  if (!field.merge_key.empty()) schema.set("x-kubernetes-patch-merge-key", field.merge_key);
  return schema;
}

Json type_schema(const TypeInfo& type) {
  Json schema = typed("object");
  Json required = Json::array();
  Json& properties = schema.child("properties");
  properties = Json::object();
  for (const Field& field : type.fields) {
    properties.set(field.name, field_schema(field));
    if (field.is_required) required.push_back(field.name);
  }
  if (!required.empty()) schema.set("required", std::move(required));
  return schema;
}

Json gvk_json(std::string_view group, std::string_view version, std::string_view kind) {
  return Json::object({{"group", group}, {"version", version}, {"kind", kind}});
}

Json gvk_json(const ResourceInfo& resource) {
  return gvk_json(resource.group, resource.version, resource.kind);
}

Json parameter(std::string_view name, std::string_view in, std::string_view type) {
  Json result = Json::object({{"name", name}, {"in", in}, {"schema", typed(type)}});
  if (in == "path") result.set("required", true);
  return result;
}

Json parameters(std::initializer_list<std::pair<std::string_view, std::string_view>> query) {
  Json list = Json::array();
  for (const auto& [name, type] : query) list.push_back(parameter(name, "query", type));
  return list;
}

// One group-version's document under construction.
class Document {
 public:
  explicit Document(const GroupVersion& group_version)
      : path_((group_version.group.empty() ? "/api/"
                                           : "/apis/" + std::string(group_version.group) + "/") +
              std::string(group_version.version)),
        group_version_(group_version) {}

  void add(const ResourceInfo& resource) {
    if (resource.custom != nullptr) {
      add_custom_type(resource);
    } else {
      add_type(*resource.type);
    }
    schemas_.child(resource.type->name)
        .set("x-kubernetes-group-version-kind", Json::array({gvk_json(resource)}));
    if (!resource.is_virtual) add_list_type(resource);
    add_paths(resource);
  }

  Json finish() {
    add_type(*find_type(meta("DeleteOptions")));
    add_type(*find_type(meta("Status")));
    add_type(*find_type(meta("ListMeta")));
    schemas_.set(meta("Patch"), typed("object"));
    schemas_.set(meta("Time"), typed("string", "date-time"));
    schemas_.set(meta("MicroTime"), typed("string", "date-time"));
    schemas_.set(kQuantity,
                 Json::object({{"oneOf", Json::array({typed("string"), typed("number")})}}));
    schemas_.set(kIntOrString,
                 Json::object({{"format", "int-or-string"},
                               {"oneOf", Json::array({typed("integer"), typed("string")})}}));
    return Json::object({{"openapi", "3.0.0"},
                         {"info", Json::object({{"title", "Pelton"}, {"version", "v1.36.3"}})},
                         {"paths", std::move(paths_)},
                         {"components", Json::object({{"schemas", std::move(schemas_)}})}});
  }

 private:
  void add_type(const TypeInfo& type) {
    if (!seen_.insert(type.name).second) return;
    schemas_.set(type.name, type_schema(type));
    for (const Field& field : type.fields) {
      if (field.type) add_type(*field.type);
    }
  }

  /// The schema as its definition has it, and what every resource has.
  void add_custom_type(const ResourceInfo& resource) {
    add_type(*find_type(meta("ObjectMeta")));
    Json schema = *resource.custom->text;
    Json& properties = schema.child("properties");
    for (const char* name : {"apiVersion", "kind"}) {
      if (!properties.contains(name)) properties.set(name, typed("string"));
    }
    properties.set("metadata", all_of(meta("ObjectMeta"), false));
    schemas_.set(resource.type->name, std::move(schema));
  }

  void add_list_type(const ResourceInfo& resource) {
    const std::string name = std::string(resource.type->name) + "List";
    Json schema = typed("object");
    schema.set("required", Json::array({"items"}));
    schema.set("x-kubernetes-group-version-kind",
               Json::array({gvk_json(resource.group, resource.version, resource.list_kind())}));
    schema.set(
        "properties",
        Json::object({{"apiVersion", typed("string")},
                      {"kind", typed("string")},
                      {"metadata", all_of(meta("ListMeta"), true)},
                      {"items", Json::object({{"type", "array"},
                                              {"items", all_of(resource.type->name, true)}})}}));
    schemas_.set(name, std::move(schema));
  }

  Json operation(const ResourceInfo& resource, std::string_view action, std::string_view answer,
                 Json query) {
    Json media = Json::object();
    for (const char* type : {"application/json", "application/yaml"}) {
      media.set(type, Json::object({{"schema", ref_to(answer)}}));
    }
    const std::string group =
        group_version_.group.empty() ? "core" : base::join(split_group(), "_");
    return Json::object(
        {{"tags", Json::array({group + "_" + std::string(group_version_.version)})},
         {"operationId", fmt::format("{}{}{}{}", action, resource.is_namespaced ? "Namespaced" : "",
                                     resource.kind, next_id_++)},
         {"parameters", std::move(query)},
         {"responses", Json::object({{"200", Json::object({{"description", "OK"},
                                                           {"content", std::move(media)}})}})},
         {"x-kubernetes-action", action},
         {"x-kubernetes-group-version-kind", gvk_json(resource)}});
  }

  std::vector<std::string> split_group() const {
    std::vector<std::string> parts;
    for (std::string_view part : base::split(group_version_.group, '.')) parts.emplace_back(part);
    return parts;
  }

  static void set_body(Json& operation, std::initializer_list<std::string_view> media_types,
                       std::string_view type) {
    Json& body = operation.child("requestBody");
    body.set("required", true);
    for (std::string_view media : media_types) {
      body.child("content").set(media, Json::object({{"schema", ref_to(type)}}));
    }
  }

  Json collection(const ResourceInfo& resource) {
    Json item = Json::object();
    const std::string type(resource.type->name);
    if (!resource.is_virtual) {
      item.set("get", operation(resource, "list", type + "List",
                                parameters({{"allowWatchBookmarks", "boolean"},
                                            {"continue", "string"},
                                            {"fieldSelector", "string"},
                                            {"labelSelector", "string"},
                                            {"limit", "integer"},
                                            {"resourceVersion", "string"},
                                            {"resourceVersionMatch", "string"},
                                            {"sendInitialEvents", "boolean"},
                                            {"timeoutSeconds", "integer"},
                                            {"watch", "boolean"}})));
    }
    Json post = operation(resource, "post", type, write_parameters());
    set_body(post, {"*/*"}, type);
    item.set("post", std::move(post));
    return item;
  }

  static Json write_parameters() {
    return parameters(
        {{"dryRun", "string"}, {"fieldManager", "string"}, {"fieldValidation", "string"}});
  }

  Json single(const ResourceInfo& resource, bool is_subresource) {
    const std::string type(resource.type->name);
    Json item = Json::object();
    item.set("get", operation(resource, "get", type, Json::array()));
    Json put = operation(resource, "put", type, write_parameters());
    set_body(put, {"*/*"}, type);
    item.set("put", std::move(put));
    Json patch = operation(resource, "patch", type, write_parameters());
    set_body(patch, {"application/json-patch+json", "application/merge-patch+json"}, meta("Patch"));
    // As for every custom resource upstream, kubectl shall use merge patches for these.
    if (is_native(resource)) {
      set_body(patch, {"application/strategic-merge-patch+json"}, meta("Patch"));
    }
    item.set("patch", std::move(patch));
    if (is_subresource) return item;
    Json remove = operation(resource, "delete", meta("Status"),
                            parameters({{"dryRun", "string"},
                                        {"gracePeriodSeconds", "integer"},
                                        {"orphanDependents", "boolean"},
                                        {"propagationPolicy", "string"}}));
    set_body(remove, {"*/*"}, meta("DeleteOptions"));
    remove.child("requestBody").erase("required");
    item.set("delete", std::move(remove));
    return item;
  }

  void add_paths(const ResourceInfo& resource) {
    const std::string base = path_ + (resource.is_namespaced ? "/namespaces/{namespace}/" : "/") +
                             std::string(resource.plural);
    Json path_parameters = Json::array();
    if (resource.is_namespaced) {
      path_parameters.push_back(parameter("namespace", "path", "string"));
      if (!resource.is_virtual) {
        Json all = Json::object({{"get", collection(resource)["get"]}});
        paths_.set(path_ + "/" + std::string(resource.plural), std::move(all));
      }
    }
    put_path(base, collection(resource), path_parameters);
    if (resource.is_virtual) return;
    path_parameters.push_back(parameter("name", "path", "string"));
    put_path(base + "/{name}", single(resource, false), path_parameters);
    if (resource.has_status()) {
      put_path(base + "/{name}/status", single(resource, true), path_parameters);
    }
  }

  void put_path(const std::string& path, Json item, const Json& path_parameters) {
    if (!path_parameters.empty()) item.set("parameters", path_parameters);
    paths_.set(path, std::move(item));
  }

  std::string path_;
  GroupVersion group_version_;
  Json paths_ = Json::object();
  Json schemas_ = Json::object();
  std::set<std::string_view> seen_;
  int next_id_ = 0;
};

std::string relative_path(const GroupVersion& group_version) {
  return (group_version.group.empty() ? "api/" : "apis/" + std::string(group_version.group) + "/") +
         std::string(group_version.version);
}

}  // namespace

Json openapi_v3(const Registry& registry, const GroupVersion& group_version) {
  Document document(group_version);
  for (const ResourceInfo* resource : registry.resources()) {
    if (resource->group == group_version.group && resource->version == group_version.version) {
      document.add(*resource);
    }
  }
  return document.finish();
}

std::string openapi_v3_hash(const Registry& registry, const GroupVersion& group_version) {
  // Of custom kinds, whose schemas may be large, the definitions' own hashes will do.
  std::string text;
  bool has_builtin = false;
  for (const ResourceInfo* resource : registry.resources()) {
    const bool is_there =
        resource->group == group_version.group && resource->version == group_version.version;
    has_builtin = has_builtin || (is_there && resource->custom == nullptr);
  }
  for (const auto& definition : registry.definitions()) {
    if (definition->group() == group_version.group) {
      text += fmt::format("{} {} ", definition->plural(), definition->hash());
    }
  }
  if (has_builtin) text += openapi_v3(registry, group_version).dump();
  return fmt::format("{:016X}{:016X}", base::hash64(text), base::hash64(text, 1));
}

Json openapi_v3_index(const Registry& registry) {
  Json paths = Json::object();
  for (const GroupVersion& group_version : registry.group_versions()) {
    const std::string path = relative_path(group_version);
    paths.set(path,
              Json::object({{"serverRelativeURL", "/openapi/v3/" + path + "?hash=" +
                                                      openapi_v3_hash(registry, group_version)}}));
  }
  return Json::object({{"paths", std::move(paths)}});
}

}  // namespace pelton::api
