// SPDX-License-Identifier: Apache-2.0
// The rules for schemas behind check_definition.h.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>

#include "api/custom/check_definition.h"
#include "api/custom/check_object.h"
#include "api/custom/schema.h"
#include "api/custom/shape.h"
#include "api/validate_kinds.h"

namespace pelton::api::custom {

using base::Json;

namespace {
/// Where a schema stands in its definition's.
enum class Level : uint8_t { Root, Item, Field };

constexpr const char* kLists[] = {"allOf", "anyOf", "oneOf"};

bool is_set(const Json& schema, std::string_view name) {
  const Json& value = schema[name];
  if (value.is_bool()) return value.as_bool();
  if (value.is_string()) return !value.as_string().empty();
  if (value.is_array() || value.is_object()) return !value.empty();
  return !value.is_null();
}

// ---- structural ---------------------------------------------------------------------------------

/// anyOf: [{type: integer}, {type: string}], which says no more than x-kubernetes-int-or-string.
bool is_int_or_string(const Json& any_of) {
  return any_of.size() == 2 && any_of[0] == Json::object({{"type", "integer"}}) &&
         any_of[1] == Json::object({{"type", "string"}});
}

class StructuralChecker {
 public:
  explicit StructuralChecker(Findings& findings) : findings_(findings) {}

