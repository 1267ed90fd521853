// SPDX-License-Identifier: Apache-2.0
// Every Namespace has a ServiceAccount named "default".
#pragma once
#include "base/json.h"
#include "decide/workload/decision.h"

namespace pelton::decide::workload {

inline constexpr const char* kDefaultAccount = "default";

/// What a Namespace lacks: creates its account unless the namespace is being deleted. `account` is
/// null where there is none. Pure.
Decision decide_default_account(const base::Json& namespace_object, const base::Json* account);

}  // namespace pelton::decide::workload
