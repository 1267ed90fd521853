// SPDX-License-Identifier: Apache-2.0
#include "agent/probe_decision.h"

#include <algorithm>

namespace pelton::agent {

using base::Json;

const char* probe_name(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Startup:
      return "Startup";
    case ProbeKind::Liveness:
      return "Liveness";
    case ProbeKind::Readiness:
      return "Readiness";
  }
  return "";
}

const char* probe_field(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Startup:
      return "startupProbe";
    case ProbeKind::Liveness:
      return "livenessProbe";
    case ProbeKind::Readiness:
      return "readinessProbe";
  }
  return "";
}

ProbeTiming probe_timing(const Json& probe) {
  const auto seconds = [&](const char* field, int64_t fallback) {
    return base::Duration::seconds(std::max<int64_t>(probe[field].as_int(fallback), 0));
  };
  return {.initial_delay = seconds("initialDelaySeconds", 0),
          .period = std::max(seconds("periodSeconds", 10), base::Duration::seconds(1)),
          .timeout = std::max(seconds("timeoutSeconds", 1), base::Duration::seconds(1)),
          .success_threshold = std::max<int64_t>(probe["successThreshold"].as_int(1), 1),
          .failure_threshold = std::max<int64_t>(probe["failureThreshold"].as_int(3), 1)};
}

ProbesDecision decide_probes(const Json& container, const ProbeStates& states,
                             base::Instant started_at, bool is_ending, base::Instant now) {
  const auto has = [&](ProbeKind kind) { return container.contains(probe_field(kind)); };
  const auto succeeded = [&](ProbeKind kind) {
    return !has(kind) || states.of(kind).result == ProbeOutcome::Success;
  };
  ProbesDecision decision;
  decision.is_started = succeeded(ProbeKind::Startup);
  decision.is_ready = decision.is_started && succeeded(ProbeKind::Readiness);
  for (const ProbeKind kind : kProbeKinds) {
    if (!has(kind) || (kind == ProbeKind::Startup) == decision.is_started) continue;
    if (is_ending && kind != ProbeKind::Readiness) continue;
    const ProbeState& state = states.of(kind);
    if (kind != ProbeKind::Readiness && state.result == ProbeOutcome::Failure) {
      decision.failed = kind;
      continue;
    }
    if (state.is_under_way) continue;
    const ProbeTiming timing = probe_timing(container[probe_field(kind)]);
    base::Instant due_at = started_at + timing.initial_delay;
    if (state.began_at) due_at = std::max(due_at, *state.began_at + timing.period);
    if (now >= due_at) {
      decision.due.push_back(kind);
    } else if (!decision.wake_at || due_at < *decision.wake_at) {
      decision.wake_at = due_at;
    }
  }
  return decision;
}

void note_probe_outcome(ProbeState& state, const ProbeTiming& timing, ProbeOutcome outcome) {
  if (outcome == ProbeOutcome::Unknown) return;
  state.run = state.last == outcome ? state.run + 1 : 1;
  state.last = outcome;
  const int64_t threshold =
      outcome == ProbeOutcome::Success ? timing.success_threshold : timing.failure_threshold;
  if (state.run >= threshold) state.result = outcome;
}

}  // namespace pelton::agent