  void run(const Path& path, const Json& schema, Level level) {
    const std::string& type = schema["type"].as_string();
    if (type == "array" && !schema["items"].is_object()) {
      findings_.required(path / "items", "must be specified");
    }
    if (schema["items"].is_object()) run(path / "items", schema["items"], Level::Item);
    for (const Json::Member& property : schema["properties"].members()) {
      run((path / "properties").key(property.name), property.value, Level::Field);
    }
    check_others(path, schema, level);
    if (schema["x-kubernetes-int-or-string"].as_bool()) {
      for (const char* other :
           {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"}) {
        if (!schema[other].as_bool()) continue;
        findings_.invalid(path / other, true,
                          "must be false if x-kubernetes-int-or-string is true");
      }
    }
    check_alternatives(path, schema);
    check_type(path, schema, level);
    check_resource(path, schema, level);
    // As upstream, for rules at the root alone.
    if (level == Level::Root) complete(path, path, schema, schema);
  }

 private:
  void check_others(const Path& path, const Json& schema, Level level) {
    const Json& others = schema["additionalProperties"];
    if (others.is_null()) return;
    const Path at = path / "additionalProperties";
    if (level == Level::Root) findings_.forbidden(at, "must not be used at the root");
    if (others.is_object()) run(at, others, Level::Field);
    if (schema["x-kubernetes-embedded-resource"].as_bool()) {
      findings_.forbidden(at, "must not be used if x-kubernetes-embedded-resource is set");
    }
  }

  void check_type(const Path& path, const Json& schema, Level level) {
    const std::string& type = schema["type"].as_string();
    const Path at = path / "type";
    if (schema["x-kubernetes-embedded-resource"].as_bool() && type != "object") {
      const char* why = "must be object if x-kubernetes-embedded-resource is true";
      return type.empty() ? findings_.required(at, why)
                          : findings_.invalid(at, schema["type"], why);
    }
    const bool may_lack = schema["x-kubernetes-int-or-string"].as_bool() ||
                          schema["x-kubernetes-preserve-unknown-fields"].as_bool();
    if (type.empty() && !may_lack) {
      findings_.required(at, level == Level::Root ? "must not be empty at the root"
                             : level == Level::Item
                                 ? "must not be empty for specified array items"
                                 : "must not be empty for specified object fields");
    }
    if (level == Level::Root && !type.empty() && type != "object") {
      findings_.invalid(at, schema["type"], "must be object at the root");
    }
  }

  /// apiVersion, kind and metadata are what they are; of metadata a schema may restrict names.
  void check_resource(const Path& path, const Json& schema, Level level) {
    const bool is_embedded = schema["x-kubernetes-embedded-resource"].as_bool();
    const Json& properties = schema["properties"];
    if (is_embedded && properties.empty() &&
        !schema["x-kubernetes-preserve-unknown-fields"].as_bool()) {
      findings_.required(path / "properties",
                         "must not be empty if x-kubernetes-embedded-resource is true without "
                         "x-kubernetes-preserve-unknown-fields");
    }
    if (level != Level::Root && !is_embedded) return;
    const Path at = path / "properties";
    for (const char* name : {"kind", "apiVersion"}) {
      const Json* property = properties.find(name);
      if (property == nullptr || (*property)["type"].as_string() == "string") continue;
      findings_.invalid(at.key(name) / "type", (*property)["type"], "must be string");
    }
    const Json* metadata = properties.find("metadata");
    if (metadata == nullptr) return;
    if ((*metadata)["type"].as_string() != "object") {
      findings_.invalid(at.key("metadata") / "type", (*metadata)["type"], "must be object");
    }
    if (level == Level::Root && !restricts_names_only(*metadata)) {
      findings_.forbidden(at.key("metadata"),
                          "must not specify anything other than name and generateName, but "
                          "metadata is implicitly specified");
    }
  }

  static bool restricts_names_only(const Json& metadata) {
    for (const Json::Member& member : metadata.members()) {
      if (member.name != "type" && member.name != "properties" && member.name != "default") {
        return false;
      }
    }
    for (const Json::Member& property : metadata["properties"].members()) {
      if (property.name != "name" && property.name != "generateName") return false;
    }
    return true;
  }

  void check_alternatives(const Path& path, const Json& schema) {
    for (const char* list : kLists) {
      if (list == std::string_view("anyOf") && is_int_or_string(schema[list])) continue;
      size_t index = 0;
      for (const Json& one : schema[list].items()) {
        const bool is_first_of_all = list == std::string_view("allOf") && index == 0;
        check_nested((path / list)[index++], one,
                     is_first_of_all && is_int_or_string(one["anyOf"]));
      }
    }
    if (schema["not"].is_object()) check_nested(path / "not", schema["not"], false);
  }

  /// Inside allOf and the like stand rules for values only: what is there is said outside.
  void check_nested(const Path& path, const Json& schema, bool may_be_int_or_string) {
    for (const char* list : kLists) {
      if (may_be_int_or_string && list == std::string_view("anyOf")) continue;
      size_t index = 0;
      for (const Json& one : schema[list].items()) {
        check_nested((path / list)[index++], one, false);
      }
    }
    if (schema["not"].is_object()) check_nested(path / "not", schema["not"], false);
    if (schema["items"].is_object()) check_nested(path / "items", schema["items"], false);
    for (const Json::Member& property : schema["properties"].members()) {
      check_nested((path / "properties").key(property.name), property.value, false);
    }
    for (const auto& [field, wanted] : {std::pair<const char*, const char*>{"type", "empty"},
                                        {"additionalProperties", "undefined"},
                                        {"default", "undefined"},
                                        {"title", "empty"},
                                        {"description", "empty"},
                                        {"nullable", "false"},
                                        {"x-kubernetes-preserve-unknown-fields", "false"},
                                        {"x-kubernetes-embedded-resource", "false"},
                                        {"x-kubernetes-int-or-string", "false"},
                                        {"x-kubernetes-list-map-keys", "empty"},
                                        {"x-kubernetes-list-type", "undefined"},
                                        {"x-kubernetes-map-type", "undefined"},
                                        {"x-kubernetes-validations", "empty"}}) {
      if (!is_set(schema, field)) continue;
      findings_.forbidden(path / field, fmt::format("must be {} to be structural", wanted));
    }
    if (schema["properties"].contains("metadata")) {
      findings_.forbidden((path / "properties").key("metadata"),
                          "must not be specified in a nested context");
    }
  }

  /// Every field that `rules` speak of must be there in `schema`.
  void complete(const Path& path, const Path& rules_path, const Json& schema, const Json& rules) {
    for (const char* list : kLists) {
      size_t index = 0;
      for (const Json& one : rules[list].items()) {
        complete_nested(path, (rules_path / list)[index++], schema, one);
      }
    }
    if (rules["not"].is_object()) complete_nested(path, rules_path / "not", schema, rules["not"]);
  }

  void complete_nested(const Path& path, const Path& rules_path, const Json& schema,
                       const Json& rules) {
    if (!schema.is_object()) {
      return findings_.required(path, "because it is defined in " + std::string(rules_path));
    }
    complete(path, rules_path, schema, rules);
    if (rules["items"].is_object()) {
      complete_nested(path / "items", rules_path / "items", schema["items"], rules["items"]);
    }
    for (const Json::Member& property : rules["properties"].members()) {
      complete_nested((path / "properties").key(property.name),
                      (rules_path / "properties").key(property.name),
                      schema["properties"][property.name], property.value);
    }
  }

  Findings& findings_;
};

// ---- well formed --------------------------------------------------------------------------------

class SchemaChecker {
 public:
  explicit SchemaChecker(Findings& findings) : findings_(findings) {}

