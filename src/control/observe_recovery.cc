// SPDX-License-Identifier: Apache-2.0
#include "control/observe_recovery.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "api/object.h"
#include "decide/workload/jobset/children.h"

namespace pelton::control {

using base::Json;
namespace recovery = decide::recovery;
namespace workload = decide::workload;

recovery::Observed observe_recovery(const Json& policy, const recovery::Policy& spec,
                                    recovery::NodeMemories memories, const Json& jobset,
                                    const client::Cache& view) {
  recovery::Observed observed;
  observed.policy = spec;
  observed.memories = std::move(memories);
  for (const Json& entry : policy["status"]["jobSets"].items()) {
    if (entry["uid"].as_string() == api::uid_of(jobset)) {
      observed.record = recovery::job_record_of(entry);
    }
  }
  recovery::observe_jobset(jobset, observed);
  const std::string attempt = std::to_string(observed.attempt);
  std::set<std::string> nodes;
  for (const Json* pod : view.list_labelled("Pod", workload::kJobSetUid, api::uid_of(jobset))) {
    if (api::label_of(*pod, workload::kRestartAttempt) != attempt) continue;
    observed.pods.push_back(recovery::observe_pod(*pod));
    nodes.insert(observed.pods.back().node);
  }
  std::sort(observed.pods.begin(), observed.pods.end(), [](const auto& a, const auto& b) {
    return std::tie(a.order, a.name) < std::tie(b.order, b.name);
  });
  for (const auto& member : observed.record.generation.members) nodes.insert(member.node);
  for (const auto& [name, memory] : observed.memories) nodes.insert(name);
  nodes.erase("");
  for (const std::string& name : nodes) {
    observed.nodes[name] = recovery::observe_node(view.get("Node", "", name));
  }
  const auto all = view.list("Node");
  observed.is_every_node_silent =
      !all.empty() && std::all_of(all.begin(), all.end(), [](const Json* node) {
        return recovery::observe_node(node).is_unreachable;
      });
  return observed;
}

}  // namespace pelton::control
