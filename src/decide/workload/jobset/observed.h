// SPDX-License-Identifier: Apache-2.0
// What the decision about one JobSet looks at.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "base/json.h"

namespace pelton::decide::workload {

struct JobSetObserved {
  const base::Json* jobset = nullptr;   ///< never null
  std::vector<const base::Json*> jobs;  ///< Jobs that it controls, by uid, in any order
  /// Names that a child Job would bear and that some other Job of the namespace has.
  std::set<std::string> foreign_jobs;
  bool has_service = false;  ///< a Service of the name of the subdomain exists, whoever owns it
};

}  // namespace pelton::decide::workload
