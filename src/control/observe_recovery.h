// SPDX-License-Identifier: Apache-2.0
// What a decision about a job's recovery looks at, read from a cache: by the controller that acts
// on it, and by whoever explains it.
#pragma once
#include <cstdint>
#include <string>
#include <unordered_map>

#include "client/cache.h"
#include "decide/recovery/observed.h"

namespace pelton::control {

/// What has been read of one JobSet before. An object of the same uid and resourceVersion is the
/// same, so that of 65,000 pods only those are read again that have changed.
class RecoveryMemo {
 public:
  const decide::recovery::PodFacts& pod(const base::Json& pod);
  const decide::recovery::NodeFacts& node(const base::Json& node);
  /// From the policy's status; a default one where there is no entry for it.
  const decide::recovery::JobRecord& record(const base::Json& policy,
                                            const std::string& jobset_uid);
  /// Forgets what has not been asked for since the last call.
  void forget_the_rest();

 private:
  template <class Facts>
  struct Known {
    std::string version;
    Facts facts;
    uint64_t round = 0;
  };
  template <class Facts>
  using All = std::unordered_map<std::string, Known<Facts>>;
  template <class Facts, class Read>
  const Facts& look(All<Facts>& all, const base::Json& object, const Read& read);

  All<decide::recovery::PodFacts> pods_;
  All<decide::recovery::NodeFacts> nodes_;
  All<decide::recovery::JobRecord> records_;
  uint64_t round_ = 1;
};

/// Of one JobSet that names `policy`; `spec` is the policy's. `memories` of nodes as they are now:
/// deciding about another JobSet of the same policy may have changed them. `memo` is the JobSet's.
decide::recovery::Observed observe_recovery(const base::Json& policy,
                                            const decide::recovery::Policy& spec,
                                            decide::recovery::NodeMemories memories,
                                            const base::Json& jobset, const client::Cache& view,
                                            RecoveryMemo& memo);

}  // namespace pelton::control
