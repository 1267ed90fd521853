// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_status.h"

#include <algorithm>

#include "agent/image_table.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;
using State = ContainerObserved::State;

Json terminated_json(const ContainerObserved::Exit& exit, const std::string& id) {
  Json out = Json::object({{"exitCode", exit.code},
                           {"reason", exit.reason},
                           {"startedAt", base::format_time(exit.started_at)},
                           {"finishedAt", base::format_time(exit.finished_at)},
                           {"containerID", id}});
  // As a shell says it: 128 + the signal. A program that exits so itself nearly always repeats the
  // signal of a child of its own.
  if (exit.code > 128 && exit.code <= 128 + 64) out.set("signal", exit.code - 128);
  if (!exit.message.empty()) out.set("message", exit.message);
  return out;
}

bool is_ready(const ContainerObserved& seen) {
  return seen.state == State::Running && seen.is_started && seen.is_ready;
}

Json container_status(const Json& pod, const Json& container, bool is_init,
                      const ContainerObserved& seen, const PodDecision& decision) {
  const std::string& name = container["name"].as_string();
  const std::string& uid = api::uid_of(pod);
  const bool is_running = seen.state == State::Running;
  Json state = Json::object();
  const ContainerObserved::Exit* last = seen.previous ? &*seen.previous : nullptr;
  const auto waiting = decision.waiting.find(name);
  if (is_running) {
    state.set("running", Json::object({{"startedAt", base::format_time(seen.started_at)}}));
  } else if (seen.exit && waiting == decision.waiting.end()) {
    state.set("terminated", terminated_json(*seen.exit, container_id(uid, name, seen.attempt)));
  } else {
    const bool is_after_init = !pod.at("spec.initContainers").empty();
    const Waiting none{is_after_init ? "PodInitializing" : "ContainerCreating", ""};
    const Waiting& why = waiting == decision.waiting.end() ? none : waiting->second;
    Json& shown = state.set("waiting", Json::object({{"reason", why.reason}}));
    if (!why.message.empty()) shown.set("message", why.message);
    if (seen.exit) last = &*seen.exit;
  }
  Json out =
      Json::object({{"name", name},
                    {"image", container["image"].as_string()},
                    {"imageID", ""},
                    {"ready", is_init && !is_sidecar(container) ? seen.exit && seen.exit->code == 0
                                                                : is_ready(seen)},
                    {"started", is_running && seen.is_started},
                    {"restartCount", std::max(seen.attempt, 0)},
                    {"state", std::move(state)},
                    {"lastState", Json::object()}});
  if (seen.attempt >= 0) {
    out.set("containerID", container_id(uid, name, seen.attempt));
    out.set("imageID", "pelton://" + parse_image_name(container["image"].as_string()).repository);
  }
  if (last != nullptr) {
    out.child("lastState")
        .set("terminated", terminated_json(*last, container_id(uid, name, last->attempt)));
  }
  return out;
}

/// Names as a kubelet lists them: "[a b]"; "" where there are none.
std::string listed(const std::vector<std::string>& names) {
  return names.empty() ? "" : "[" + base::join(names, " ") + "]";
}

const ContainerObserved& seen_of(const PodObserved& observed, const Json& container) {
  static const ContainerObserved nothing;
  const auto it = observed.containers.find(container["name"].as_string());
  return it == observed.containers.end() ? nothing : it->second;
}

/// The containers and sidecars that are not ready.
std::string unready(const Json& spec, const PodObserved& observed) {
  std::vector<std::string> names;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Json& container : spec[list].items()) {
      if (std::string_view(list) == "initContainers" && !is_sidecar(container)) continue;
      if (!is_ready(seen_of(observed, container))) names.push_back(container["name"].as_string());
    }
  }
  return listed(names);
}

/// The init containers that have not succeeded, or, of sidecars, not started.
std::string uninitialized(const Json& spec, const PodObserved& observed) {
  std::vector<std::string> names;
  for (const Json& container : spec["initContainers"].items()) {
    const ContainerObserved& seen = seen_of(observed, container);
    const bool is_done = is_sidecar(container) ? seen.state == State::Running && seen.is_started
                                               : seen.exit && seen.exit->code == 0;
    if (!is_done) names.push_back(container["name"].as_string());
  }
  return listed(names);
}

