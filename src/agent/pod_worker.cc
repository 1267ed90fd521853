// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_worker.h"

#include <limits>

#include "agent/pod_status.h"
#include "agent/termination_message.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;
using State = ContainerObserved::State;
using Sandbox = PodObserved::Sandbox;

constexpr base::Duration kRetry = base::Duration::seconds(1);

}  // namespace

PodWorker::PodWorker(AgentContext& context, const Json& pod, std::function<void()> removed)
    : PodWorker(context, PodRecord{.pod = pod, .start_time = context.world.clock.now()},
                std::move(removed)) {
  admit();
}

PodWorker::PodWorker(AgentContext& context, PodRecord record, std::function<void()> removed)
    : context_(context),
      record_(std::move(record)),
      paths_(context.options.node_directory(), api::uid_of(record_.pod)),
      removed_(std::move(removed)),
      sandbox_(context, paths_, record_, [this] { sync_soon(); }),
      wake_(context.world.timers),
      // The next status builds upon the transition times that are stored.
      status_writer_(
          context.client, context.world,
          [this](const Json& stored) { record_.pod.set("status", stored["status"]); },
          [this] { sync_soon(); }) {
  observed_.start_time = record_.start_time;
  if (record_.is_rejected) {
    observed_.rejection = {record_.rejection_reason, record_.rejection_message};
  }
  if (record_.address.empty()) return;
  adopt_containers();
  if (!record_.is_released) {
    const std::string& uid = api::uid_of(record_.pod);
    for (const base::Status& status : {context_.addresses.adopt(record_.address),
                                       context_.devices.adopt(uid, record_.devices)}) {
      if (!status.ok()) {
        context_.world.log.error("pod.adopt", {{"pod", uid}, {"error", status.to_string()}});
      }
    }
  }
}

PodWorker::~PodWorker() = default;

void PodWorker::admit() {
  const auto reject = [this](const base::Status& why) {
    record_.is_rejected = true;
    record_.rejection_reason = "UnexpectedAdmissionError";
    record_.rejection_message =
        "Pod was rejected: Allocate failed due to " + why.message() + ", which is unexpected";
    observed_.rejection = {record_.rejection_reason, record_.rejection_message};
    event(true, record_.rejection_reason, why.message());
  };
  auto devices = context_.devices.admit(api::uid_of(record_.pod), record_.pod);
  if (devices.ok()) {
    record_.devices = std::move(devices).value();
    auto address = context_.addresses.allocate();
    if (address.ok()) {
      record_.address = std::move(address).value();
    } else {
      reject(address.status());
    }
  } else {
    reject(devices.status());
  }
  const base::Status written = write_pod_record(context_.world.files, paths_, record_);
  if (!written.ok()) {
    observed_.rejection = {"UnexpectedAdmissionError",
                           "the node cannot record the pod: " + written.message()};
  }
}

void PodWorker::adopt_containers() {
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : record_.pod["spec"][list].items()) {
      const std::string& name = container["name"].as_string();
      const auto attempts = list_attempts(context_.world.files, paths_, name);
      if (attempts.empty()) continue;
      Container& entry = containers_[name];
      entry.observed.attempt = attempts.back();
      entry.observed.quick_exits = attempts.back();
      const auto before = read_exit(context_.world.files,
                                    ContainerPaths(paths_.attempt(name, attempts.back() - 1)));
      if (before) {
        const std::string said = read_termination_message(
            context_.world.files, ContainerPaths(paths_.attempt(name, attempts.back() - 1)),
            container, before->code);
        entry.observed.previous = {
            before->code,       before->reason,      said.empty() ? before->message : said,
            before->started_at, before->finished_at, attempts.back() - 1};
      }
      entry.run = std::make_unique<ContainerRun>(
          context_.world, paths_.attempt(name, attempts.back()), [this] { sync_soon(); });
      entry.run->adopt();
      observe_container(name, entry);
    }
  }
  // Without any attempt the preparation may have been cut short: it is done again.
  if (containers_.empty() || !sandbox_.has_namespaces()) return;
  observed_.sandbox = Sandbox::Ready;
  follow_volumes();
  sandbox_.supervision().adopt();
}

