// SPDX-License-Identifier: Apache-2.0
#include "scenario/cluster.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "api/object.h"
#include "base/strings.h"
#include "control/reconcilers.h"
#include "scenario/workload.h"
#include "sim/disk.h"
#include "sim/network.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;

constexpr size_t kUserCaller = 0, kControllersCaller = 1, kObserverCaller = 2, kFirstNodeCaller = 3;
constexpr Duration kWatchInterval = Duration::milliseconds(20);
constexpr Duration kLookInterval = Duration::milliseconds(100);
/// From the end of all work and faults until everything must be at rest.
constexpr Duration kTimeToSettle = Duration::minutes(2);
/// A node that was dead for so long, while somebody could see it, must have been noticed.
constexpr Duration kNoticed = Duration::seconds(25);
constexpr const char* kObserverHost = "observer";

std::string node_name(size_t index) {
  return fmt::format("node-{}", index);
}

/// An index, as often as its share says.
size_t pick_by_share(base::Rng& rng, std::span<const uint64_t> shares) {
  uint64_t rest = rng.below(std::accumulate(shares.begin(), shares.end(), uint64_t{0}));
  size_t i = 0;
  while (rest >= shares[i]) rest -= shares[i++];
  return i;
}

}  // namespace

struct Cluster::Node {
  sim::SimMachine* machine = nullptr;
  sim::SimProcess* process = nullptr;
  std::unique_ptr<SimTransport> transport;
  SimulatedPods pods;  ///< outlive the kubelet, and are gone before their machine is
  std::unique_ptr<SimulatedKubelet> kubelet;
  base::Instant died;
};

struct Cluster::Controllers {
  Controllers(sim::SimProcess& p, base::Instant now, provider::Provider& provider)
      : process(p),
        transport(p.world(), kControllersCaller),
        manager(p.world(), transport, control::make_reconcilers(now, {.offers = provider.offers()}),
                {.provider = &provider}) {
    manager.start();
  }
  sim::SimProcess& process;
  SimTransport transport;
  control::Manager manager;
};

Cluster::Cluster(const Spec& spec, uint64_t seed)
    : spec_(spec),
      sim_(seed),
      server_machine_(sim_.add_machine(ServerProcess::kHost)),
      controllers_machine_(sim_.add_machine("controllers")),
      training_checkers_(
          {.now = [this] { return sim_.now(); },
           .violate = [this](std::string what) { checkers_.violate(std::move(what)); },
           .is_reachable = [this](const auto& node) { return is_reachable(node); },
           .memory = [this] { return &trainers_.memory(); }}),
      trainers_(sim_.timers(), sim_.world().clock, training_checkers_, sim_.rng("trainers")),
      rng_(sim_.rng("cluster")),
      provider_(sim_.timers(), sim_.rng("provider"), spec.boot) {
  outcome_.seed = seed;
  for (const WorkloadSpec& workload : spec_.workload)
    has_training_ |= workload.training.has_value();
  if (has_training_) {
    checkers_.also_tell([this](const std::string& key, const Json* before, const Json* after) {
      training_checkers_.on_change(key, before, after);
    });
  }
  sim_.network().set_delay(spec_.message_delay.low, spec_.message_delay.high);
  if (spec_.is_calm()) checkers_.expect_no_lost_nodes();
  base::Rng workload = sim_.rng("workload");
  user_ = std::make_unique<User>(spec_, sim_.add_machine("user").start().world(), kUserCaller,
                                 checkers_, sim_.rng("user"), make_workload(spec_, workload));
  observer_ = std::make_unique<Observer>(sim_.add_machine(kObserverHost).start().world(),
                                         kObserverCaller, checkers_, sim_.rng(kObserverHost));
  for (size_t i = 0; i < static_cast<size_t>(spec_.nodes + spec_.on_demand); ++i) {
    const std::string name = node_name(i);
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->machine = &sim_.add_machine(name);
    if (!is_on_demand(i)) continue;
    provider_.add(name, {simulated_node(name, spec_.accelerators), [this, i] { start_node(i); }});
  }
}

Cluster::~Cluster() = default;

Outcome Cluster::run() {
  start_server();
  watch_server();
  start_controllers();
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!is_on_demand(i)) start_node(i);
  }
  user_->start();
  schedule_faults();
  schedule_user();
  base::Instant next_look;  // looking through all objects after each event would cost most of a run
  const auto is_over = [&] {
    if (!checkers_.violations().empty()) return true;
    if (sim_.now() < next_look) return false;
    next_look = sim_.now() + kLookInterval;
    check_dead_nodes();
    training_checkers_.check_progress();
    return user_->has_ended();
  };
  const bool has_finished = sim_.run_until(is_over, spec_.within);
  if (!has_finished) checkers_.on_end();
  if (checkers_.violations().empty() && has_finished) settle();
  finish_outcome();
  return outcome_;
}

