// SPDX-License-Identifier: Apache-2.0
// Where a pod's container runs, for what is passed on to its kubelet: log, exec and the like.
#pragma once
#include <string>

#include "apiserver/core.h"
#include "world/network.h"

namespace pelton::apiserver {

/// The container that is meant, by upstream's rules: named by the query, the only one, or annotated
/// as default. BadRequest names those that there are.
base::Result<std::string> choose_container(const Call& call, const base::Json& pod);

/// Unavailable where the node has not said it.
base::Result<world::Address> kubelet_address(const CorePtr& core, const std::string& node);

}  // namespace pelton::apiserver
