// SPDX-License-Identifier: Apache-2.0
// Objects seen as fields, by the table of their type: which fields an object has, which differ
// between two, and how objects are merged and cut by field.
//
// What counts as one field: a scalar, and whatever the table says is owned as a whole (an atomic
// list or map). Maps and other objects consist of their members, lists of type map of the items
// that their keys name, lists of type set of their values. What the table says nothing about (Any)
// is taken as maps down to its scalars and lists. Pure; objects are decoded ones (api/decode.h).
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "api/fields/field_set.h"
#include "api/schema.h"
#include "base/json.h"

namespace pelton::api::fields {

/// Every field of the object: leaves, items, entries of maps, and objects that are empty.
FieldSet fields_of(const TypeInfo& type, const base::Json& object);

struct Comparison {
  FieldSet added;     ///< with all that is below and above, as far as that is new
  FieldSet modified;  ///< leaves
  FieldSet removed;
};
Comparison compare(const TypeInfo& type, const base::Json& before, const base::Json& after);

/// `config` laid over `live`: leaves replace; items of lists come in config's order, and live's
/// others keep their neighbours.
base::Json merge(const TypeInfo& type, const base::Json& live, const base::Json& config);

/// The object without these fields. What becomes empty by that goes too.
base::Json remove_fields(const TypeInfo& type, const base::Json& object, const FieldSet& fields);

/// The set, and in it the objects that the type names above each member: to own spec.replicas is
/// then to hold spec too.
FieldSet with_named_parents(const TypeInfo& type, const FieldSet& set);

/// Why an object cannot be applied: fields that the type does not have, items of one key, items
/// without a key. Each as PATH: WHAT. Of the object as it was sent, before decoding.
std::vector<std::string> find_faults(const TypeInfo& type, const base::Json& object);

}  // namespace pelton::api::fields
