// SPDX-License-Identifier: Apache-2.0
// What tracking of updates and applying share. Private to api/fields/.
#pragma once
#include "api/fields/managed_fields.h"

namespace pelton::api::fields {

/// The entry of that writer, or nullptr.
ManagedEntry* find_entry(ManagedFields& managed, const ManagedEntry& writer);
/// A new entry, without fields.
ManagedEntry entry_of(const ResourceInfo& resource, const Writer& writer, bool is_apply);
/// Nobody owns what names the object, nor what the server alone sets.
FieldSet without_identity(const FieldSet& set);
void drop_empty(ManagedFields& managed);
/// Of a stored object.
ManagedFields managed_fields_of(const base::Json& object);
base::Json without_managed_fields(base::Json object);
/// Sets the list, or erases it where it is empty.
void set_managed_fields(base::Json& object, ManagedFields managed);
/// Members that upstream's Go structures always have, though nobody set them: to fill them is no
/// addition of the object above.
void fill_always_present(const TypeInfo& type, base::Json& object);

}  // namespace pelton::api::fields