void Cluster::settle() {
  is_settling_ = true;
  // One last death, of a node that has nothing to do: it has to be told, too.
  if (spec_.node_deaths) kill_node();
  std::string why = "there is no server";
  base::Instant next_look;
  const auto is_at_rest = [&] {
    if (!checkers_.violations().empty()) return true;
    if (sim_.now() < next_look) return false;
    next_look = sim_.now() + kLookInterval;
    if (!controllers_ || !server_ || !server_->is_serving()) return false;
    why = find_unrest();
    return why.empty();
  };
  if (!sim_.run_until(is_at_rest, kTimeToSettle)) {
    checkers_.violate(why + ", long after all work and faults have ended");
  }
}

std::string Cluster::find_unrest() {
  if (!check_dead_nodes()) return "a node is dead, and not yet told to be";
  if (!observer_->has_caught_up()) return "a watcher was not told of every change";
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (!nodes_[i]->kubelet) continue;
    const std::string why = checkers_.unrest_on(node_name(i), nodes_[i]->kubelet->cache());
    if (!why.empty()) return why;
  }
  return checkers_.unrest(controllers_->manager.cache());
}

void Cluster::finish_outcome() {
  for (const Json* jobset : checkers_.objects("jobsets")) {
    outcome_.completed += api::is_condition_true(*jobset, "Completed");
    outcome_.failed += api::is_condition_true(*jobset, "Failed");
  }
  if (checkers_.violations().empty()) training_checkers_.on_end();
  outcome_.generations = training_checkers_.generations();
  outcome_.steps = training_checkers_.steps();
  outcome_.restored = training_checkers_.restored_from_memory();
  outcome_.relists = observer_->relists();
  outcome_.violations = checkers_.violations();
  outcome_.trace_hash = sim_.trace_hash();
  outcome_.virtual_time = sim_.elapsed();
  outcome_.events = sim_.steps();
  if (!outcome_.violations.empty()) outcome_.log_tail = sim_.log_tail();
}

void Cluster::schedule_faults() {
  schedule(spec_.server_crashes, "server_crashes", [this] { crash_server(); });
  schedule(spec_.controller_crashes, "controller_crashes", [this] { crash_controllers(); });
  schedule(spec_.node_deaths, "node_deaths", [this] { kill_node(); });
  schedule(spec_.node_deletions, "node_deletions", [this] { delete_node(); });
  schedule(spec_.partitions, "partitions", [this] { cut_node(); });
  schedule(spec_.slow_watchers, "slow_watchers", [this] { stall_observer(); });
  if (spec_.lost_messages > 0) break_connections();
  schedule_worker_faults();
}

void Cluster::schedule_worker_faults() {
  schedule(spec_.worker_crashes, "worker_crashes", [this] { trainers_.crash(); });
  schedule(spec_.worker_exceptions, "worker_exceptions", [this] { trainers_.raise(); });
  schedule(spec_.worker_stops, "worker_stops", [this] { trainers_.stop(); });
  schedule(spec_.worker_stalls, "worker_stalls",
           [this] { trainers_.stall(spec_.worker_stalls->downtime.draw(rng_)); });
  schedule(spec_.supervisor_crashes, "supervisor_crashes", [this] { crash_supervisor(); });
  schedule(spec_.agent_crashes, "agent_crashes", [this] { crash_agent(); });
}

void Cluster::schedule_user() {
  const UserSpec& does = spec_.user;
  schedule(does.deletes_pods, "deletes_pods", [this] {
    training_checkers_.on_fault();
    user_->delete_pod();
  });
  schedule(does.deletes_jobsets, "deletes_jobsets", [this] {
    training_checkers_.on_fault();
    user_->delete_jobset();
  });
  schedule(does.edits, "edits", [this] { user_->edit(); });
  schedule(does.suspends, "suspends", [this] {
    training_checkers_.on_fault();
    user_->suspend();
  });
  schedule(does.scales, "scales", [this] { user_->scale(); });
}

void Cluster::start_server() {
  std::vector<ServerProcess::Caller> callers = {
      {{"admin", {"system:masters"}}, false},
      {{"system:pelton-controllers", {"system:masters"}}, true},
      {{"observer", {"system:masters"}}, false}};
  for (size_t i = 0; i < nodes_.size(); ++i) {
    callers.push_back({{"system:node:" + node_name(i), {"system:nodes"}}, true, true});
  }
  sim::SimProcess& process = server_machine_.start();
  answers_until_crash_ = gangs_until_crash_ = 0;
  server_ = std::make_unique<ServerProcess>(spec_, process, std::move(callers), checkers_,
                                            [this](bool is_gang) { on_answered(is_gang); });
  last_disturbed_ = sim_.now();
}

