// SPDX-License-Identifier: Apache-2.0
// The table of fields: what every type of the API is made of.
//
// The rows are generated (tools/codegen) from upstream's published schema into api/tables/, as
// constant data. Pruning, type checks, strategic merge, OpenAPI and the typed views all read this
// one table; nothing else in the tree knows which fields a Pod has. Immutable; any thread.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

namespace pelton::api {

/// What one value is, in JSON and beyond.
enum class ValueType : uint8_t {
  Struct,        ///< an object with known fields: Field::type
  StructOrBool,  ///< such an object, or true or false (additionalProperties of a schema)
  String,        ///
  Bool,          ///
  Int32,         ///
  Int64,         ///
  Double,        ///
  Bytes,         ///< a string in base64
  Quantity,      ///< a string or number as api/quantity.h reads it
  IntOrString,   ///< a port number or a port name, a number or a percentage
  Time,          ///< RFC 3339, seconds
  MicroTime,     ///< RFC 3339, microseconds
  Any,           ///< anything; never pruned
};

enum class Shape : uint8_t { Single, List, Map };    ///< Map: from string to value
enum class ListType : uint8_t { Atomic, Set, Map };  ///< x-kubernetes-list-type
enum class PatchStrategy : uint8_t {
  Replace,
  Merge
};  ///< of a list or object in a strategic patch

namespace custom {
struct Schema;
}

struct TypeInfo;

struct Field {
  std::string_view name;
  ValueType value = ValueType::Any;
  Shape shape = Shape::Single;
  bool is_required = false;
  ListType list_type = ListType::Atomic;
  PatchStrategy patch_strategy = PatchStrategy::Replace;
  bool has_retain_keys = false;    ///< patch strategy "retainKeys": a union of alternatives
  std::string_view merge_key;      ///< which member tells items of a merged list apart, or ""
  std::string_view list_map_keys;  ///< "containerPort,protocol", or ""
  bool is_atomic = false;          ///< x-kubernetes-map-type of the field itself: owned as a whole
  std::string_view enum_values;    ///< "TCP|UDP", or "" where any value goes
  const TypeInfo* type = nullptr;  ///< of a Struct or StructOrBool; never null there
};

struct TypeInfo {
  std::string_view name;          ///< "io.k8s.api.core.v1.Container"
  std::span<const Field> fields;  ///< sorted by name
  bool is_atomic = false;         ///< x-kubernetes-map-type: owned as a whole (LabelSelector)
  /// Of a custom kind: its schema, which then says everything; there are no `fields`.
  const custom::Schema* schema = nullptr;
  /// The field of that name, or nullptr.
  const Field* find(std::string_view field_name) const;
};

/// All types, sorted by name.
std::span<const TypeInfo* const> all_types();
/// The type of that full name, or nullptr.
const TypeInfo* find_type(std::string_view name);

}  // namespace pelton::api
