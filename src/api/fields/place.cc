// SPDX-License-Identifier: Apache-2.0
#include "api/fields/place.h"

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
  return kind_ == Kind::Object && type_->find(member) != nullptr;
}

Place Place::member(std::string_view name) const {
  if (kind_ == Kind::Map) return of_value(*field_);
  const Field* field = kind_ == Kind::Object ? type_->find(name) : nullptr;
  if (field == nullptr) return {Kind::Free, nullptr, nullptr};
  return of_field(*field);
}

Place Place::item() const {
  return of_value(*field_);
}

Element Place::element_of(const Json& item) const {
  if (kind_ == Kind::Set) return value_element(item);
  Json keys = Json::object();
  for (std::string_view key : base::split(field_->list_map_keys, ',')) {
    const Json* value = item.find(key);
    if (value != nullptr && !value->is_null()) {
      keys.set(key, *value);
    } else if (Json fallback = default_of(field_->type, key); !fallback.is_null()) {
      keys.set(key, std::move(fallback));
    }
  }
  return keys.empty() ? Element() : key_element(keys);
}

}  // namespace pelton::api::fields