/// A server that died in the middle of a disk operation is found here and started again.
void Cluster::watch_server() {
  if (server_ && !server_->is_alive()) {
    server_.reset();
    ++outcome_.server_crashes;
    const Duration downtime =
        spec_.server_crashes ? spec_.server_crashes->downtime.draw(rng_) : Duration();
    sim_.timers().after(downtime, [this] { start_server(); });
  }
  if (server_ && !server_->status().ok()) {
    checkers_.on_server_failed(server_->status().to_string());
  }
  sim_.timers().after(kWatchInterval, [this] { watch_server(); });
}

void Cluster::start_controllers() {
  last_disturbed_ = sim_.now();
  if (server_) server_->forget(kControllersCaller);
  controllers_ = std::make_unique<Controllers>(controllers_machine_.start(), sim_.now(), provider_);
}

void Cluster::start_node(size_t index) {
  Node& node = *nodes_[index];
  if (node.kubelet) return;  // asked for while it was coming back
  if (server_) server_->forget(kFirstNodeCaller + index);
  node.process = &node.machine->start();
  node.transport = std::make_unique<SimTransport>(node.process->world(), kFirstNodeCaller + index);
  KubeletOptions options{node_name(index),
                         spec_.accelerators,
                         [this](const Json& pod) { return behaviour_of(pod); },
                         {},
                         nullptr};
  if (has_training_) {
    options.make_pod = [this](const Json& pod) { return make_pod(pod); };
    options.pods = &node.pods;
  }
  node.kubelet = std::make_unique<SimulatedKubelet>(node.process->world(), *node.transport,
                                                    std::move(options));
}

std::unique_ptr<SimulatedPod> Cluster::make_pod(const Json& pod) {
  const TrainingSpec* training = training_of(spec_, pod);
  if (!training) return nullptr;
  const std::string& job = api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid");
  base::Rng rng = base::Rng(sim_.seed()).fork(job);
  base::Rng node = base::Rng(sim_.seed()).fork("bad " + pod.at("spec.nodeName").as_string());
  const bool is_bad = node.chance(spec_.bad_spares);
  return std::make_unique<SimulatedPod>(sim_.timers(), sim_.world().clock, trainers_,
                                        TrainingJob{job, *training, training->steps.draw(rng)}, pod,
                                        is_bad, rng.fork(api::uid_of(pod)));
}

bool Cluster::is_reachable(const std::string& name) {
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (node_name(i) != name) continue;
    return nodes_[i]->kubelet && !sim_.network().is_partitioned(name, ServerProcess::kHost);
  }
  return false;
}

/// Exponential distances (a Poisson process), the usual model of independent failures.
void Cluster::schedule(const std::optional<Recurring>& fault, const std::string& name,
                       std::function<void()> strike) {
  if (!fault) return;
  auto rng = std::make_shared<base::Rng>(sim_.rng(name));
  auto next = std::make_shared<std::function<void()>>();
  *next = [this, rng, mean = fault->every, strike = std::move(strike), weak = std::weak_ptr(next)] {
    const auto again = weak.lock();
    const double distance = -std::log(1.0 - rng->unit()) * mean.to_seconds();
    sim_.timers().after(Duration::microseconds(static_cast<int64_t>(distance * 1e6)),
                        [this, strike, again] {
                          if (is_settling_ || sim_.elapsed() > spec_.until) return;
                          strike();
                          (*again)();
                        });
  };
  (*next)();
}

void Cluster::crash_server() {
  if (!server_ || !server_->is_alive()) return;
  training_checkers_.on_fault();
  // At any moment the disk mostly has nothing to lose. So mostly in the middle of a write that is
  // still to come, or when an answer has just left that promises that it is done.
  enum { kAtWrite, kAfterAnswer, kAfterGang, kAnyTime, kProcessOnly, kWays };
  static constexpr uint64_t kShares[kWays] = {4, 2, 2, 1, 1};
  switch (pick_by_share(rng_, kShares)) {
    case kAtWrite:
      return server_machine_.crash_at_disk_operation(rng_.below(12) + 1);
    case kAfterAnswer:
      answers_until_crash_ = rng_.below(12) + 1;
      return;
    case kAfterGang:
      gangs_until_crash_ = rng_.below(3) + 1;
      return;
    case kAnyTime:
      return server_machine_.crash();
    // As kill -9: what the disk has not synced is still in the cache, for the next process to read.
    default:
      return server_->kill();
  }
}

