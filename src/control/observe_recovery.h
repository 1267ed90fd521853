// SPDX-License-Identifier: Apache-2.0
// What a decision about a job's recovery looks at, read from a cache: by the controller that acts
// on it, and by whoever explains it.
#pragma once
#include "client/cache.h"
#include "decide/recovery/observed.h"

namespace pelton::control {

/// Of one JobSet that names `policy`; `spec` is the policy's. `memories` of nodes as they are now:
/// deciding about another JobSet of the same policy may have changed them.
decide::recovery::Observed observe_recovery(const base::Json& policy,
                                            const decide::recovery::Policy& spec,
                                            decide::recovery::NodeMemories memories,
                                            const base::Json& jobset, const client::Cache& view);

}  // namespace pelton::control