  /// `no_default`: why there must be no default here, or "".
  void run(const Path& path, const Json& schema, const std::string& no_default, bool is_root) {
    check_supported(path, schema);
    if (!schema["default"].is_null()) check_default(path, schema, no_default);
    check_map(path, schema);
    if (schema.contains("x-kubernetes-list-type") || is_set(schema, "x-kubernetes-list-map-keys")) {
      check_list(path, schema);
    }
    check_rules(path, schema);
    check_below(path, schema, no_default, is_root);
  }

 private:
  void check_below(const Path& path, const Json& schema, const std::string& no_default,
                   bool is_root) {
    const Json& others = schema["additionalProperties"];
    if (others.is_object()) run(path / "additionalProperties", others, no_default, false);
    if (!schema["properties"].empty() && (others.is_object() || others == Json(false))) {
      findings_.forbidden(path / "additionalProperties",
                          "additionalProperties and properties are mutual exclusive");
    }
    for (const Json::Member& property : schema["properties"].members()) {
      const bool is_meta = is_root && is_resource_member(property.name);
      run((path / "properties").key(property.name), property.value,
          is_meta ? "in top-level " + property.name : no_default, false);
    }
    if (schema["items"].is_object()) run(path / "items", schema["items"], no_default, false);
    if (schema["not"].is_object()) run(path / "not", schema["not"], no_default, false);
    for (const char* list : kLists) {
      size_t index = 0;
      for (const Json& one : schema[list].items())
        run((path / list)[index++], one, no_default, false);
    }
  }

