// SPDX-License-Identifier: Apache-2.0
// What the decision about one Job looks at.
//
// The views of the Job and of its pods may each lag behind the store, but neither goes backwards
// while one controller lives, and both show what that controller itself has written.
#pragma once
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::workload {

struct JobOptions {
  /// A failed pod is replaced after this, doubled per failure since the last success. Upstream: 10
  /// s.
  base::Duration backoff_base = base::Duration::seconds(1);
  base::Duration backoff_max = base::Duration::minutes(10);
};

struct JobObserved {
  const base::Json* job = nullptr;      ///< never null
  std::vector<const base::Json*> pods;  ///< those that the Job controls, by uid, in any order
};

}  // namespace pelton::decide::workload
