// SPDX-License-Identifier: Apache-2.0
// A place in an object, as its type's table or its custom kind's schema knows it. Private to
// api/fields/.
#pragma once
#include <string_view>

#include "api/fields/field_set.h"
#include "api/schema.h"
#include "base/json.h"

namespace pelton::api::fields {

class Place {
 public:
  enum class Kind : uint8_t {
    Leaf,    ///< owned as a whole
    Object,  ///< members that the type names
    Map,     ///< members of any name
    Keyed,   ///< list whose items are told apart by keys
    Set,     ///< list whose items are told apart by value
    Free,    ///< whatever it is: objects are maps, all else a leaf
  };
  explicit Place(const TypeInfo& type) : kind_(Kind::Object), type_(&type), schema_(type.schema) {}

  Kind kind() const { return kind_; }
  /// How the value stands there: Free becomes Map or Leaf, and so does what has another JSON type
  /// than the table says (then a Leaf). nullptr and null fit everything.
  Kind kind_for(const base::Json* a, const base::Json* b) const;
  /// Of an Object: whether the type names this member.
  bool names(std::string_view member) const;
  /// Of an Object: whether it may have members that the type does not name.
  bool is_open() const;
  Place member(std::string_view name) const;
  Place item() const;
  /// The element of an item of this list; "" where it has none of the keys.
  Element element_of(const base::Json& item) const;
  /// "containerPort,protocol"
  std::string_view keys() const;

 private:
  Place(Kind kind, const TypeInfo* type, const Field* field)
      : kind_(kind), type_(type), field_(field) {}
  static Place of_field(const Field& field);
  static Place of_value(const Field& field);
  static Place of_schema(const custom::Schema* schema);
  base::Json default_of_key(std::string_view key) const;

  Kind kind_ = Kind::Free;
  const TypeInfo* type_ = nullptr;          ///< of an Object
  const Field* field_ = nullptr;            ///< of a Map, Keyed or Set: what its values are
  const custom::Schema* schema_ = nullptr;  ///< instead of both, where a schema knows the place
};

}  // namespace pelton::api::fields
