// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/job_metrics.h"

#include <algorithm>
#include <array>

#include "api/object.h"
#include "api/pod_resources.h"
#include "decide/goodput/history.h"
#include "decide/recovery/records.h"

namespace pelton::decide::goodput {
namespace {

using base::Json;
using recovery::Generation;
using recovery::PodReport;

struct Pod {
  std::string uid;
  bool has_joined = false;
  PodReport report;
};

JobState running_state(const Generation& generation, const Json& record,
                       const std::vector<Pod>& pods) {
  bool has_failed = false;
  size_t stepping = 0;
  for (const Pod& pod : pods) {
    if (!generation.index_of(pod.uid) || pod.report.generation != generation.number) continue;
    if (pod.report.first_step >= 0) ++stepping;
    for (const recovery::WorkerReport& worker : pod.report.workers) {
      has_failed = has_failed || recovery::is_failure(worker.state);
    }
  }
  if (has_failed) return JobState::Recovering;
  if (stepping == generation.members.size() && stepping > 0) {
    const bool is_full = generation.world_size() >= record["fullWorldSize"].as_int();
    return is_full ? JobState::Training : JobState::Degraded;
  }
  const std::string& rung = record["lastDecision"]["rung"].as_string();
  if (rung == "Start") return JobState::Starting;
  const bool is_resized = rung == "Shrink" || rung == "Grow" || rung == "ChangeMesh";
  return is_resized ? JobState::Resizing : JobState::Recovering;
}

JobState state_of(const Generation& generation, const Json& record, const std::vector<Pod>& pods) {
  using enum Generation::Phase;
  switch (generation.phase) {
    case Running:
      return running_state(generation, record, pods);
    case Finished:
      return JobState::Finished;
    case Failed:
      return JobState::Failed;
    case Waiting:
      return JobState::Waiting;
  }
  return JobState::Pending;
}

void count_generations(const Json& record, const Generation& generation, JobMetrics& metrics) {
  std::string cause;
  int64_t last = 0;
  for (const Json& past : record["history"].items()) {
    if (const auto folded = folded_of(past["sums"])) {
      metrics.generations = folded->begun;
    } else {
      ++metrics.generations[{past["rung"].as_string(), cause}];
    }
    cause = past["cause"].as_string();
    last = past["number"].as_int();
  }
  // Once it is over, the present one stands in the history too.
  if (generation.number > last) {
    ++metrics.generations[{record["lastDecision"]["rung"].as_string(), cause}];
  }
}

}  // namespace

const char* job_state_name(JobState state) {
  static constexpr std::array<const char*, kJobStates> kNames = {
      "Pending",  "Starting", "Training", "Degraded", "Recovering",
      "Resizing", "Waiting",  "Finished", "Failed"};
  return kNames[static_cast<size_t>(state)];
}

const Json& record_of(const Json& policy, const Json& jobset) {
  static const Json kNone;
  for (const Json& record : policy["status"]["jobSets"].items()) {
    if (record["uid"].as_string() == api::uid_of(jobset)) return record;
  }
  return kNone;
}

JobMetrics observe_job(const Json& jobset, const Json& record, const std::vector<const Json*>& pods,
                       base::Instant now) {
  JobMetrics metrics;
  metrics.namespace_name = api::namespace_of(jobset);
  metrics.name = api::name_of(jobset);
  metrics.state = JobState::Pending;
  metrics.full_ranks = static_cast<int>(record["fullWorldSize"].as_int());
  const auto generation = recovery::generation_of(record["generation"]);
  if (!generation.ok()) return metrics;
  std::vector<Pod> members;
  std::vector<PodReport> reports;
  for (const Json* pod : pods) {
    const bool has_joined = api::find_condition(*pod, recovery::kWorkersCondition) != nullptr;
    members.push_back(
        {api::uid_of(*pod), has_joined && !api::has_ended(*pod), recovery::report_in(*pod)});
    reports.push_back(members.back().report);
  }
  metrics.state = state_of(*generation, record, members);
  metrics.generation = generation->number;
  const bool runs = generation->phase == Generation::Phase::Running;
  if (runs) metrics.ranks = generation->world_size();
  for (const Pod& pod : members) {
    const bool is_member = runs && generation->index_of(pod.uid).has_value();
    if (pod.has_joined && !is_member) ++metrics.spares;
  }
  count_generations(record, *generation, metrics);
  const std::vector<Entry> entries = entries_of(record, reports);
  for (const Entry& entry : entries) {
    if (entry.last_step >= 0) metrics.step = entry.last_step;
  }
  const auto created = base::parse_time(jobset["metadata"]["creationTimestamp"].as_string());
  const auto timeline = timeline_of(entries, created.ok() ? *created : base::Instant(), now);
  if (timeline.ok()) metrics.report = account(*timeline);
  return metrics;
}

}  // namespace pelton::decide::goodput
