// SPDX-License-Identifier: Apache-2.0
// Why is this pod pending? The same decision as the scheduler's, told for one pod. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "decide/placement/decision.h"
#include "decide/placement/observed.h"
#include "decide/placement/suggest.h"

namespace pelton::decide::placement {

struct PodExplanation {
  enum class State : uint8_t {
    Bound,         ///< has a node
    Ended,         ///< needs none any more
    Schedulable,   ///< would be bound now, to `node_name`
    Waiting,       ///< for the rest of its gang to exist
    Unschedulable  ///< no node, or not enough nodes for its gang
  };
  State state = State::Unschedulable;
  std::string namespace_name, pod_name;
  std::string node_name;
  std::string gang_name;
  std::string message;  ///< one line for people; the condition PodScheduled has the same
  Explanation why;      ///< where it is Waiting or Unschedulable
  /// What would help, smallest change first; where it is Unschedulable or gated.
  std::vector<Suggestion> suggestions;

  base::Json to_json() const;
};

/// NotFound: there is no such pod among `pods`.
base::Result<PodExplanation> explain_pod(const World& world, std::string_view namespace_name,
                                         std::string_view pod_name);

}  // namespace pelton::decide::placement
