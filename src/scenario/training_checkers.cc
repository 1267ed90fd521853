// SPDX-License-Identifier: Apache-2.0
#include "scenario/training_checkers.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "api/object.h"
#include "decide/goodput/history.h"
#include "decide/goodput/report.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

/// A fault is evidence for so long: a node is found lost seconds after, its pod is missed later
/// still, and a spare that went with it is missed only when it is wanted.
constexpr Duration kEvidence = Duration::minutes(3);
/// From the last that befell anything until a job has to step again.
constexpr Duration kRecovered = Duration::seconds(90);
/// From the last that befell anything until a job has to have the width that its pods allow.
constexpr Duration kWidened = Duration::minutes(3);
/// By so much may goodput's productive time differ from what the steps took: an entry of history
/// knows when its first and last step ended, and spreads the steps evenly between.
constexpr double kProductiveShare = 0.03;
constexpr Duration kProductiveSlack = Duration::seconds(2);
/// A worker that ends is met by one generation, and by another where its peers' cries come late; a
/// node, link or process of ours may be met several times: wait, begin, shrink, swap.
constexpr int64_t kPerFault = 2, kPerOtherFault = 5, kAtMostBeside = 2;
constexpr std::array<std::string_view, 6> kLadder = {"RestartInPlace", "RestartPod", "SwapSpare",
                                                     "Shrink",         "ChangeMesh", "Wait"};

/// Three failures of a node within a day put it in quarantine; the taint, and another job's share
/// in the count, come a little later or sooner.
constexpr int kPerBadNode = 4;
/// Failures of a member that need no worker.
constexpr std::array<std::string_view, 5> kOfPods = {"NodeUnreachable", "NodeSilent", "PodGone",
                                                     "PodEnded", "PodDeleted"};

bool is_of(const std::string& key, std::string_view plural) {
  return key.find(fmt::format("/{}/", plural)) != std::string::npos;
}

std::optional<SimulatedMemory::Version> restore_of(const Json& generation) {
  const Json& restore = generation["restore"];
  if (!restore.is_object()) return std::nullopt;
  return SimulatedMemory::Version{restore["generation"].as_int(), restore["step"].as_int()};
}

std::string to_text(const std::optional<SimulatedMemory::Version>& version) {
  return version ? fmt::format("step {} of generation {}", version->step, version->generation)
                 : "nothing";
}

bool is_replaced_by_recovery(const Json& pod) {
  const Json* target = api::find_condition(pod, "DisruptionTarget");
  return target != nullptr && (*target)["reason"].as_string() == "ReplacedByRecovery";
}

bool has_failed(const Json& pod) {
  return pod["status"]["phase"].as_string() == "Failed" || api::is_being_deleted(pod);
}

bool has_quarantine(const Json& node) {
  const auto& taints = node["spec"]["taints"].items();
  return std::any_of(taints.begin(), taints.end(), [](const Json& taint) {
    return taint["key"].as_string() == "pelton.dev/quarantine";
  });
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
  if (is_of(key, "pods")) on_pod(before, after);
  if (after == nullptr) return;
  if (is_of(key, "recoverypolicies")) on_policy(*after);
  if (is_of(key, "jobsets")) on_jobset(*after);
  if (is_of(key, "nodes")) on_node(before, *after);
}

void TrainingCheckers::on_policy(const Json& policy) {
  for (const Json& node : policy["status"]["nodes"].items()) {
    if (!node["quarantine"].as_string().empty()) blamed_nodes_.insert(node["name"].as_string());
  }
  for (const Json& entry : policy["status"]["jobSets"].items()) {
    if (!entry["generation"].is_null()) on_entry(entry);
  }
}

void TrainingCheckers::on_entry(const Json& entry) {
  const std::string& uid = entry["uid"].as_string();
  Job& job = jobs_[uid];
  job.name = entry["name"].as_string();
  const Json& generation = entry["generation"];
  on_replaced(job, entry["replaced"]);
  const int64_t number = generation["number"].as_int();
  if (number < job.number) {
    world_.violate(
        fmt::format("JobSet {}: generation {} follows {}", job.name, number, job.number));
    return;
  }
  const bool was_open = job.generation["restoreOpen"].as_bool();
  const std::string phase = job.generation["phase"].as_string();
  if (number > job.number) {
    on_number(job, entry);
    check_goodput(job, entry);
    return;
  }
  on_same_number(job, generation);
  job.generation = generation;
  if (was_open && !generation["restoreOpen"].as_bool()) check_closed(uid, job);
  if (generation["phase"].as_string() != phase) check_goodput(job, entry);
}