void PodWorker::update(const Json& pod) {
  const bool was_being_deleted = api::is_being_deleted(record_.pod);
  const bool has_new_metadata =
      record_.pod["metadata"]["labels"] != pod["metadata"]["labels"] ||
      record_.pod["metadata"]["annotations"] != pod["metadata"]["annotations"];
  record_.pod = pod;
  if (has_new_metadata) sandbox_.volumes().refresh();
  is_known_to_api_ = true;
  if (!was_being_deleted && api::is_being_deleted(pod)) {
    for (auto& [name, container] : containers_) {
      if (container.observed.is_live()) event(false, "Killing", "Stopping container " + name, name);
    }
  }
  sync_soon();
}

void PodWorker::vanish() {
  observed_.is_gone = true;
  is_known_to_api_ = true;
  sync_soon();
}

/// Later, so that several changes are looked at once and nobody is called from within his call.
void PodWorker::sync_soon() {
  if (is_sync_posted_ || !is_known_to_api_) return;
  is_sync_posted_ = true;
  context_.world.timers.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    is_sync_posted_ = false;
    sync();
  });
}

void PodWorker::sync() {
  observe();
  const base::Instant now = context_.world.clock.now();
  const auto waiting_before = decision_.waiting;
  const std::string reason_before = decision_.reason;
  decision_ = decide_pod(record_.pod, observed_, context_.options.lifecycle, now);
  for (const auto& [name, waiting] : decision_.waiting) {
    const auto before = waiting_before.find(name);
    if (before != waiting_before.end() && before->second == waiting) continue;
    if (waiting.reason == "CrashLoopBackOff") {
      event(true, "BackOff", "Back-off restarting failed container " + name, name);
    } else if (waiting.reason == "ImagePullBackOff") {
      event(true, "Failed", "Error: ImagePullBackOff", name);
    }
  }
  if (decision_.is_stopping && !observed_.stopping_since) observed_.stopping_since = now;
  if (decision_.reason == "DeadlineExceeded" && reason_before.empty()) {
    event(false, "DeadlineExceeded", "Pod was active on the node longer than specified deadline");
  }
  wake_.cancel();
  if (decision_.wake_at) wake_.start(*decision_.wake_at - now, [this] { sync(); });
  const std::weak_ptr alive(alive_);
  for (const PodAction& action : std::vector(decision_.actions)) {
    act(action);
    if (alive.expired()) return;
  }
  // Where an action changed something at once, what is known of the status is already old.
  if (!observed_.is_gone && !is_sync_posted_) status_writer_.push(record_.pod, status());
}

void PodWorker::observe() {
  for (auto& [name, container] : containers_) {
    observe_container(name, container);
    observed_.containers[name] = container.observed;
  }
}

void PodWorker::observe_container(const std::string& name, Container& container) {
  ContainerObserved& seen = container.observed;
  if (container.is_ordering) {
    seen.state = State::Starting;
    return;
  }
  if (!container.run) return;
  const State before = seen.state;
  switch (container.run->state()) {
    case ContainerRun::State::Starting:
      seen.state = State::Starting;
      break;
    case ContainerRun::State::Running:
      seen.state = State::Running;
      break;
    case ContainerRun::State::Exited:
      seen.state = State::Exited;
      break;
  }
  if (seen.state != State::Starting) container.slot.reset();
  if (container.run->running()) seen.started_at = container.run->running()->started_at;
  if (seen.state != State::Starting && before == State::Starting && is_known_to_api_) {
    event(false, "Started", "Started container " + name, name);
  }
  if (seen.state == State::Running && !container.checks) begin_checks(name, container);
  if (seen.state != State::Running) container.checks.reset();
  if (container.checks) {
    if (api::is_being_deleted(record_.pod) || decision_.is_stopping) {
      container.checks->begin_ending();
    }
    seen.is_started = container.checks->is_started();
    seen.is_ready = container.checks->is_ready();
    seen.failed_check = container.checks->failed();
  } else {
    seen.failed_check.clear();
  }
  if (seen.state == State::Exited && !seen.exit && container.run->exit()) {
    const ExitRecord& exit = *container.run->exit();
    const std::string said = read_termination_message(context_.world.files, container.run->paths(),
                                                      spec_of(name), exit.code);
    seen.exit = {exit.code,       exit.reason,      said.empty() ? exit.message : said,
                 exit.started_at, exit.finished_at, seen.attempt};
    const bool is_forgiven =
        exit.finished_at - exit.started_at >= context_.options.lifecycle.forgiven_after;
    seen.quick_exits = is_forgiven ? 1 : seen.quick_exits + 1;
  }
}

