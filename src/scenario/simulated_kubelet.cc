// SPDX-License-Identifier: Apache-2.0
#include "scenario/simulated_kubelet.h"

#include <fmt/format.h>

#include <set>

#include "api/object.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

constexpr Duration kHeartbeat = Duration::seconds(2);
constexpr Duration kStartDelay = Duration::milliseconds(30);
constexpr Duration kStopDelay = Duration::milliseconds(100);
constexpr Duration kRetry = Duration::milliseconds(300);
constexpr const char* kLeaseNamespace = "kube-node-lease";

Json condition(const char* type, const char* status, base::Instant now) {
  return Json::object({{"type", type},
                       {"status", status},
                       {"reason", "Simulated"},
                       {"message", ""},
                       {"lastTransitionTime", base::format_time(now)}});
}

Json container_status(const Json& pod, Json state, bool is_ready) {
  const Json& container = pod.at("spec.containers")[0];
  return Json::array({Json::object({{"name", container["name"]},
                                    {"image", container["image"]},
                                    {"imageID", ""},
                                    {"ready", is_ready},
                                    {"started", is_ready},
                                    {"restartCount", 0},
                                    {"state", std::move(state)}})});
}

Json running_status(const Json& pod, base::Instant now) {
  return Json::object(
      {{"phase", "Running"},
       {"startTime", base::format_time(now)},
       {"conditions",
        Json::array({condition("Ready", "True", now), condition("ContainersReady", "True", now)})},
       {"containerStatuses",
        container_status(
            pod, Json::object({{"running", Json::object({{"startedAt", base::format_time(now)}})}}),
            true)}});
}

Json ended_status(const Json& pod, int exit_code, base::Instant now) {
  const Json terminated = Json::object({{"exitCode", exit_code},
                                        {"reason", exit_code == 0 ? "Completed" : "Error"},
                                        {"startedAt", base::format_time(now)},
                                        {"finishedAt", base::format_time(now)}});
  return Json::object({{"phase", exit_code == 0 ? "Succeeded" : "Failed"},
                       {"conditions", Json::array({condition("Ready", "False", now),
                                                   condition("ContainersReady", "False", now)})},
                       {"containerStatuses",
                        container_status(pod, Json::object({{"terminated", terminated}}), false)}});
}