void TrainingCheckers::on_same_number(Job& job, const Json& generation) {
  const Json& was = job.generation;
  const std::string& before = was["phase"].as_string();
  const std::string& after = generation["phase"].as_string();
  const bool has_ended = after == "Finished" || after == "Failed";
  const bool is_decided_again =
      !was["restoreOpen"].as_bool() &&
      (generation["restoreOpen"].as_bool() || generation["restore"] != was["restore"]);
  if (generation["members"] != was["members"] || (before != after && !has_ended) ||
      is_decided_again) {
    world_.violate(fmt::format("JobSet {}: generation {} was {} and became {}", job.name,
                               job.number, was.dump(), generation.dump()));
  }
}

/// The question what is restored has been answered. Since it was put nobody has saved, so what was
/// whole then is whole still, where it has not gone with a machine.
void TrainingCheckers::check_closed(const std::string& uid, Job& job) {
  const SimulatedMemory* memory = world_.memory ? world_.memory() : nullptr;
  if (memory == nullptr || job.generation["phase"].as_string() != "Running") return;
  std::set<std::string> nodes;
  for (const Json& member : job.generation["members"].items()) {
    nodes.insert(member["node"].as_string());
  }
  const auto held = memory->newest_whole(uid, nodes, job.stored_at);
  const auto restore = restore_of(job.generation);
  if (!held || (restore && *restore >= *held)) return;
  world_.violate(fmt::format("JobSet {}: generation {} restores {}, and its members hold {}",
                             job.name, job.number, to_text(restore), to_text(held)));
}

void TrainingCheckers::on_replaced(Job& job, const Json& replaced) {
  std::map<std::string, bool> now;
  for (const auto& [uid, is_there] : job.replaced) now[uid] = false;
  for (const Json& each : replaced.items()) {
    const std::string& uid = each["podUID"].as_string();
    const auto known = job.replaced.find(uid);
    if (now[uid] || (known != job.replaced.end() && !known->second)) {
      world_.violate(fmt::format("JobSet {}: pod {} is replaced twice", job.name, uid));
    }
    now[uid] = true;
  }
  job.replaced = std::move(now);
}

void TrainingCheckers::on_node(const Json* before, const Json& node) {
  if (!has_quarantine(node) || (before != nullptr && has_quarantine(*before))) return;
  if (blamed_nodes_.contains(api::name_of(node))) return;
  world_.violate(
      fmt::format("node {} is quarantined, and no policy's status says so", api::name_of(node)));
}

/// At each decision, of all that the record holds by then.
void TrainingCheckers::check_goodput(const Job& job, const Json& entry) {
  const auto timeline =
      decide::goodput::timeline_of(decide::goodput::entries_of(entry, {}), {}, world_.now());
  if (!timeline.ok()) return;
  const decide::goodput::Report report = decide::goodput::account(*timeline);
  Duration sum;
  for (const auto& [category, causes] : report.breakdown) {
    for (const auto& [cause, time] : causes) sum = sum + time;
  }
  if (sum != report.wall()) {
    world_.violate(fmt::format("JobSet {}: goodput's categories are {} ns, and {} ns have passed",
                               job.name, sum.ns(), report.wall().ns()));
  }
  if (job.generation["phase"].as_string() != "Finished" || job.was_slow) return;
  Duration kept;
  for (const auto& [step, took] : job.step_took) kept = kept + took;
  // What a node that was cut off or died had not told is lost time, as far as anybody knows.
  const double over = (report.productive - kept).to_seconds();
  const double off = any_faults_ == 0 ? std::abs(over) : over;
  if (off <= kProductiveShare * report.wall().to_seconds() + kProductiveSlack.to_seconds()) return;
  world_.violate(fmt::format(
      "JobSet {}: goodput calls {:.1f} s of {:.1f} s productive, and its steps took {:.1f} s",
      job.name, report.productive.to_seconds(), report.wall().to_seconds(), kept.to_seconds()));
}

