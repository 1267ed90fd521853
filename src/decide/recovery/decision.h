// SPDX-License-Identifier: Apache-2.0
// What is to be done about one JobSet: first the record is written, then the rest is done.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/recovery/job_record.h"

namespace pelton::decide::recovery {

struct Decision {
  JobRecord record;       ///< as it is to be; the same as before: nothing to write
  NodeMemories memories;  ///< likewise
  /// Entries of record.replaced whose pod is still there and not yet being deleted.
  std::vector<Replacement> deletions;
  std::vector<std::string> quarantines;      ///< nodes to taint; then Due becomes Done
  std::optional<base::Duration> look_again;  ///< where a cost grows with time, or a window ends
  bool is_impossible = false;  ///< the JobSet has too few pods for the policy; see waits_for
  std::string waits_for;       ///< in one line; empty: for nothing
};

}  // namespace pelton::decide::recovery