void PodWorker::act(const PodAction& action) {
  using Kind = PodAction::Kind;
  switch (action.kind) {
    case Kind::PrepareSandbox:
      return prepare_sandbox();
    case Kind::StartContainer:
      return start_container(action.container, action.attempt);
    case Kind::Terminate:
      return begin_stop(action.container);
    case Kind::Kill:
      return stop_container(action.container, true);
    case Kind::TearDownSandbox:
      return tear_down_sandbox();
    case Kind::DeleteFromApi:
      return delete_from_api();
    case Kind::RemoveState:
      return remove_state();
  }
}

void PodWorker::in_turn(std::function<void(Slots::Slot)> go) {
  context_.starts.take([go = std::move(go), alive = std::weak_ptr(alive_)](Slots::Slot slot) {
    if (!alive.expired()) go(std::move(slot));
  });
}

void PodWorker::prepare_sandbox() {
  observed_.sandbox = Sandbox::Preparing;
  in_turn([this](const Slots::Slot& slot) {
    sandbox_.prepare([this, slot](base::Status status) {
      if (status.ok()) {
        observed_.sandbox = Sandbox::Ready;
        observed_.sandbox_failure.reset();
        follow_volumes();
      } else {
        observed_.sandbox = Sandbox::Failed;
        observed_.sandbox_failure =
            StartFailure{status.reason(), status.message(), context_.world.clock.now()};
        event(true, status.reason(), status.message());
      }
      sync_soon();
    });
  });
}

void PodWorker::follow_volumes() {
  sandbox_.volumes().follow([this](const base::Status& why) {
    event(true, "FailedMount", "MountVolume.SetUp failed for " + why.message());
  });
}

void PodWorker::tear_down_sandbox() {
  observed_.sandbox = Sandbox::TearingDown;
  in_turn([this](const Slots::Slot& slot) {
    sandbox_.tear_down([this, slot](base::Status status) {
      if (!status.ok()) {
        context_.world.log.warning(
            "pod.tear_down", {{"pod", api::uid_of(record_.pod)}, {"error", status.to_string()}});
      }
      observed_.sandbox = Sandbox::None;
      remove_all_cgroups();
      give_back();
      record_.is_released = true;
      write_pod_record(context_.world.files, paths_, record_)
          .ignore("an adopter would only hold the address and devices until the pod is removed");
      sync_soon();
    });
  });
}

/// Devices and address are free as soon as nothing of the pod can run any more.
void PodWorker::give_back() {
  context_.devices.release(api::uid_of(record_.pod));
  context_.addresses.release(record_.address);
}

void PodWorker::start_container(const std::string& name, int attempt) {
  Container& container = containers_[name];
  container.is_ordering = true;
  observe_container(name, container);
  observed_.containers[name] = container.observed;
  in_turn([this, name, attempt](Slots::Slot slot) {
    containers_[name].slot = std::move(slot);
    sandbox_.make_order(spec_of(name), attempt,
                        [this, name, attempt](base::Result<ShimOrder> order) {
                          launch(name, attempt, std::move(order));
                        });
  });
}

const Json& PodWorker::spec_of(const std::string& name) const {
  static const Json nothing;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& spec : record_.pod["spec"][list].items()) {
      if (spec["name"].as_string() == name) return spec;
    }
  }
  return nothing;
}

void PodWorker::launch(const std::string& name, int attempt, base::Result<ShimOrder> order) {
  Container& container = containers_[name];
  container.is_ordering = false;
  if (!container.run) container.observed.state = State::None;
  if (container.run) container.observed.state = State::Exited;
  if (!order.ok()) return fail_start(name, order.status());
  // While the order was made the pod may have been told to end: then nothing is started.
  if (api::is_being_deleted(record_.pod) || observed_.is_gone) {
    container.slot.reset();
    return sync_soon();
  }
  container.observed.failure.reset();
  auto run = std::make_unique<ContainerRun>(context_.world, paths_.attempt(name, attempt),
                                            [this] { sync_soon(); });
  event(false, "Pulled", "Container image is present on this machine", name);
  const base::Status started = run->start(*order, context_.options.executable);
  if (!started.ok()) {
    return fail_start(name, {started.code(), "RunContainerError", started.message()});
  }
  event(false, "Created", "Container created", name);
  container.observed.previous = std::exchange(container.observed.exit, std::nullopt);
  container.observed.attempt = attempt;
  container.observed.terminated_at.reset();
  container.observed.signalled_at.reset();
  container.observed.is_kill_sent = false;
  container.run = std::move(run);
  remove_cgroups_of(name, attempt);
  if (attempt >= 2) {
    context_.world.files.remove_tree(paths_.attempt(name, attempt - 2))
        .ignore("old logs only; removed with the pod");
  }
  sync_soon();
}

