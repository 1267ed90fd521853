// SPDX-License-Identifier: Apache-2.0
// What POST, PUT, PATCH and server-side apply share on their way to the store. Used on the loop
// only.
#pragma once
#include <functional>

#include "api/fields/managed_fields.h"
#include "apiserver/core.h"

namespace pelton::apiserver {

/// Who writes: query parameter fieldManager, else the User-Agent up to its first '/'.
api::fields::Writer writer_of(const Call& call, base::Instant now);

/// An object as a client wants it, admitted by admit_object.
struct Wanted {
  base::Json object;
  /// An apply has settled who owns what: metadata.managedFields is kept as it is.
  bool has_owners = false;
};

/// Runs `make` and its admission on the stored object, until it is committed, and answers. Where
/// there is no such object: `absent`, or NotFound.
void update_object(const CorePtr& core, const CallPtr& call,
                   std::function<base::Result<Wanted>(const base::Json& before)> make,
                   std::function<void()> absent = nullptr);

/// Makes a new object and answers. Where the name is taken: `taken`, or AlreadyExists.
void create_object(const CorePtr& core, const CallPtr& call, Wanted wanted,
                   std::function<void()> taken = nullptr);

/// PATCH with application/apply-patch+yaml.
void handle_apply(const CorePtr& core, const CallPtr& call);

}  // namespace pelton::apiserver
