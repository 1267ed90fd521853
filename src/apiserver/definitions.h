// SPDX-License-Identifier: Apache-2.0
// Custom kinds as they come, change and go: from stored CustomResourceDefinitions to the registry
// that requests see, and what must be deleted with a definition or a namespace.
//
// A commit of a definition swaps the registry before the client hears of it: who made a kind can
// use it at once. Requests keep the registry that they began with. Used on the loop only.
#pragma once
#include "apiserver/core.h"

namespace pelton::apiserver {

/// Reads the stored definitions, once at start, and from then on follows what is committed.
void start_definitions(const CorePtr& core);

/// What the server says about a definition on its way to the store: status and conditions. Warns
/// the client of what is not done with it. Nothing for other kinds.
void admit_definition(const CorePtr& core, Call& call, base::Json& object);

/// How many objects of custom kinds the namespace still has.
size_t count_custom_objects(const CorePtr& core, const std::string& ns);

}  // namespace pelton::apiserver
