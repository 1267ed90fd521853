// SPDX-License-Identifier: Apache-2.0
// The smallest change that would get a pod (or its gang) a node.
//
// Candidates are made from what stands in the way, tried on a copy of the observation with the
// scheduler's own decision, and told only where the pod is placed then. So a suggestion is never a
// guess, but it holds for the cluster as observed. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "decide/placement/observed.h"

namespace pelton::decide::placement {

/// Changes of pods are to all pods of the gang that wait together.
struct Change {
  enum class Kind : uint8_t {
    Uncordon,            ///< `nodes`
    RemoveTaint,         ///< `taint` from `nodes`
    LowerRequest,        ///< of `resource` to `amount` per pod, where it is more
    RemoveNodeSelector,  ///< the entry `key`
    RemoveNodeAffinity,  ///< all required terms
    RemovePodAffinity,   ///< all required terms
    RemovePodAntiAffinity,
    RemoveSpread,      ///< all constraints with DoNotSchedule
    RemoveAnnotation,  ///< `key`: exclusive or required topology
    RemoveGates,       ///< spec.schedulingGates
    AddNodes           ///< `added`
  };
  Kind kind = Kind::AddNodes;
  std::vector<std::string> nodes;
  Taint taint;
  std::string key, value;
  std::string resource;
  int64_t amount = 0;
  std::vector<Node> added;

  /// "remove taint {dedicated: x} from node-3", "add 2 nodes with 4 google.com/tpu".
  std::string to_string() const;
  base::Json to_json() const;
};

/// Changes that help together; mostly one.
struct Suggestion {
  std::vector<Change> changes;
  std::string to_string() const;
  base::Json to_json() const;
};

/// Smallest first: nodes that are there already, then the pod's wishes, then more nodes. Empty: the
/// pod is placed or waits for others, or nothing that is tried would help.
std::vector<Suggestion> suggest(const Observed& observed, std::string_view namespace_name,
                                std::string_view pod_name);

}  // namespace pelton::decide::placement
