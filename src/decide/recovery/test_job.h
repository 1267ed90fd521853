// SPDX-License-Identifier: Apache-2.0
// For tests: a job whose pods, supervisors and nodes follow the record as the real ones do.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "decide/recovery/decide_recovery.h"

namespace pelton::decide::recovery {

class TestJob {
 public:
  explicit TestJob(int pods, Policy policy = {}) {
    observed.policy = std::move(policy);
    observed.wanted_pods = pods;
    observed.record.name = "train";
    observed.record.uid = "job";
    make_pods();
  }

  Observed observed;
  base::Instant now = base::Instant::from_unix_seconds(1'000'000);

  const Generation& generation() const { return observed.record.generation; }
  Rung rung() const { return observed.record.last.rung; }
  std::string members() const {
    std::string names;
    for (const Member& member : generation().members) {
      names += (names.empty() ? "" : " ") + member.pod;
    }
    return names;
  }
  const Alternative* alternative(Rung rung) const {
    for (const Alternative& each : observed.record.last.alternatives) {
      if (each.rung == rung) return &each;
    }
    return nullptr;
  }

  /// Each index without a pod that lives gets one, on a node of its own.
  void make_pods() {
    for (int i = 0; i < observed.wanted_pods; ++i) {
      const bool has = std::any_of(observed.pods.begin(), observed.pods.end(), [&](auto& pod) {
        return pod.order == i && !pod.has_ended && !pod.is_leaving;
      });
      if (has) continue;
      PodFacts pod;
      pod.order = i;
      pod.name = fmt::format("p{}", i) + std::string(static_cast<size_t>(made_[i]), '\'');
      pod.uid = "uid-" + pod.name;
      pod.node = fmt::format("n{}-{}", i, made_[i]++);
      pod.created = now;
      pod.report.ranks = ranks_per_pod;
      observed.nodes[pod.node] = {};
      observed.pods.push_back(std::move(pod));
    }
    std::sort(observed.pods.begin(), observed.pods.end(), [](const auto& a, const auto& b) {
      return std::tie(a.order, a.name) < std::tie(b.order, b.name);
    });
  }
  void join_all() {
    for (PodFacts& pod : observed.pods) pod.has_joined = !pod.has_ended;
  }
  PodFacts& pod(const std::string& name) {
    return *std::find_if(observed.pods.begin(), observed.pods.end(),
                         [&](const PodFacts& each) { return each.name == name; });
  }
  bool has_pod(const std::string& name) const {
    return std::any_of(observed.pods.begin(), observed.pods.end(),
                       [&](const PodFacts& each) { return each.name == name; });
  }
  void remove_pod(const std::string& name) {
    std::erase_if(observed.pods, [&](const PodFacts& each) { return each.name == name; });
  }

  Decision look() const { return decide_recovery(observed, now); }
  /// Decides, writes the record, and is the whole of what a decision may do where `acts`.
  Decision step(bool acts = true) {
    Decision decision = look();
    // As it comes back from the status of the policy.
    observed.record = job_record_of(to_json(decision.record));
    observed.memories = node_memories_of(to_json(decision.memories));
    if (acts) act(decision);
    return decision;
  }
  void act(const Decision& decision) {
    for (const Replacement& each : decision.deletions) remove_pod(each.pod);
    for (const std::string& node : decision.quarantines) observed.nodes[node].is_quarantined = true;
  }
  void settle() {
    for (int i = 0; i < 20; ++i) {
      const std::string before =
          to_json(observed.record).dump() + to_json(observed.memories).dump();
      const Decision decision = step();
      follow();
      if (to_json(decision.record).dump() + to_json(decision.memories).dump() == before &&
          decision.deletions.empty() && decision.quarantines.empty()) {
        return;
      }
    }
  }
  /// Supervisors do what the record says.
  void follow() {
    for (PodFacts& pod : observed.pods) {
      if (!pod.has_joined || pod.report.generation == generation().number) continue;
      if (is_cut_off(pod)) continue;
      const auto index = generation().index_of(pod.uid);
      const bool runs = index && generation().phase == Generation::Phase::Running;
      pod.report = {};
      pod.report.ranks = ranks_per_pod;
      if (!runs) continue;
      pod.report.generation = generation().number;
      pod.report.stage = PodReport::Stage::Running;
      for (int i = 0; i < pod.report.ranks; ++i) {
        WorkerReport worker;
        worker.rank = generation().first_rank_of(*index) + i;
        worker.state = WorkerState::Running;
        pod.report.workers.push_back(worker);
      }
    }
  }
  bool is_cut_off(const PodFacts& pod) const {
    const auto node = observed.nodes.find(pod.node);
    return node != observed.nodes.end() && node->second.is_unreachable;
  }
  /// All run, and the steps up to `last` of this generation have been done.
  void train(int64_t first, int64_t last) {
    for (PodFacts& pod : observed.pods) {
      if (pod.report.stage != PodReport::Stage::Running) continue;
      pod.report.first_step = first;
      pod.report.last_step = last;
      pod.report.first_step_at = now;
      now = now + base::Duration::seconds(1);
      pod.report.last_step_at = now;
    }
  }
  void fail(const std::string& name, const std::string& cause, int64_t step = -1) {
    PodFacts& at = pod(name);
    at.report.stage = PodReport::Stage::Stopped;
    WorkerReport& worker = at.report.workers.at(0);
    worker.state = WorkerState::Exited;
    worker.cause = cause;
    worker.step = step;
    worker.since = now;
  }
  void start() {
    join_all();
    settle();
  }

  int ranks_per_pod = 1;

 private:
  std::map<int, int> made_;
};

}  // namespace pelton::decide::recovery