bool is_terminal(const Json& pod) {
  const std::string& phase = pod.at("status.phase").as_string();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace

struct SimulatedKubelet::Run {
  explicit Run(world::Timers& timers) : work(timers), retry(timers), tell_workers(timers) {}
  Json pod;  ///< as it was when it was first seen
  bool is_alive = false;
  bool is_stopping = false;
  std::optional<Json> unsent;  ///< status that the API does not have yet
  bool is_sending = false;
  /// Where the report rests on what the API says and not on what was seen here: on this version.
  std::string rests_on;
  world::Timer work;   ///< the process, or the end of its grace period
  world::Timer retry;  ///< of a report or removal that failed
  std::optional<decide::recovery::PodReport> workers;  ///< not told to the API yet
  bool is_telling_workers = false;
  world::Timer tell_workers;
};

Json simulated_node(const std::string& name, const std::map<std::string, int64_t>& accelerators) {
  Json amounts = Json::object({{"cpu", "64"}, {"memory", "256Gi"}, {"pods", "110"}});
  for (const auto& [resource, count] : accelerators) amounts.set(resource, std::to_string(count));
  return Json::object(
      {{"apiVersion", "v1"},
       {"kind", "Node"},
       {"metadata", Json::object({{"name", name},
                                  {"labels", Json::object({{"kubernetes.io/hostname", name}})}})},
       {"status", Json::object({{"capacity", amounts}, {"allocatable", amounts}})}});
}

SimulatedKubelet::SimulatedKubelet(const world::World& world, client::Transport& transport,
                                   KubeletOptions options)
    : world_(world),
      options_(std::move(options)),
      client_(transport, world.timers, Duration::seconds(5)),
      informer_(client_, cache_, world.timers, world.log, base::Rng(1).fork(options_.node_name),
                "Pod", {.field_selector = "spec.nodeName=" + options_.node_name}),
      policies_(client_, cache_, world.timers, world.log, base::Rng(2).fork(options_.node_name),
                "RecoveryPolicy"),
      heartbeat_timer_(world.timers) {
  cache_.subscribe([this](std::string_view kind, const Json* before, const Json* after) {
    if (kind == "RecoveryPolicy") {
      if (after) on_policy(*after);
      return;
    }
    if (after) return on_pod(*after);
    // Gone from the API without us: its processes end at once.
    if (!before) return;
    if (options_.pods) options_.pods->erase(api::uid_of(*before));
    runs_.erase(api::uid_of(*before));
  });
  heartbeat();
}

SimulatedKubelet::~SimulatedKubelet() {
  if (!options_.pods) return;
  for (const auto& [uid, pod] : *options_.pods) pod->disconnect();
}

std::map<std::string, std::string> SimulatedKubelet::running() const {
  std::map<std::string, std::string> result;
  for (const auto& [uid, run] : runs_) {
    if (run->is_alive) result[uid] = api::name_of(run->pod);
  }
  return result;
}

void SimulatedKubelet::heartbeat() {
  heartbeat_timer_.start(kHeartbeat, [this] { heartbeat(); });
  end_unknown_pods();
  client_.get({"Node", "", options_.node_name},
              [this](const base::Result<Json>& node) { report_node(node); });
  renew_lease();
}

void SimulatedKubelet::report_node(const base::Result<Json>& node) {
  if (node.ok()) {
    // Pods are looked at only now: the Node object is what makes this a node.
    informer_.start();
    if (options_.make_pod) policies_.start();
    if (api::is_condition_true(*node, "Ready")) return;
    Json ready = *node;
    api::set_condition(ready, {"Ready", "True", "KubeletReady", ""}, world_.clock.now());
    client_.update_status(ready, [](const auto&) {});
    return;
  }
  if (node.error().code() != base::Code::NotFound) return;
  Json object = simulated_node(options_.node_name, options_.accelerators);
  api::set_condition(object, {"Ready", "True", "KubeletReady", ""}, world_.clock.now());
  client_.create(object, [](const auto&) {});
}

void SimulatedKubelet::renew_lease() {
  const client::ObjectKey key{"Lease", kLeaseNamespace, options_.node_name};
  const std::string now = base::format_micro_time(world_.clock.now());
  const Json spec = Json::object(
      {{"holderIdentity", options_.node_name}, {"leaseDurationSeconds", 5}, {"renewTime", now}});
  client_.patch(key, client::PatchType::Merge, Json::object({{"spec", spec}}), "",
                [this, spec](const base::Result<Json>& answer) {
                  if (answer.ok() || answer.error().code() != base::Code::NotFound) return;
                  client_.create(
                      Json::object({{"apiVersion", "coordination.k8s.io/v1"},
                                    {"kind", "Lease"},
                                    {"metadata", Json::object({{"name", options_.node_name},
                                                               {"namespace", kLeaseNamespace}})},
                                    {"spec", spec}}),
                      [](const auto&) {});
                });
}

void SimulatedKubelet::on_pod(const Json& pod) {
  const std::string& uid = api::uid_of(pod);
  auto it = runs_.find(uid);
  if (api::is_being_deleted(pod)) return stop(pod);
  if (it != runs_.end() || is_terminal(pod)) return;
  start(pod);
}

void SimulatedKubelet::start(const Json& pod) {
  const std::string uid = api::uid_of(pod);
  Run& run = *(runs_[uid] = std::make_unique<Run>(world_.timers));
  run.pod = pod;
  if (adopt(pod)) return;
  if (pod.at("status.phase").as_string() == "Running") {
    // Ours from before a reboot: its processes are gone, unless this view of it is an old one.
    run.rests_on = api::resource_version_of(pod);
    return report(run, ended_status(pod, 137, world_.clock.now()));
  }
  run.is_alive = true;
  run.work.start(kStartDelay, [this, uid] {
    Run& started = *runs_.at(uid);
    report(started, running_status(started.pod, world_.clock.now()));
    if (options_.make_pod) {
      if (auto made = options_.make_pod(started.pod)) {
        (*options_.pods)[uid] = std::move(made);
        return connect(uid);
      }
    }
    started.work.start(options_.behaviour(started.pod).run, [this, uid] {
      finish(uid, options_.behaviour(runs_.at(uid)->pod).exit_code);
    });
  });
}

void SimulatedKubelet::finish(const std::string& uid, int exit_code) {
  Run& run = *runs_.at(uid);
  run.is_alive = false;
  report(run, ended_status(run.pod, exit_code, world_.clock.now()));
}

// ---- pods of training jobs ----

/// Whether it is still here, from before the agent's own death.
bool SimulatedKubelet::adopt(const Json& pod) {
  const std::string& uid = api::uid_of(pod);
  if (!options_.pods || !options_.pods->contains(uid)) return false;
  Run& run = *runs_.at(uid);
  run.is_alive = true;
  if (pod.at("status.phase").as_string() != "Running") {
    report(run, running_status(run.pod, world_.clock.now()));
  }
  connect(uid);
  return true;
}

/// Whose objects went while no agent was here: nobody else tells that they did.
void SimulatedKubelet::end_unknown_pods() {
  if (!options_.pods || !cache_.is_synced("Pod")) return;
  std::set<std::string> known;
  for (const Json* pod : cache_.list("Pod")) known.insert(api::uid_of(*pod));
  std::erase_if(*options_.pods, [&](const auto& pod) { return !known.contains(pod.first); });
}

void SimulatedKubelet::connect(const std::string& uid) {
  options_.pods->at(uid)->connect(
      {[this, uid](const decide::recovery::PodReport& report) { report_workers(uid, report); },
       [this, uid](int exit_code) {
         if (runs_.contains(uid)) finish(uid, exit_code);
         options_.pods->erase(uid);
       }});
  tell(uid);
}

void SimulatedKubelet::on_policy(const Json& policy) {
  for (const auto& [uid, run] : runs_) {
    if (api::label_of(run->pod, decide::recovery::kPolicyLabel) == api::name_of(policy)) tell(uid);
  }
}

/// The newest generation of its job that is known here.
void SimulatedKubelet::tell(const std::string& uid) {
  const auto pod = options_.pods->find(uid);
  if (pod == options_.pods->end()) return;
  const Json& object = runs_.at(uid)->pod;
  const Json* policy = cache_.get("RecoveryPolicy", api::namespace_of(object),
                                  api::label_of(object, decide::recovery::kPolicyLabel));
  if (policy == nullptr) return;
  for (const Json& entry : (*policy)["status"]["jobSets"].items()) {
    if (entry["uid"].as_string() != api::label_of(object, "jobset.sigs.k8s.io/jobset-uid"))
      continue;
    if (entry["generation"].is_null()) return;
    const auto generation = decide::recovery::generation_of(entry["generation"]);
    if (generation.ok()) pod->second->tell(*generation);
    return;
  }
}

void SimulatedKubelet::report_workers(const std::string& uid,
                                      const decide::recovery::PodReport& report) {
  const auto run = runs_.find(uid);
  if (run == runs_.end()) return;
  run->second->workers = report;
  send_workers(uid);
}

void SimulatedKubelet::send_workers(const std::string& uid) {
  const auto found = runs_.find(uid);
  if (found == runs_.end()) return;
  Run& run = *found->second;
  if (run.is_telling_workers || !run.workers || !run.is_alive) return;
  run.is_telling_workers = true;
  const decide::recovery::PodReport sent = *std::exchange(run.workers, std::nullopt);
  Json workers = condition(decide::recovery::kWorkersCondition, "True", world_.clock.now());
  workers.set("reason", decide::recovery::stage_name(sent.stage));
  workers.set("message", decide::recovery::to_json(sent).dump());
  const Json status = Json::object({{"conditions", Json::array({workers})}});
  client_.patch(client::key_of(run.pod), client::PatchType::StrategicMerge,
                Json::object({{"metadata", Json::object({{"uid", uid}})}, {"status", status}}),
                "status", [this, uid, sent](const base::Result<Json>& answer) {
                  const auto told = runs_.find(uid);
                  if (told == runs_.end()) return;
                  told->second->is_telling_workers = false;
                  const bool is_over = answer.ok() ||
                                       answer.error().code() == base::Code::NotFound ||
                                       answer.error().code() == base::Code::Conflict;
                  if (is_over) return send_workers(uid);
                  if (!told->second->workers) told->second->workers = sent;
                  told->second->tell_workers.start(kRetry, [this, uid] { send_workers(uid); });
                });
}

void SimulatedKubelet::stop(const Json& pod) {
  const std::string uid = api::uid_of(pod);
  std::unique_ptr<Run>& run = runs_[uid];
  if (!run) {
    run = std::make_unique<Run>(world_.timers);
    run->pod = pod;
  }
  if (run->is_stopping) return;
  run->is_stopping = true;
  run->work.start(run->is_alive ? kStopDelay : Duration(), [this, uid] {
    Run& stopped = *runs_.at(uid);
    if (options_.pods) options_.pods->erase(uid);
    // What was interrupted has failed, and says so before it goes.
    if (std::exchange(stopped.is_alive, false)) {
      report(stopped, ended_status(stopped.pod, 143, world_.clock.now()));
    }
    if (!stopped.unsent) remove(uid);
  });
}

void SimulatedKubelet::report(Run& run, Json status) {
  run.unsent = std::move(status);
  send_report(api::uid_of(run.pod));
}

void SimulatedKubelet::send_report(const std::string& uid) {
  auto it = runs_.find(uid);
  if (it == runs_.end() || it->second->is_sending || !it->second->unsent) return;
  Run& run = *it->second;
  run.is_sending = true;
  const Json sent = *run.unsent;
  Json patch = Json::object({{"metadata", Json::object({{"uid", uid}})}, {"status", sent}});
  if (!run.rests_on.empty()) patch.child("metadata").set("resourceVersion", run.rests_on);
  client_.patch(
      client::key_of(run.pod),
      options_.make_pod ? client::PatchType::StrategicMerge : client::PatchType::Merge, patch,
      "status", [this, uid, sent](const base::Result<Json>& answer) {
        auto found = runs_.find(uid);
        if (found == runs_.end()) return;
        Run& reported = *found->second;
        reported.is_sending = false;
        if (answer.status().code() == base::Code::Conflict && !reported.rests_on.empty()) {
          return look_again(uid);
        }
        const bool is_settled = answer.ok() || answer.error().code() == base::Code::NotFound ||
                                answer.error().code() == base::Code::Conflict;
        if (is_settled && reported.unsent == sent) reported.unsent.reset();
        if (reported.unsent) {
          reported.retry.start(kRetry, [this, uid] { send_report(uid); });
        } else if (reported.is_stopping && !reported.work.is_pending()) {
          remove(uid);
        }
      });
}

/// The view was an old one: a newer is here already, or will come as an event.
void SimulatedKubelet::look_again(const std::string& uid) {
  const Json seen = runs_.at(uid)->pod;
  runs_.erase(uid);
  const Json* now = cache_.get("Pod", api::namespace_of(seen), api::name_of(seen));
  if (now && api::resource_version_of(*now) != api::resource_version_of(seen)) on_pod(*now);
}

void SimulatedKubelet::remove(const std::string& uid) {
  auto it = runs_.find(uid);
  if (it == runs_.end()) return;
  client_.remove(client::key_of(it->second->pod), {.uid = uid, .grace_period_seconds = 0},
                 [this, uid](const base::Result<Json>& answer) {
                   auto found = runs_.find(uid);
                   if (found == runs_.end() || answer.ok()) return;
                   const base::Code code = answer.error().code();
                   if (code == base::Code::NotFound || code == base::Code::Conflict) return;
                   found->second->retry.start(kRetry, [this, uid] { remove(uid); });
                 });
}

}  // namespace pelton::scenario
