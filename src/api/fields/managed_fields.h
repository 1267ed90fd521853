// SPDX-License-Identifier: Apache-2.0
// Who owns which field of an object: metadata.managedFields, and what writes and applies do to it.
//
// Each writer has an entry: its name, how it writes (Update: create, PUT and patches; Apply), at
// which version of the API, through which subresource, and the set of fields that it set last. An
// Update takes what it changes from everybody. An Apply states everything that the applier wants:
// what it states and another owns with a different value is a conflict (or taken by force), and
// what it stated before, states no more and nobody else owns is removed. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/fields/field_set.h"
#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"
#include "base/time.h"

namespace pelton::api::fields {

/// Names of managers have at most so many bytes.
inline constexpr size_t kManagerBytesMax = 128;

/// One entry of metadata.managedFields.
struct ManagedEntry {
  std::string manager;
  bool is_apply = false;
  std::string api_version;
  std::string subresource;  ///< "" for the object itself
  std::string time;         ///< RFC 3339 of the last change, or ""
  FieldSet fields;
  /// Whether both are of one writer. Appliers keep theirs across versions of the API.
  bool is_of(const ManagedEntry& other) const;
};
using ManagedFields = std::vector<ManagedEntry>;

/// InvalidArgument: an entry is none.
base::Result<ManagedFields> read_managed_fields(const base::Json& list);
/// The list in upstream's order: by operation, time, manager, version, subresource.
base::Json write_managed_fields(ManagedFields managed);
/// Whether a write asks to forget all owners: [] or [{}]. (No list asks for nothing.)
bool is_reset(const base::Json& list);

/// Who writes, and when.
struct Writer {
  std::string manager;  ///< "" counts as "unknown"
  std::string subresource;
  base::Instant now;
};

/// The object that a new one is compared with: what upstream's type has before anything is set.
base::Json empty_object(const ResourceInfo& resource);

/// Sets `after`'s metadata.managedFields for an Update of `before` (empty_object for a creation, of
/// which is_new tells). `sent` is the list that the request carries (null: none): clients that
/// rewrite it are obeyed, except through a subresource. An object whose owners are unknown stays so
/// until somebody applies.
void track_update(const ResourceInfo& resource, const base::Json& before, base::Json& after,
                  const base::Json& sent, const Writer& writer, bool is_new);

/// The same list with the times of `before`, where nothing else differs between the objects.
void keep_times_of_no_change(const base::Json& before, base::Json& after);

struct ApplyRequest {
  base::Json config;  ///< decoded; metadata.managedFields must be absent
  bool is_forced = false;
  bool is_new = false;  ///< `live` is an empty_object
};

/// What `live` becomes by the request, with metadata.managedFields, before defaults. Conflict with
/// a cause FieldManagerConflict per field: others own what would change.
base::Result<base::Json> apply_config(const ResourceInfo& resource, const base::Json& live,
                                      const ApplyRequest& request, const Writer& writer);

}  // namespace pelton::api::fields