void PodWorker::fail_start(const std::string& name, const base::Status& why) {
  ContainerObserved& seen = containers_[name].observed;
  containers_[name].slot.reset();
  const int count = seen.failure ? seen.failure->count + 1 : 1;
  seen.failure = StartFailure{why.reason(), why.message(), context_.world.clock.now(), count};
  event(true, "Failed", "Error: " + why.reason() + ": " + why.message(), name);
  sync_soon();
}

std::string PodWorker::network_namespace() const {
  return pod_namespaces(context_.network, api::uid_of(record_.pod)).net;
}

HandlerTarget PodWorker::handler_target(const std::string& name) const {
  return {.address = record_.address,
          .network_namespace = network_namespace(),
          .container = spec_of(name),
          .paths = ContainerPaths(paths_.attempt(name, containers_.at(name).observed.attempt))};
}

void PodWorker::begin_checks(const std::string& name, Container& container) {
  // What another agent found about this very attempt still holds.
  ContainerChecks::Before before;
  const std::string id = container_id(api::uid_of(record_.pod), name, container.observed.attempt);
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& known : record_.pod["status"][list].items()) {
      if (known["containerID"].as_string() != id) continue;
      before = {.is_started = known["started"].as_bool(), .is_ready = known["ready"].as_bool()};
    }
  }
  container.checks = std::make_unique<ContainerChecks>(
      context_.world, handler_target(name), container.observed.started_at, before,
      [this, name](const std::string& reason, const std::string& message) {
        event(true, reason, message, name);
      },
      [this] { sync_soon(); });
}

/// The preStop hook, where there is one, then SIGTERM.
void PodWorker::begin_stop(const std::string& name) {
  Container& container = containers_[name];
  if (!container.run || container.is_ordering) return;  // launch() will see the deletion
  const std::string& check = container.observed.failed_check;
  const Json& spec = spec_of(name);
  if (decision_.is_stopping) {
    if (!api::is_being_deleted(record_.pod))
      event(false, "Killing", "Stopping container " + name, name);
  } else if (!check.empty()) {
    const bool is_restarted = record_.pod.at("spec.restartPolicy").as_string() != "Never" ||
                              spec["restartPolicy"].as_string() == "Always";
    event(false, "Killing",
          check == "postStart hook" ? "FailedPostStartHook"
                                    : "Container " + name + " failed " + check +
                                          (is_restarted ? ", will be restarted" : ""),
          name);
  }
  const Json& hook = spec.at("lifecycle.preStop");
  if (hook.is_null() || container.observed.state != State::Running) {
    return stop_container(name, false);
  }
  container.observed.terminated_at = context_.world.clock.now();
  container.stop_hook = std::make_unique<HandlerRun>(
      context_.world, handler_target(name), hook, grace_period(record_.pod),
      [this, name](const HandlerResult& result) {
        Container& stopped = containers_[name];
        stopped.stop_hook.reset();
        if (result.outcome != ProbeOutcome::Success) {
          event(true, "FailedPreStopHook", "PreStopHook failed", name);
        }
        stop_container(name, false);
        sync_soon();
      });
}

void PodWorker::stop_container(const std::string& name, bool is_kill) {
  Container& container = containers_[name];
  if (!container.run || container.is_ordering) return;  // launch() will see the deletion
  const base::Status status = is_kill ? container.run->kill() : container.run->terminate();
  if (status.ok()) {
    if (is_kill) container.observed.is_kill_sent = true;
    if (is_kill) return;
    container.observed.signalled_at = context_.world.clock.now();
    if (!container.observed.terminated_at) {
      container.observed.terminated_at = container.observed.signalled_at;
    }
    return;
  }
  // Only starting: its start is the next change, and looks again.
  if (status.code() != base::Code::FailedPrecondition) {
    context_.world.log.warning(
        "container.signal",
        {{"pod", api::uid_of(record_.pod)}, {"container", name}, {"error", status.to_string()}});
    wake_.start(kRetry, [this] { sync(); });
  }
}