/// What the pod's readiness gates lack; "" where nothing.
std::string closed_gates(const Json& spec, const Json& holder) {
  std::vector<std::string> words;
  for (const Json& gate : spec["readinessGates"].items()) {
    const std::string& type = gate["conditionType"].as_string();
    const std::string what = "corresponding condition of pod readiness gate \"" + type + "\" ";
    if (api::find_condition(holder, type) == nullptr) {
      words.push_back(what + "does not exist.");
    } else if (!api::is_condition_true(holder, type)) {
      words.push_back("the status of pod readiness gate \"" + type + "\" is not \"True\", but " +
                      (*api::find_condition(holder, type))["status"].as_string());
    }
  }
  return base::join(words, ", ");
}

void set_conditions(Json& holder, const PodObserved& observed, const PodDecision& decision,
                    base::Instant now) {
  const Json& spec = holder["spec"];
  const bool was_initialized =
      std::any_of(spec["containers"].items().begin(), spec["containers"].items().end(),
                  [&](const Json& main) { return seen_of(observed, main).attempt >= 0; });
  const std::string incomplete = was_initialized ? "" : uninitialized(spec, observed);
  api::Condition initialized{"Initialized", "True", "", ""};
  if (!incomplete.empty()) {
    initialized = {"Initialized", "False", "ContainersNotInitialized",
                   "containers with incomplete status: " + incomplete};
  }
  const std::string not_ready = unready(spec, observed);
  api::Condition ready{"Ready", "True", "", ""};
  if (decision.phase == "Succeeded") {
    ready = {"Ready", "False", "PodCompleted", ""};
    initialized = {"Initialized", "True", "PodCompleted", ""};
  } else if (decision.phase == "Failed") {
    ready = {"Ready", "False", "PodFailed", ""};
  } else if (!not_ready.empty()) {
    ready = {"Ready", "False", "ContainersNotReady",
             "containers with unready status: " + not_ready};
  }
  api::Condition containers_ready = ready;
  containers_ready.type = "ContainersReady";
  const std::string closed = closed_gates(spec, holder);
  if (ready.status == "True" && !closed.empty()) {
    ready = {"Ready", "False", "ReadinessGatesNotReady", closed};
  }
  for (const api::Condition& condition :
       {initialized, ready, containers_ready, api::Condition{"PodScheduled", "True", "", ""}}) {
    api::set_condition(holder, condition, now);
  }
}

}  // namespace

Json build_pod_status(const Json& pod, const PodObserved& observed, const PodDecision& decision,
                      const StatusFacts& facts) {
  Json holder = Json::object({{"spec", pod["spec"]}});
  Json& status = holder.set("status", Json::object());
  status.set("conditions",
             pod.at("status.conditions").is_null() ? Json::array() : pod.at("status.conditions"));
  set_conditions(holder, observed, decision, facts.now);
  if (facts.workers) api::set_condition(holder, *facts.workers, facts.now);
  Json& out = *holder.find_mutable("status");
  out.set("phase", decision.phase);
  out.set("hostIP", facts.host_address);
  out.set("hostIPs", Json::array({Json::object({{"ip", facts.host_address}})}));
  out.set("startTime", base::format_time(facts.start_time));
  const std::string& qos = pod.at("status.qosClass").as_string();
  if (!qos.empty()) out.set("qosClass", qos);
  if (!facts.pod_address.empty()) {
    out.set("podIP", facts.pod_address);
    out.set("podIPs", Json::array({Json::object({{"ip", facts.pod_address}})}));
  }
  if (observed.rejection) {
    out.set("reason", observed.rejection->first);
    out.set("message", observed.rejection->second);
    return out;
  }
  if (!decision.reason.empty()) {
    out.set("reason", decision.reason);
    out.set("message", decision.message);
  }
  for (const auto& [list, field] : {std::pair("initContainers", "initContainerStatuses"),
                                    {"containers", "containerStatuses"}}) {
    if (pod["spec"][list].empty()) continue;
    Json statuses = Json::array();
    for (const Json& container : pod["spec"][list].items()) {
      statuses.push_back(container_status(pod, container,
                                          std::string_view(list) == "initContainers",
                                          seen_of(observed, container), decision));
    }
    out.set(field, std::move(statuses));
  }
  return out;
}

std::string container_id(const std::string& pod_uid, const std::string& container, int attempt) {
  return "pelton://" + pod_uid + "/" + container + "/" + std::to_string(attempt);
}

}  // namespace pelton::agent
