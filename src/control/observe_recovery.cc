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

template <class Facts, class Read>
const Facts& RecoveryMemo::look(All<Facts>& all, const Json& object, const Read& read) {
  Known<Facts>& known =
      all[api::uid_of(object).empty() ? api::name_of(object) : api::uid_of(object)];
  const std::string& version = api::resource_version_of(object);
  if (known.round == 0 || version.empty() || known.version != version) {
    known.version = version;
    known.facts = read();
  }
  known.round = round_;
  return known.facts;
}

const recovery::PodFacts& RecoveryMemo::pod(const Json& pod) {
  return look(pods_, pod, [&] { return recovery::observe_pod(pod); });
}

const recovery::NodeFacts& RecoveryMemo::node(const Json& node) {
  return look(nodes_, node, [&] { return recovery::observe_node(&node); });
}

const recovery::JobRecord& RecoveryMemo::record(const Json& policy, const std::string& jobset_uid) {
  return look(records_, policy, [&] {
    recovery::JobRecord record;
    for (const Json& entry : policy["status"]["jobSets"].items()) {
      if (entry["uid"].as_string() == jobset_uid) record = recovery::job_record_of(entry);
    }
    return record;
  });
}

void RecoveryMemo::forget_the_rest() {
  const auto is_old = [this](const auto& each) { return each.second.round < round_; };
  std::erase_if(pods_, is_old);
  std::erase_if(nodes_, is_old);
  std::erase_if(records_, is_old);
  ++round_;
}

recovery::Observed observe_recovery(const Json& policy, const recovery::Policy& spec,
                                    recovery::NodeMemories memories, const Json& jobset,
                                    const client::Cache& view, RecoveryMemo& memo) {
  recovery::Observed observed;
  observed.policy = spec;
  observed.memories = std::move(memories);
  observed.record = memo.record(policy, api::uid_of(jobset));
  recovery::observe_jobset(jobset, observed);
  const std::string attempt = std::to_string(observed.attempt);
  std::set<std::string> nodes;
  for (const Json* pod : view.list_labelled("Pod", workload::kJobSetUid, api::uid_of(jobset))) {
    if (api::label_of(*pod, workload::kRestartAttempt) != attempt) continue;
    observed.pods.push_back(memo.pod(*pod));
    nodes.insert(observed.pods.back().node);
  }
  std::sort(observed.pods.begin(), observed.pods.end(), [](const auto& a, const auto& b) {
    return std::tie(a.order, a.name) < std::tie(b.order, b.name);
  });
  for (const auto& member : observed.record.generation.members) nodes.insert(member.node);
  for (const auto& [name, memory] : observed.memories) nodes.insert(name);
  nodes.erase("");
  for (const std::string& name : nodes) {
    const Json* node = view.get("Node", "", name);
    recovery::NodeFacts facts = node == nullptr ? recovery::observe_node(node) : memo.node(*node);
    recovery::observe_lease(view.get("Lease", "kube-node-lease", name), facts);
    observed.nodes.emplace_hint(observed.nodes.end(), name, std::move(facts));
  }
  const auto all = view.list("Node");
  observed.is_every_node_silent =
      !all.empty() && std::all_of(all.begin(), all.end(), [](const Json* node) {
        return recovery::observe_node(node).is_unreachable;
      });
  memo.forget_the_rest();
  return observed;
}

}  // namespace pelton::control