void Cluster::on_answered(bool is_gang) {
  const bool is_last = answers_until_crash_ > 0 && --answers_until_crash_ == 0;
  const bool is_last_gang = is_gang && gangs_until_crash_ > 0 && --gangs_until_crash_ == 0;
  if (is_last || is_last_gang) server_machine_.crash();
}

void Cluster::crash_controllers() {
  if (!controllers_) return;
  training_checkers_.on_fault();
  ++outcome_.controller_crashes;
  controllers_->process.kill();
  controllers_.reset();
  sim_.timers().after(spec_.controller_crashes->downtime.draw(rng_),
                      [this] { start_controllers(); });
}

void Cluster::kill_node() {
  const size_t index = rng_.below(nodes_.size());
  Node& node = *nodes_[index];
  if (!node.kubelet) return;
  training_checkers_.on_fault();
  ++outcome_.node_deaths;
  node.died = sim_.now();
  node.process->kill();
  node.kubelet.reset();
  node.pods.clear();
  trainers_.memory().lose(node_name(index));
  node.transport.reset();
  if (is_settling_ || is_on_demand(index)) return;
  sim_.timers().after(spec_.node_deaths->downtime.draw(rng_), [this, index] { start_node(index); });
}

bool Cluster::check_dead_nodes() {
  bool are_all_told = true;
  const bool is_long = sim_.now() - last_disturbed_ > kNoticed;
  for (size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->kubelet || !checkers_.is_called_ready(node_name(i))) continue;
    are_all_told = false;
    if (is_long && sim_.now() - nodes_[i]->died > kNoticed) checkers_.on_long_dead(node_name(i));
  }
  return are_all_told;
}

/// Its pods run on; the next one finds them.
void Cluster::crash_agent() {
  const size_t index = rng_.below(nodes_.size());
  Node& node = *nodes_[index];
  if (!node.kubelet) return;
  training_checkers_.on_fault();
  ++outcome_.agent_crashes;
  node.died = sim_.now();
  node.process->kill();
  node.kubelet.reset();
  node.transport.reset();
  sim_.timers().after(spec_.agent_crashes->downtime.draw(rng_),
                      [this, index] { start_node(index); });
}

void Cluster::crash_supervisor() {
  std::vector<SimulatedPod*> all;
  for (const auto& node : nodes_) {
    for (const auto& [uid, pod] : node->pods) all.push_back(pod.get());
  }
  if (all.empty()) return;
  ++outcome_.supervisor_crashes;
  all[rng_.below(all.size())]->kill_supervisor();
}

/// Takes the Node object away under a living node, which makes itself known again.
void Cluster::delete_node() {
  training_checkers_.on_fault();
  user_->delete_node(node_name(rng_.below(nodes_.size())));
}

/// The observer takes nothing for a while: the server must cut it rather than wait or remember.
void Cluster::stall_observer() {
  if (sim_.network().is_partitioned(kObserverHost, ServerProcess::kHost)) return;
  sim_.network().partition(kObserverHost, ServerProcess::kHost);
  sim_.timers().after(spec_.slow_watchers->downtime.draw(rng_),
                      [this] { sim_.network().heal(kObserverHost, ServerProcess::kHost); });
}

void Cluster::cut_node() {
  const std::string name = node_name(rng_.below(nodes_.size()));
  if (sim_.network().is_partitioned(name, ServerProcess::kHost)) return;
  ++outcome_.partitions;
  training_checkers_.on_fault();
  sim_.network().partition(name, ServerProcess::kHost);
  sim_.timers().after(spec_.partitions->downtime.draw(rng_), [this, name] {
    sim_.network().heal(name, ServerProcess::kHost);
    training_checkers_.on_fault();
    // As TCP connections that were cut for long: whatever was under way is unknown.
    sim_.network().break_connections(name, ServerProcess::kHost);
  });
}

/// Resets the connections of one host at a time, so that about `lost_messages` of all exchanges are
/// hit (a host has a few exchanges per second).
void Cluster::break_connections() {
  const double every_seconds = 0.01 / spec_.lost_messages;
  sim_.timers().after(Duration::microseconds(static_cast<int64_t>(every_seconds * 1e6)), [this] {
    if (is_settling_) return;
    const uint64_t pick = rng_.below(nodes_.size() + 2);
    sim_.network().break_connections(pick == nodes_.size()  ? "controllers"
                                     : pick > nodes_.size() ? kObserverHost
                                                            : node_name(pick),
                                     ServerProcess::kHost);
    break_connections();
  });
}

PodBehaviour Cluster::behaviour_of(const Json& pod) const {
  return draw_behaviour(spec_, pod, base::Rng(sim_.seed()).fork(api::uid_of(pod)));
}

}  // namespace pelton::scenario