/// What ended the generation before is the failure of a worker that there was.
void TrainingCheckers::check_blamed(Job& job, const Json& entry) {
  const auto& history = entry["history"].items();
  if (history.empty() || history.back()["number"].as_int() != job.number) return;
  const Json& past = history.back();
  const std::string& cause = past["cause"].as_string();
  const bool is_of_pod =
      std::find(kOfPods.begin(), kOfPods.end(), cause) != kOfPods.end() || cause.empty();
  const std::string& node = past["node"].as_string();
  if (cause == "DeviceLost" && ++job.devices_lost[node] > kPerBadNode) {
    world_.violate(
        fmt::format("JobSet {}: generation {} is the {}th that the lost device of node "
                    "{} has ended",
                    job.name, job.number, job.devices_lost[node], node));
  }
  const int rank = static_cast<int>(past["rank"].as_int(-1));
  if (is_of_pod || rank < 0) return;
  const auto started = job.started.find(job.number);
  if (started != job.started.end() && started->second.contains(rank)) return;
  world_.violate(
      fmt::format("JobSet {}: generation {} was ended by rank {} ({}), which has never "
                  "run in it",
                  job.name, job.number, rank, cause));
}

void TrainingCheckers::on_number(Job& job, const Json& entry) {
  ++generations_;
  check_blamed(job, entry);
  const base::Instant now = world_.now();
  job.number = entry["generation"]["number"].as_int();
  job.generation = entry["generation"];
  job.stored_at = now;
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

void TrainingCheckers::on_pod(const Json* before, const Json* after) {
  const Json* any = after != nullptr ? after : before;
  if (any == nullptr || api::label_of(*any, "pelton.dev/recovery-policy").empty()) return;
  Job& job = jobs_[api::label_of(*any, "jobset.sigs.k8s.io/jobset-uid")];
  const std::string& uid = api::uid_of(*any);
  if (after == nullptr) {
    job.pods.erase(uid);
    return;
  }
  const std::string& phase = (*after)["status"]["phase"].as_string();
  job.pods[uid] = phase == "Running" && !api::is_being_deleted(*after);
  if (is_replaced_by_recovery(*after) && !job.replaced.contains(uid)) {
    world_.violate(fmt::format("JobSet {}: pod {} is replaced, and no record says so", job.name,
                               api::name_of(*after)));
  }
  // Who is deleted while it works has failed, says its Job, unless it was a disruption. What a
  // restart deletes is of the attempt before.
  const bool is_of_attempt =
      api::label_of(*after, "jobset.sigs.k8s.io/restart-attempt") == std::to_string(job.restarts);
  if (has_failed(*after) && is_of_attempt && (before == nullptr || !has_failed(*before)) &&
      !api::is_condition_true(*after, "DisruptionTarget")) {
    job.has_pod_failed = true;
  }
}

void TrainingCheckers::on_worker_started(const std::string& job_uid, launch::WorkerId id,
                                         const std::string& pod_uid,
                                         const std::optional<Version>& restore) {
  Job& job = jobs_[job_uid];
  const bool is_present = id.generation == job.number;
  if (is_present && job.generation["restoreOpen"].as_bool()) {
    world_.violate(
        fmt::format("JobSet {}: rank {} of generation {} starts before it is decided "
                    "what it restores",
                    job.name, id.rank, id.generation));
  } else if (is_present && restore != restore_of(job.generation)) {
    world_.violate(fmt::format(
        "JobSet {}: rank {} of generation {} restores {}, and its record "
        "says {}",
        job.name, id.rank, id.generation, to_text(restore), to_text(restore_of(job.generation))));
  }
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
  job.started[id.generation].insert(id.rank);
}

void TrainingCheckers::on_worker_ended(const std::string& job_uid, launch::WorkerId id) {
  auto& running = jobs_[job_uid].running;
  running[id.generation].erase(id.rank);
  if (running[id.generation].empty()) running.erase(id.generation);
}

void TrainingCheckers::on_restored(const std::string& job_uid, const Restored& restored) {
  const std::optional<Version>& from = restored.from;
  Job& job = jobs_[job_uid];
  if (!from) {
    const auto named = restored.generation == job.number ? restore_of(job.generation) : from;
    if (!named || named->step < restored.durable) return;
    world_.violate(
        fmt::format("JobSet {}: generation {} restores step {} from the durable tier, "
                    "and its record says {}",
                    job.name, restored.generation, restored.durable, to_text(named)));
    return;
  }
  ++restored_from_memory_;
  const SimulatedMemory* memory = world_.memory ? world_.memory() : nullptr;
  if (memory != nullptr && !memory->is_whole(job_uid, restored.nodes, *from)) {
    world_.violate(
        fmt::format("JobSet {}: generation {} restores {}, of which its members do not "
                    "hold all parts",
                    job.name, restored.generation, to_text(from)));
  }
  if (restored.durable > from->step) {
    world_.violate(
        fmt::format("JobSet {}: generation {} restores {} from memory, and the durable "
                    "tier has step {}",
                    job.name, restored.generation, to_text(from), restored.durable));
  }
}

void TrainingCheckers::on_step(const std::string& job_uid, const Step& step, int64_t steps) {
  ++steps_;
  Job& job = jobs_[job_uid];
  const int64_t generation = step.generation;
  const auto owners = job.owners.find(generation);
  if (owners == job.owners.end() || static_cast<int>(owners->second.size()) != step.world_size) {
    world_.violate(
        fmt::format("JobSet {}: generation {} stepped with {} ranks, which is not what "
                    "is stored",
                    job.name, generation, step.world_size));
  }
  if (generation < job.newest_step_of) {
    const bool is_out_of_reach =
        std::none_of(step.nodes.begin(), step.nodes.end(), world_.is_reachable);
    if (is_out_of_reach) return;
    world_.violate(
        fmt::format("JobSet {}: generation {} did step {} after generation {} had begun "
                    "to step",
                    job.name, generation, step.number, job.newest_step_of));
  }
  if (generation > job.newest_step_of && step.number > job.done + 1) {
    world_.violate(fmt::format("JobSet {}: generation {} began at step {}, and only {} were done",
                               job.name, generation, step.number, job.done + 1));
  }
  job.newest_step_of = generation;
  job.stepped_at = world_.now();
  job.done = std::max(job.done, step.number);
  job.steps = steps;
  job.step_took[step.number] = step.took;
}

void TrainingCheckers::on_fault(const std::string& job_uid) {
  jobs_[job_uid].fault_at = world_.now();
  ++jobs_[job_uid].faults;
}

void TrainingCheckers::check_progress() {
  const base::Instant now = world_.now();
  for (auto& [uid, job] : jobs_) {
    check_width(job);
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

void TrainingCheckers::check_width(Job& job) {
  const base::Instant now = world_.now();
  const auto running =
      std::count_if(job.pods.begin(), job.pods.end(), [](const auto& pod) { return pod.second; });
  const bool is_narrow = !job.has_ended && job.number > 0 && job.width < job.full_width &&
                         running >= job.full_width &&
                         job.generation["phase"].as_string() == "Running";
  if (!is_narrow) {
    job.narrow_since = {};
    return;
  }
  if (job.narrow_since == base::Instant()) job.narrow_since = now;
  const base::Instant since = std::max({job.fault_at, any_fault_at_, job.narrow_since});
  if (now - since < kWidened) return;
  world_.violate(fmt::format("JobSet {} has had {} of {} ranks for {:.0f} s, and {} pods that run",
                             job.name, job.width, job.full_width,
                             (now - job.narrow_since).to_seconds(), running));
}

void TrainingCheckers::on_end() {
  for (const auto& [uid, job] : jobs_) {
    if (!job.running.empty()) {
      const auto& [generation, workers] = *job.running.begin();
      world_.violate(fmt::format("JobSet {}: rank {} of generation {} is left, in pod {}", job.name,
                                 workers.begin()->first, generation, workers.begin()->second));
    }
  }
}

}  // namespace pelton::scenario
