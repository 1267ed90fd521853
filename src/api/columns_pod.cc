// SPDX-License-Identifier: Apache-2.0
// The pod row: one word for the state of several containers, as people know it from kubectl.
#include <fmt/format.h>

#include <algorithm>

#include "api/columns_kinds.h"
#include "api/object.h"

namespace pelton::api {
namespace {

using base::Instant;
using base::Json;

struct Summary {
  std::string reason;
  int64_t restarts = 0;
  int64_t ready = 0;
  Instant last_restart;
};

void count_restarts(Summary& summary, const Json& status) {
  summary.restarts += status["restartCount"].as_int();
  const auto ended = base::parse_time(status["lastState"]["terminated"]["finishedAt"].as_string());
  if (ended.ok()) summary.last_restart = std::max(summary.last_restart, *ended);
}

// "Completed", "Signal:9" or "ExitCode:1", with a prefix for init containers.
std::string ended_as(const Json& terminated, const char* prefix) {
  if (!terminated["reason"].as_string().empty()) return prefix + terminated["reason"].as_string();
  if (terminated["signal"].as_int() != 0) {
    return fmt::format("{}Signal:{}", prefix, terminated["signal"].as_int());
  }
  return fmt::format("{}ExitCode:{}", prefix, terminated["exitCode"].as_int());
}

// An init container that runs beside the others (restartPolicy Always).
bool is_sidecar(const Json& spec, const Json& status) {
  for (const Json& container : spec["initContainers"].items()) {
    if (container["name"] == status["name"])
      return container["restartPolicy"].as_string() == "Always";
  }
  return false;
}

// Returns whether initialization is still under way.
bool summarize_init(const Json& pod, Summary& all, Summary& sidecars) {
  const Json& spec = pod["spec"];
  size_t index = 0;
  for (const Json& status : pod["status"]["initContainerStatuses"].items()) {
    const Json& terminated = status["state"]["terminated"];
    const std::string& waiting = status["state"]["waiting"]["reason"].as_string();
    const bool is_beside = is_sidecar(spec, status);
    const size_t position = index++;
    count_restarts(all, status);
    if (is_beside) count_restarts(sidecars, status);
    if (terminated.is_object() && terminated["exitCode"].as_int() == 0) continue;
    if (is_beside && status["started"].as_bool()) {
      all.ready += status["ready"].as_bool() ? 1 : 0;
      continue;
    }
    if (terminated.is_object()) {
      all.reason = ended_as(terminated, "Init:");
    } else if (!waiting.empty() && waiting != "PodInitializing") {
      all.reason = "Init:" + waiting;
    } else {
      all.reason = fmt::format("Init:{}/{}", position, spec["initContainers"].size());
    }
    return true;
  }
  return false;
}

void summarize_containers(const Json& pod, Summary& summary) {
  bool has_running = false;
  std::string error;
  const auto& statuses = pod["status"]["containerStatuses"].items();
  for (auto it = statuses.rbegin(); it != statuses.rend(); ++it) {
    const Json& state = (*it)["state"];
    count_restarts(summary, *it);
    if (!state["waiting"]["reason"].as_string().empty()) {
      summary.reason = state["waiting"]["reason"].as_string();
    } else if (state["terminated"].is_object()) {
      summary.reason = ended_as(state["terminated"], "");
      if (state["terminated"]["exitCode"].as_int() != 0) error = summary.reason;
    } else if ((*it)["ready"].as_bool() && state["running"].is_object()) {
      has_running = true;
      ++summary.ready;
    }
  }
  if (summary.reason != "Completed") return;
  if (has_running && is_condition_true(pod, "Ready")) {
    summary.reason = "Running";
  } else if (!error.empty()) {
    summary.reason = error;
  } else if (has_running) {
    summary.reason = "NotReady";
  }
}

Summary summarize(const Json& pod) {
  const Json& status = pod["status"];
  const std::string& phase = status["phase"].as_string();
  Summary summary, sidecars;
  summary.reason = status["reason"].as_string().empty() ? phase : status["reason"].as_string();
  const Json* scheduled = find_condition(pod, "PodScheduled");
  if (scheduled && (*scheduled)["reason"].as_string() == "SchedulingGated") {
    summary.reason = "SchedulingGated";
  }
  const bool is_initializing = summarize_init(pod, summary, sidecars);
  if (!is_initializing || is_condition_true(pod, "Initialized")) {
    summary.restarts = sidecars.restarts;
    summary.last_restart = sidecars.last_restart;
    summarize_containers(pod, summary);
  }
  if (is_being_deleted(pod)) {
    const bool is_over = phase == "Succeeded" || phase == "Failed";
    if (status["reason"].as_string() == "NodeLost") {
      summary.reason = "Unknown";
    } else if (!is_over) {
      summary.reason = "Terminating";
    }
  }
  return summary;
}

std::string readiness_gates(const Json& pod) {
  const Json& gates = pod["spec"]["readinessGates"];
  if (gates.empty()) return "<none>";
  const auto passed = std::count_if(gates.items().begin(), gates.items().end(), [&](const Json& g) {
    return is_condition_true(pod, g["conditionType"].as_string());
  });
  return fmt::format("{}/{}", passed, gates.size());
}

}  // namespace

Cells pod_cells(const Json& pod, Instant now) {
  const Summary summary = summarize(pod);
  const Json& spec = pod["spec"];
  const auto& inits = spec["initContainers"].items();
  const auto total = static_cast<int64_t>(spec["containers"].size()) +
                     std::count_if(inits.begin(), inits.end(), [](const Json& container) {
                       return container["restartPolicy"].as_string() == "Always";
                     });
  std::string restarts = std::to_string(summary.restarts);
  if (summary.restarts != 0 && summary.last_restart != Instant()) {
    restarts += " (" + base::format_age(now - summary.last_restart) + " ago)";
  }
  return {name_of(pod),
          fmt::format("{}/{}", summary.ready, total),
          summary.reason,
          restarts,
          age_cell(pod["metadata"]["creationTimestamp"], now),
          or_none(pod["status"]["podIPs"][size_t{0}]["ip"].as_string()),
          or_none(spec["nodeName"].as_string()),
          or_none(pod["status"]["nominatedNodeName"].as_string()),
          readiness_gates(pod)};
}

}  // namespace pelton::api
