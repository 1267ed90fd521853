// SPDX-License-Identifier: Apache-2.0
// From any JSON to an object that its table allows.
//
// Decoding is what upstream does by unmarshalling into typed structures: unknown fields fall away,
// nulls count as absent, a wrong type is an error (400 BadRequest), quantities and times become
// canonical. Whether the values make sense is validation's business (api/validate.h). Pure.
#pragma once
#include <string>
#include <vector>

#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// Removes what `type` does not know, in place; returns the paths removed
/// ("spec.containers[0].foo") in document order.
std::vector<std::string> prune(const TypeInfo& type, base::Json& object);

/// Checks types and makes quantities and times canonical, in place; drops nulls. Run after prune.
/// BadRequest names field, found and wanted type.
base::Status normalize(const ResourceInfo& resource, base::Json& object);

/// The same of a part of the object, which is of `type` and stands at `path`.
base::Status normalize_part(const ResourceInfo& resource, const TypeInfo& type,
                            const std::string& path, base::Json& part);

/// Checks apiVersion and kind against the resource (absent ones are filled in), prunes, normalizes.
/// Of a custom kind its schema decides instead of a table, and values stay as they are.
/// `unknown_fields` gets the pruned paths; the caller warns or refuses (strict_error).
base::Status decode(const ResourceInfo& resource, base::Json& object,
                    std::vector<std::string>& unknown_fields);

/// Leaves out lists and maps without anything in them that need not be there, in place, of a
/// decoded object: upstream does so in writing its Go types. Not of kinds that it has no Go type
/// for.
void drop_empty(const ResourceInfo& resource, base::Json& object);

/// The 400 of fieldValidation=Strict, of problems like `unknown field "spec.foo"`.
base::Status strict_error(const ResourceInfo& resource, const std::vector<std::string>& problems);
/// `strict decoding error: unknown field "spec.foo", duplicate field "spec.x"`
std::string strict_message(const std::vector<std::string>& problems);

}  // namespace pelton::api