void PodWorker::delete_from_api() {
  // The final status first: who waits for the pod's end reads it there.
  if (is_deleting_ || !status_writer_.has_stored(status())) return;
  is_deleting_ = true;
  client::DeleteOptions options{.uid = api::uid_of(record_.pod), .grace_period_seconds = 0};
  context_.client.remove(
      {"Pod", api::namespace_of(record_.pod), api::name_of(record_.pod)}, options,
      [this, alive = std::weak_ptr(alive_)](base::Result<Json> result) {
        if (alive.expired()) return;
        is_deleting_ = false;
        const base::Code code = result.status().code();
        if (result.ok() || code == base::Code::NotFound || code == base::Code::Conflict) {
          observed_.is_delete_sent = true;  // the informer tells when it is gone
        } else {
          wake_.start(kRetry, [this] { sync(); });
        }
      });
}

/// Of attempts that have ended.
void PodWorker::remove_cgroups_of(const std::string& name, int before_attempt) {
  for (const int attempt : list_attempts(context_.world.files, paths_, name)) {
    if (attempt >= before_attempt) continue;
    const auto order =
        read_order(context_.world.files, ContainerPaths(paths_.attempt(name, attempt)));
    if (order.ok()) remove_cgroups(context_.world.files, order->cgroups);
  }
}

void PodWorker::remove_all_cgroups() {
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : record_.pod["spec"][list].items()) {
      remove_cgroups_of(container["name"].as_string(), std::numeric_limits<int>::max());
    }
  }
}

void PodWorker::remove_state() {
  if (std::exchange(is_removing_, true)) return;
  sandbox_.supervision().close();
  give_back();
  remove_all_cgroups();
  // Again, for a pod that an agent left before it was torn down.
  sandbox_.volumes().release([this](base::Status status) {
    if (status.ok()) status = context_.world.files.remove_tree(paths_.directory);
    if (status.ok()) {
      if (removed_) context_.world.timers.post(std::exchange(removed_, nullptr));
      return;
    }
    is_removing_ = false;
    context_.world.log.warning("pod.remove",
                               {{"pod", api::uid_of(record_.pod)}, {"error", status.to_string()}});
    wake_.start(kRetry, [this] { sync(); });
  });
}

Json PodWorker::status() const {
  return build_pod_status(
      record_.pod, observed_, decision_,
      {.host_address = context_.options.host_address,
       .pod_address =
           observed_.sandbox == Sandbox::None && containers_.empty() ? "" : record_.address,
       .start_time = record_.start_time,
       .now = context_.world.clock.now(),
       .workers = sandbox_.supervision().condition()});
}

void PodWorker::event(bool is_warning, const std::string& reason, const std::string& message,
                      const std::string& container) {
  context_.events.record(record_.pod, is_warning, reason, message, container);
}

std::optional<ContainerPaths> PodWorker::attempt(const std::string& container,
                                                 bool is_previous) const {
  const auto it = containers_.find(container);
  if (it == containers_.end() || !it->second.run) return std::nullopt;
  const int number = it->second.observed.attempt - (is_previous ? 1 : 0);
  if (number < 0) return std::nullopt;
  return ContainerPaths(paths_.attempt(container, number));
}

std::string PodWorker::waiting_reason(const std::string& container) const {
  const auto it = decision_.waiting.find(container);
  return it == decision_.waiting.end() ? "" : it->second.reason;
}

std::vector<std::string> PodWorker::running_containers() const {
  std::vector<std::string> names;
  for (const auto& [name, container] : containers_) {
    if (container.run && container.run->state() == ContainerRun::State::Running) {
      names.push_back(name);
    }
  }
  return names;
}

bool PodWorker::is_live(const std::string& container) const {
  const auto it = containers_.find(container);
  return it != containers_.end() && it->second.run &&
         it->second.run->state() != ContainerRun::State::Exited;
}

}  // namespace pelton::agent
