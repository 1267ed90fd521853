// SPDX-License-Identifier: Apache-2.0
#include "scenario/training_checkers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "api/object.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

/// A fault is evidence for so long: a node is found lost seconds after, its pod is missed later
/// still, and a spare that went with it is missed only when it is wanted.
constexpr Duration kEvidence = Duration::minutes(3);
/// From the last that befell anything until a job has to step again.
constexpr Duration kRecovered = Duration::seconds(90);
/// A worker that ends is met by one generation, and by another where its peers' cries come late; a
/// node, link or process of ours may be met several times: wait, begin, shrink, swap.
constexpr int64_t kPerFault = 2, kPerOtherFault = 5, kAtMostBeside = 2;
constexpr std::array<std::string_view, 6> kLadder = {"RestartInPlace", "RestartPod", "SwapSpare",
                                                     "Shrink",         "ChangeMesh", "Wait"};

bool is_of(const std::string& key, std::string_view plural) {
  return key.find(fmt::format("/{}/", plural)) != std::string::npos;
}

int width_of(const Json& generation) {
  int width = 0;
  for (const Json& member : generation["members"].items()) {
    width += static_cast<int>(member["ranks"].as_int(1));
  }
  return width;
}

}  // namespace

void TrainingCheckers::on_change(const std::string& key, const Json* before, const Json* after) {
  if (after == nullptr) return;
  if (is_of(key, "recoverypolicies")) on_policy(*after);
  if (is_of(key, "jobsets")) on_jobset(*after);
  if (is_of(key, "pods")) on_pod(before, *after);
}

void TrainingCheckers::on_policy(const Json& policy) {
  for (const Json& entry : policy["status"]["jobSets"].items()) {
    if (!entry["generation"].is_null()) on_entry(entry);
  }
}

void TrainingCheckers::on_entry(const Json& entry) {
  Job& job = jobs_[entry["uid"].as_string()];
  job.name = entry["name"].as_string();
  const Json& generation = entry["generation"];
  const int64_t number = generation["number"].as_int();
  if (number < job.number) {
    world_.violate(
        fmt::format("JobSet {}: generation {} follows {}", job.name, number, job.number));
    return;
  }
  if (number > job.number) return on_number(job, entry);
  const std::string& before = job.generation["phase"].as_string();
  const std::string& after = generation["phase"].as_string();
  const bool has_ended = after == "Finished" || after == "Failed";
  if (generation["members"] != job.generation["members"] || (before != after && !has_ended)) {
    world_.violate(fmt::format("JobSet {}: generation {} was {} and became {}", job.name, number,
                               job.generation.dump(), generation.dump()));
  }
  job.generation = generation;
}

void TrainingCheckers::on_number(Job& job, const Json& entry) {
  ++generations_;
  const base::Instant now = world_.now();
  job.number = entry["generation"]["number"].as_int();
  job.generation = entry["generation"];
  job.width = width_of(job.generation);
  job.full_width = static_cast<int>(entry["fullWorldSize"].as_int());
  std::map<int, std::string>& owners = job.owners[job.number];
  int rank = 0;
  for (const Json& member : job.generation["members"].items()) {
    for (int64_t i = 0; i < member["ranks"].as_int(1); ++i) {
      owners[rank++] = member["podUID"].as_string();
    }
  }
  const std::string& rung = entry["lastDecision"]["rung"].as_string();
  const bool is_recovery = std::find(kLadder.begin(), kLadder.end(), rung) != kLadder.end();
  const base::Instant fault = std::max(job.fault_at, any_fault_at_);
  if (is_recovery &&
      ++job.recoveries > kPerFault * job.faults + kPerOtherFault * any_faults_ + kAtMostBeside) {
    world_.violate(fmt::format(
        "JobSet {}: {} generations began by a failure, after {} faults of "
        "its workers and {} others; the last: {}",
        job.name, job.recoveries, job.faults, any_faults_, job.generation["reason"].as_string()));
  }
  if (job.number > 1 && is_recovery && (fault == base::Instant() || now - fault > kEvidence)) {
    world_.violate(
        fmt::format("JobSet {}: generation {} began by {} though nothing has befallen "
                    "it: {}",
                    job.name, job.number, rung, job.generation["reason"].as_string()));
  }
}

void TrainingCheckers::on_jobset(const Json& jobset) {
  const auto found = jobs_.find(api::uid_of(jobset));
  if (found == jobs_.end()) return;
  Job& job = found->second;
  const int64_t restarts = jobset["status"]["restarts"].as_int();
  if (restarts > job.restarts && !std::exchange(job.has_pod_failed, false)) {
    world_.violate(fmt::format("JobSet {} was restarted, and none of its pods had failed by itself",
                               job.name));
  }
  job.restarts = restarts;
  if (!api::is_condition_true(jobset, "Completed")) return;
  job.has_ended = true;
  if (job.done + 1 < job.steps) {
    world_.violate(
        fmt::format("JobSet {} is complete after step {} of {}", job.name, job.done, job.steps));
  }
}