  void check_supported(const Path& path, const Json& schema) {
    const std::string& type = schema["type"].as_string();
    if (!type.empty() && type_of(type) == Type::Any) {
      findings_.not_supported(path / "type", schema["type"],
                              {"array", "boolean", "integer", "number", "object", "string"});
      if (type == "null") {
        findings_.forbidden(path / "type",
                            "type cannot be set to null, use nullable as an alternative");
      }
    }
    for (const char* field :
         {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"}) {
      if (!is_set(schema, field)) continue;
      findings_.forbidden(path / field, fmt::format("{} is not supported", field));
    }
    if (schema["uniqueItems"].as_bool()) {
      findings_.forbidden(path / "uniqueItems",
                          "uniqueItems cannot be set to true since the runtime complexity becomes "
                          "quadratic");
    }
    const std::string& pattern = schema["pattern"].as_string();
    if (!pattern.empty()) {
      const re2::RE2 compiled(pattern, re2::RE2::Quiet);
      if (!compiled.ok()) {
        findings_.invalid(path / "pattern", pattern,
                          "must be a valid regular expression, but isn't: " + compiled.error());
      }
    }
    if (schema["x-kubernetes-preserve-unknown-fields"] == Json(false)) {
      findings_.invalid(path / "x-kubernetes-preserve-unknown-fields", false,
                        "must be true or undefined");
    }
  }

  void check_default(const Path& path, const Json& schema, const std::string& no_default) {
    const Path at = path / "default";
    const Json& value = schema["default"];
    if (!no_default.empty()) return findings_.forbidden(at, "must not be set " + no_default);
    // Only what is otherwise good can judge values.
    if (!findings_.empty()) return;
    const std::unique_ptr<const Schema> compiled = compile_schema(schema, false);
    Json pruned = value;
    std::vector<std::string> unknown;
    prune(*compiled, pruned, unknown);
    if (!unknown.empty()) return findings_.invalid(at, value, "must not have unknown fields");
    check_value(findings_, *compiled, at, value, nullptr);
  }

  void check_map(const Path& path, const Json& schema) {
    const Json* map = schema.find("x-kubernetes-map-type");
    if (map == nullptr) return;
    need_type(path, schema, "object", "must be object if x-kubernetes-map-type is specified");
    check_one_of(findings_, path / "x-kubernetes-map-type", *map, {"atomic", "granular"});
  }

  bool need_type(const Path& path, const Json& schema, std::string_view wanted, const char* why) {
    const std::string& type = schema["type"].as_string();
    if (type == wanted) return true;
    if (type.empty()) {
      findings_.required(path / "type", why);
    } else {
      findings_.invalid(path / "type", schema["type"], why);
    }
    return false;
  }

  void check_list(const Path& path, const Json& schema) {
    const Path type_path = path / "x-kubernetes-list-type";
    const Path keys_path = path / "x-kubernetes-list-map-keys";
    const Json& list_type = schema["x-kubernetes-list-type"];
    const Json& keys = schema["x-kubernetes-list-map-keys"];
    if (!list_type.is_null()) {
      need_type(path, schema, "array", "must be array if x-kubernetes-list-type is specified");
      check_one_of(findings_, type_path, list_type, {"atomic", "set", "map"});
    }
    const bool is_map = list_type.as_string() == "map";
    if (!keys.empty() && !is_map) {
      const char* why = "must be map if x-kubernetes-list-map-keys is non-empty";
      if (list_type.is_null()) {
        findings_.required(type_path, why);
      } else {
        findings_.invalid(type_path, list_type, why);
      }
    }
    const Json& items = schema["items"];
    if (items.is_object() && items["nullable"].as_bool() && (is_map || list_type == Json("set"))) {
      findings_.forbidden(
          path / "items" / "nullable",
          "cannot be nullable when x-kubernetes-list-type is " + list_type.as_string());
    }
    if (is_map) check_keys(path, keys_path, keys, items);
    if (list_type == Json("set") && items["type"] == Json("object") &&
        !(items["x-kubernetes-map-type"] == Json("atomic"))) {
      findings_.invalid(path / "items" / "x-kubernetes-map-type", items["x-kubernetes-map-type"],
                        "must be atomic as item of a list with x-kubernetes-list-type=set");
    }
  }

  void check_keys(const Path& path, const Path& keys_path, const Json& keys, const Json& items) {
    if (keys.empty()) {
      findings_.required(keys_path, "must not be empty if x-kubernetes-list-type is map");
    }
    if (!items.is_object()) {
      return findings_.required(path / "items",
                                "must have a schema if x-kubernetes-list-type is map");
    }
    if (items["type"].as_string() != "object") {
      return findings_.invalid(path / "items" / "type", items["type"],
                               "must be object if parent array's x-kubernetes-list-type is map");
    }
    size_t index = 0;
    for (const Json& key : keys.items()) {
      const Path at = keys_path[index++];
      const std::string& name = key.as_string();
      const Json* property = items["properties"].find(name);
      if (property == nullptr) {
        findings_.invalid(at, key, "entries must all be names of item properties");
        continue;
      }
      const Path property_path = (path / "items" / "properties").key(name);
      const std::string& type = (*property)["type"].as_string();
      if (type == "array" || type == "object") {
        findings_.invalid(property_path / "type", items["type"],
                          "must be a scalar type if parent array's x-kubernetes-list-type is map");
      }
      const auto& required = items["required"].items();
      const bool is_required = std::find(required.begin(), required.end(), key) != required.end();
      if (!is_required && (*property)["default"].is_null()) {
        findings_.required(property_path / "default",
                           "this property is in x-kubernetes-list-map-keys, so it must have a "
                           "default or be a required property");
      }
      if ((*property)["nullable"].as_bool()) {
        findings_.forbidden(property_path / "nullable",
                            "this property is in x-kubernetes-list-map-keys, so it cannot be "
                            "nullable");
      }
    }
  }

  void check_rules(const Path& path, const Json& schema) {
    size_t index = 0;
    for (const Json& rule : schema["x-kubernetes-validations"].items()) {
      const Path at = (path / "x-kubernetes-validations")[index++];
      if (rule["rule"].as_string().find_first_not_of(" \t\n") == std::string::npos) {
        findings_.required(at / "rule", "rule is not specified");
      }
    }
  }

  Findings& findings_;
};
}  // namespace

void check_structural(Findings& findings, const std::string& path, const Json& schema) {
  StructuralChecker(findings).run(Path(path), schema, Level::Root);
}

void check_schema(Findings& findings, const std::string& path, const Json& schema) {
  SchemaChecker(findings).run(Path(path), schema, "", true);
}

void for_each_schema(const Json& schema, const std::function<void(const Json&)>& visit) {
  if (!schema.is_object()) return;
  visit(schema);
  for (const Json::Member& property : schema["properties"].members()) {
    for_each_schema(property.value, visit);
  }
  for (const char* name : {"items", "additionalProperties", "not"}) {
    for_each_schema(schema[name], visit);
  }
  for (const char* list : kLists) {
    for (const Json& one : schema[list].items()) for_each_schema(one, visit);
  }
}

}  // namespace pelton::api::custom
