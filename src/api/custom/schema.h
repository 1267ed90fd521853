// SPDX-License-Identifier: Apache-2.0
// The schema of a custom kind, made ready for use.
//
// What a CustomResourceDefinition says of its objects (openAPIV3Schema) as a tree that pruning,
// defaulting, validation and field ownership walk: names are sorted, patterns are compiled. Only
// schemas that check_definition.h finds structural are compiled. Immutable; any thread.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace re2 {
class RE2;
}

namespace pelton::api::custom {

enum class Type : uint8_t { Any, Object, Array, String, Integer, Number, Boolean };
/// Any for "" and for what is no type.
Type type_of(std::string_view name);
std::string_view name_of(Type type);

struct Property;

struct Schema {
  Schema();
  ~Schema();
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  // What a value is made of.
  Type type = Type::Any;
  bool is_nullable = false;
  bool is_int_or_string = false;
  bool keeps_unknown = false;  ///< x-kubernetes-preserve-unknown-fields
  bool is_resource = false;    ///< has apiVersion, kind and metadata, said or not: root, embedded
  std::vector<Property> properties;      ///< sorted by name
  bool allows_others = false;            ///< additionalProperties is there
  std::unique_ptr<const Schema> others;  ///< and says of what form they are, or null
  std::unique_ptr<const Schema> items;   ///< of an Array, or null
  std::optional<base::Json> default_value;

  // How its parts are owned: x-kubernetes-list-type and so on.
  enum class List : uint8_t { Atomic, Set, Map };
  List list = List::Atomic;
  std::string list_keys;  ///< "containerPort,protocol"
  bool is_atomic_map = false;

  // Which values are good.
  std::string format;
  std::optional<double> minimum, maximum, multiple_of;
  bool is_minimum_exclusive = false, is_maximum_exclusive = false;
  std::optional<int64_t> min_length, max_length, min_items, max_items, min_members, max_members;
  std::string pattern_text;
  std::unique_ptr<const re2::RE2> pattern;
  std::vector<base::Json> values;  ///< enum
  std::vector<std::string> required;
  std::vector<std::unique_ptr<const Schema>> all_of, any_of, one_of;
  std::unique_ptr<const Schema> not_of;

  /// The property of that name, or nullptr.
  const Schema* property(std::string_view name) const;
  /// Of a member of an object: the property, else what others are, else nullptr.
  const Schema* member(std::string_view name) const;
};

struct Property {
  std::string name;
  std::unique_ptr<const Schema> schema;
};

/// From openAPIV3Schema. `is_root`: of a whole object. A pattern that RE2 cannot read checks
/// nothing.
std::unique_ptr<const Schema> compile_schema(const base::Json& schema, bool is_root);

/// Whether a value is a null where none may be.
inline bool is_stray_null(const base::Json& value, const Schema* schema) {
  return value.is_null() && schema != nullptr && !schema->is_nullable;
}

/// apiVersion, kind and metadata: what every resource has, whatever its schema says.
bool is_resource_member(std::string_view name);

}  // namespace pelton::api::custom