void TrainingCheckers::on_pod(const Json* before, const Json& pod) {
  if (api::label_of(pod, "pelton.dev/recovery-policy").empty()) return;
  if (pod["status"]["phase"].as_string() != "Failed") return;
  if (before != nullptr && (*before)["status"]["phase"].as_string() == "Failed") return;
  if (api::is_condition_true(pod, "DisruptionTarget")) return;
  jobs_[api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid")].has_pod_failed = true;
}

void TrainingCheckers::on_worker_started(const std::string& job_uid, launch::WorkerId id,
                                         const std::string& pod_uid) {
  Job& job = jobs_[job_uid];
  const auto owners = job.owners.find(id.generation);
  if (owners == job.owners.end() || !owners->second.contains(id.rank) ||
      owners->second.at(id.rank) != pod_uid) {
    world_.violate(
        fmt::format("JobSet {}: pod {} started rank {} of generation {}, which the "
                    "stored record does not give it",
                    job.name, pod_uid, id.rank, id.generation));
  }
  std::string& running = job.running[id.generation][id.rank];
  if (!running.empty()) {
    world_.violate(fmt::format("JobSet {}: rank {} of generation {} runs in {} and in {}", job.name,
                               id.rank, id.generation, running, pod_uid));
  }
  for (const auto& [generation, workers] : job.running) {
    const bool is_beside = std::any_of(workers.begin(), workers.end(), [&](const auto& each) {
      return generation != id.generation && each.second == pod_uid;
    });
    if (!is_beside) continue;
    world_.violate(
        fmt::format("JobSet {}: pod {} started rank {} of generation {} beside workers "
                    "of generation {}",
                    job.name, pod_uid, id.rank, id.generation, generation));
  }
  running = pod_uid;
}

void TrainingCheckers::on_worker_ended(const std::string& job_uid, launch::WorkerId id) {
  auto& running = jobs_[job_uid].running;
  running[id.generation].erase(id.rank);
  if (running[id.generation].empty()) running.erase(id.generation);
}

void TrainingCheckers::on_step(const std::string& job_uid, int64_t generation, int64_t step,
                               int world_size, const std::set<std::string>& nodes, int64_t steps) {
  ++steps_;
  Job& job = jobs_[job_uid];
  const auto owners = job.owners.find(generation);
  if (owners == job.owners.end() || static_cast<int>(owners->second.size()) != world_size) {
    world_.violate(
        fmt::format("JobSet {}: generation {} stepped with {} ranks, which is not what "
                    "is stored",
                    job.name, generation, world_size));
  }
  if (generation < job.newest_step_of) {
    const bool is_out_of_reach = std::none_of(nodes.begin(), nodes.end(), world_.is_reachable);
    if (is_out_of_reach) return;
    world_.violate(
        fmt::format("JobSet {}: generation {} did step {} after generation {} had begun "
                    "to step",
                    job.name, generation, step, job.newest_step_of));
  }
  if (generation > job.newest_step_of && step > job.done + 1) {
    world_.violate(fmt::format("JobSet {}: generation {} began at step {}, and only {} were done",
                               job.name, generation, step, job.done + 1));
  }
  job.newest_step_of = generation;
  job.stepped_at = world_.now();
  job.done = std::max(job.done, step);
  job.steps = steps;
}

void TrainingCheckers::on_fault(const std::string& job_uid) {
  jobs_[job_uid].fault_at = world_.now();
  ++jobs_[job_uid].faults;
}

void TrainingCheckers::check_progress() {
  const base::Instant now = world_.now();
  for (const auto& [uid, job] : jobs_) {
    const base::Instant fault = std::max({job.fault_at, any_fault_at_, job.stepped_at});
    if (job.has_ended || job.steps == 0 || job.done + 1 >= job.steps) continue;
    if (now - fault < kRecovered) continue;
    world_.violate(
        fmt::format("JobSet {} has not stepped for {:.0f} s, and nothing has befallen "
                    "it since: {}",
                    job.name, (now - job.stepped_at).to_seconds(), job.generation.dump()));
    return;
  }
}

void TrainingCheckers::on_end() {
  for (const auto& [uid, job] : jobs_) {
    if (!job.running.empty()) {
      world_.violate(fmt::format("JobSet {}: workers of generation {} are left", job.name,
                                 job.running.begin()->first));
    }
  }
}

}  // namespace pelton::scenario
