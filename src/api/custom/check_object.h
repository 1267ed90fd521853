// SPDX-License-Identifier: Apache-2.0
// Whether an object of a custom kind is what its schema allows.
//
// Findings name fields and reasons as kube-apiserver does. On update, what did not change is not
// looked at again (upstream's ratcheting): an object may outlive a rule that came after it. CEL
// rules are not evaluated. Pure.
#pragma once
#include <string>

#include "api/custom/schema.h"
#include "api/validate.h"
#include "base/json.h"

namespace pelton::api::custom {

/// Checks the value at `path` ("" is the whole object). `before`: the value that it replaces, or
/// nullptr.
void check_value(Findings& findings, const Schema& schema, const std::string& path,
                 const base::Json& value, const base::Json* before);

/// Whether text has the form that a schema's `format` names. True for formats that Kubernetes does
/// not check.
bool has_format(std::string_view format, std::string_view text);
/// Whether Kubernetes checks that format of values of that type.
bool is_known_format(std::string_view format, Type type);

}  // namespace pelton::api::custom
