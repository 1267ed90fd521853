// SPDX-License-Identifier: Apache-2.0
#include "api/fields/place.h"

#include "api/custom/schema.h"
#include "api/defaults_table.h"
#include "base/strings.h"

namespace pelton::api::fields {

using base::Json;

namespace {
/// A key that an item leaves out counts with its default: the protocol of a port. What is required
/// is no pointer in Go, and counts with its zero.
Json default_of(const TypeInfo* type, std::string_view field) {
  if (type == nullptr) return {};
  for (const DefaultRow& row : default_rows()) {
    if (row.type != type->name || row.field != field) continue;
    base::Result<Json> value = Json::parse(row.value);
    return value.ok() ? *value : Json();
  }
  const Field* key = type->find(field);
  if (key == nullptr || !key->is_required || !type->name.starts_with("io.k8s.")) return {};
  if (key->value == ValueType::String) return Json("");
  return key->value == ValueType::Int32 || key->value == ValueType::Int64 ? Json(0) : Json();
}
}  // namespace

Place Place::of_value(const Field& field) {
  if (field.value == ValueType::Any) return {Kind::Free, nullptr, nullptr};
  if (field.value != ValueType::Struct || field.type->is_atomic) {
    return {Kind::Leaf, nullptr, nullptr};
  }
  return Place(*field.type);
}

Place Place::of_field(const Field& field) {
  if (field.is_atomic) return {Kind::Leaf, nullptr, nullptr};
  if (field.shape == Shape::Map) return {Kind::Map, nullptr, &field};
  if (field.shape == Shape::Single) return of_value(field);
  switch (field.list_type) {
    case ListType::Set:
      return {Kind::Set, nullptr, &field};
    case ListType::Map:
      return {Kind::Keyed, nullptr, &field};
    case ListType::Atomic:
      break;
  }
  return {Kind::Leaf, nullptr, nullptr};
}

Place::Kind Place::kind_for(const Json* a, const Json* b) const {
  const auto fits = [this](const Json* value) {
    if (value == nullptr || value->is_null()) return true;
    const bool is_list = kind_ == Kind::Keyed || kind_ == Kind::Set;
    return is_list ? value->is_array() : value->is_object();
  };
  if (kind_ == Kind::Leaf || !fits(a) || !fits(b)) return Kind::Leaf;
  return kind_ == Kind::Free ? Kind::Map : kind_;
}

bool Place::names(std::string_view member) const {
  if (kind_ != Kind::Object) return false;
  if (schema_ == nullptr) return type_->find(member) != nullptr;
  return schema_->property(member) != nullptr ||
         (schema_->is_resource && custom::is_resource_member(member));
}

bool Place::is_open() const {
  return schema_ != nullptr && schema_->keeps_unknown;
}

std::string_view Place::keys() const {
  return schema_ != nullptr ? std::string_view(schema_->list_keys) : field_->list_map_keys;
}

Place Place::of_schema(const custom::Schema* schema) {
  if (schema == nullptr) return {Kind::Free, nullptr, nullptr};
  const auto make = [schema](Kind kind) {
    Place place{kind, nullptr, nullptr};
    place.schema_ = schema;
    return place;
  };
  if (schema->type == custom::Type::Array) {
    if (schema->list == custom::Schema::List::Set) return make(Kind::Set);
    return make(schema->list == custom::Schema::List::Map ? Kind::Keyed : Kind::Leaf);
  }
  if (schema->type != custom::Type::Object) {
    return make(schema->type == custom::Type::Any && schema->keeps_unknown ? Kind::Free
                                                                           : Kind::Leaf);
  }
  if (schema->is_atomic_map) return make(Kind::Leaf);
  if (schema->allows_others && schema->properties.empty()) return make(Kind::Map);
  const bool is_free = schema->properties.empty() && schema->keeps_unknown && !schema->is_resource;
  return is_free ? Place(Kind::Free, nullptr, nullptr) : make(Kind::Object);
}

Place Place::member(std::string_view name) const {
  if (schema_ != nullptr) {
    if (!schema_->is_resource || !custom::is_resource_member(name)) {
      return of_schema(schema_->member(name));
    }
    static const TypeInfo* metadata = find_type("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
    return name == "metadata" ? Place(*metadata) : Place(Kind::Leaf, nullptr, nullptr);
  }
  if (kind_ == Kind::Map) return of_value(*field_);
  const Field* field = kind_ == Kind::Object ? type_->find(name) : nullptr;
  if (field == nullptr) return {Kind::Free, nullptr, nullptr};
  return of_field(*field);
}

Place Place::item() const {
  if (schema_ != nullptr) return of_schema(schema_->items.get());
  return of_value(*field_);
}

Json Place::default_of_key(std::string_view key) const {
  if (schema_ == nullptr) return default_of(field_->type, key);
  const custom::Schema* schema = schema_->items ? schema_->items->property(key) : nullptr;
  return schema != nullptr && schema->default_value ? *schema->default_value : Json();
}

Element Place::element_of(const Json& item) const {
  if (kind_ == Kind::Set) return value_element(item);
  Json values = Json::object();
  for (std::string_view key : base::split(keys(), ',')) {
    const Json* value = item.find(key);
    if (value != nullptr && !value->is_null()) {
      values.set(key, *value);
    } else if (Json fallback = default_of_key(key); !fallback.is_null()) {
      values.set(key, std::move(fallback));
    }
  }
  return values.empty() ? Element() : key_element(values);
}

}  // namespace pelton::api::fields
