// SPDX-License-Identifier: Apache-2.0
// From the bytes of a request to an object of its resource.
#pragma once
#include <string_view>

#include "apiserver/call.h"
#include "base/json.h"

namespace pelton::apiserver {

/// Reads JSON, YAML or protobuf by content type; "" counts as JSON. BadRequest for bad syntax,
/// UnsupportedMediaType for others, RequestEntityTooLarge over 3 MiB. An empty body is
/// null.
base::Result<base::Json> read_body(const net::Request& request);

/// Reads dryRun into the call and checks fieldValidation, fieldManager and force. Invalid (422) as
/// upstream for what a verb's options cannot have.
base::Status read_write_options(Call& call);

/// Makes `object` one of the call's resource: checks kind, namespace and name against the path
/// (name only where the path has one), prunes unknown fields as fieldValidation says (Strict: an
/// error, Warn: a warning), normalizes, drops selfLink and what is empty (api::drop_empty).
base::Status admit_object(Call& call, base::Json& object);
/// The same for what an apply states: to state that something is empty says that one owns it.
base::Status admit_config(Call& call, base::Json& config);

/// RequestEntityTooLarge where the encoded object is over the limit.
base::Status check_size(size_t bytes);

}  // namespace pelton::apiserver
