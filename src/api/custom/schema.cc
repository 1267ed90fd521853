// SPDX-License-Identifier: Apache-2.0
#include "api/custom/schema.h"

#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;

namespace {
constexpr std::array<std::pair<std::string_view, Type>, 6> kTypes = {{
    {"object", Type::Object},
    {"array", Type::Array},
    {"string", Type::String},
    {"integer", Type::Integer},
    {"number", Type::Number},
    {"boolean", Type::Boolean},
}};

std::optional<double> number_of(const Json& value) {
  return value.is_number() ? std::optional<double>(value.as_double()) : std::nullopt;
}

std::optional<int64_t> integer_of(const Json& value) {
  return value.is_int() ? std::optional<int64_t>(value.as_int()) : std::nullopt;
}

void read_structure(const Json& from, Schema& to) {
  for (const Json::Member& member : from["properties"].members()) {
    to.properties.push_back({member.name, compile_schema(member.value, false)});
  }
  const Json& others = from["additionalProperties"];
  to.allows_others = others.is_object() || others.as_bool();
  if (others.is_object()) to.others = compile_schema(others, false);
  if (from["items"].is_object()) to.items = compile_schema(from["items"], false);
  if (!from["default"].is_null()) to.default_value = from["default"];
}

void read_ownership(const Json& from, Schema& to) {
  const std::string& list = from["x-kubernetes-list-type"].as_string();
  if (list == "set") to.list = Schema::List::Set;
  if (list == "map") to.list = Schema::List::Map;
  std::vector<std::string> keys;
  for (const Json& key : from["x-kubernetes-list-map-keys"].items()) {
    keys.push_back(key.as_string());
  }
  to.list_keys = base::join(keys, ",");
  to.is_atomic_map = from["x-kubernetes-map-type"].as_string() == "atomic";
}

void read_limits(const Json& from, Schema& to) {
  to.format = from["format"].as_string();
  to.minimum = number_of(from["minimum"]);
  to.maximum = number_of(from["maximum"]);
  to.multiple_of = number_of(from["multipleOf"]);
  to.is_minimum_exclusive = from["exclusiveMinimum"].as_bool();
  to.is_maximum_exclusive = from["exclusiveMaximum"].as_bool();
  to.min_length = integer_of(from["minLength"]);
  to.max_length = integer_of(from["maxLength"]);
  to.min_items = integer_of(from["minItems"]);
  to.max_items = integer_of(from["maxItems"]);
  to.min_members = integer_of(from["minProperties"]);
  to.max_members = integer_of(from["maxProperties"]);
  to.values = from["enum"].items();
  for (const Json& name : from["required"].items()) to.required.push_back(name.as_string());
  to.pattern_text = from["pattern"].as_string();
  if (!to.pattern_text.empty()) {
    auto pattern = std::make_unique<re2::RE2>(to.pattern_text, re2::RE2::Quiet);
    if (pattern->ok()) to.pattern = std::move(pattern);
  }
}

void read_alternatives(const Json& from, std::vector<std::unique_ptr<const Schema>>& to) {
  for (const Json& schema : from.items()) to.push_back(compile_schema(schema, false));
}
}  // namespace

Schema::Schema() = default;
Schema::~Schema() = default;

Type type_of(std::string_view name) {
  for (const auto& [text, type] : kTypes) {
    if (text == name) return type;
  }
  return Type::Any;
}

std::string_view name_of(Type wanted) {
  for (const auto& [text, type] : kTypes) {
    if (type == wanted) return text;
  }
  return "";
}

const Schema* Schema::property(std::string_view name) const {
  const auto found =
      std::lower_bound(properties.begin(), properties.end(), name,
                       [](const Property& p, std::string_view wanted) { return p.name < wanted; });
  return found != properties.end() && found->name == name ? found->schema.get() : nullptr;
}

const Schema* Schema::member(std::string_view name) const {
  const Schema* own = property(name);
  return own != nullptr ? own : others.get();
}

std::unique_ptr<const Schema> compile_schema(const Json& from, bool is_root) {
  auto out = std::make_unique<Schema>();
  out->type = type_of(from["type"].as_string());
  out->is_nullable = from["nullable"].as_bool();
  out->is_int_or_string = from["x-kubernetes-int-or-string"].as_bool();
  out->keeps_unknown = from["x-kubernetes-preserve-unknown-fields"].as_bool();
  out->is_resource = is_root || from["x-kubernetes-embedded-resource"].as_bool();
  read_structure(from, *out);
  read_ownership(from, *out);
  read_limits(from, *out);
  read_alternatives(from["allOf"], out->all_of);
  read_alternatives(from["anyOf"], out->any_of);
  read_alternatives(from["oneOf"], out->one_of);
  if (from["not"].is_object()) out->not_of = compile_schema(from["not"], false);
  return out;
}

bool is_resource_member(std::string_view name) {
  return name == "apiVersion" || name == "kind" || name == "metadata";
}

}  // namespace pelton::api::custom
