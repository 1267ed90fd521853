// SPDX-License-Identifier: Apache-2.0
// When a container's probes are due, and what their outcomes say about it. Pure.
//
// A startup probe runs until it has succeeded once, and the others begin then. Readiness says
// whether the container takes traffic; a failed liveness or startup probe ends it, and its restart
// policy says what comes next. Thresholds count outcomes in a row.
#pragma once
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace pelton::agent {

enum class ProbeKind : uint8_t { Startup, Liveness, Readiness };
constexpr std::array kProbeKinds = {ProbeKind::Startup, ProbeKind::Liveness, ProbeKind::Readiness};
const char* probe_name(ProbeKind kind);   ///< "Startup", as events say it
const char* probe_field(ProbeKind kind);  ///< "startupProbe"

struct ProbeTiming {
  base::Duration initial_delay, period, timeout;
  int64_t success_threshold = 1, failure_threshold = 3;
};
/// Of a startupProbe, livenessProbe or readinessProbe, with upstream's defaults.
ProbeTiming probe_timing(const base::Json& probe);

enum class ProbeOutcome : uint8_t {
  Success,
  Failure,
  Unknown,  ///< the probe itself could not be made: says nothing about the container
};

/// One probe of one attempt at running a container.
struct ProbeState {
  std::optional<ProbeOutcome> result;  ///< decided by a threshold
  std::optional<ProbeOutcome> last;
  int64_t run = 0;  ///< how often `last` came in a row
  bool is_under_way = false;
  std::optional<base::Instant> began_at;  ///< the newest
};

struct ProbeStates {
  std::array<ProbeState, kProbeKinds.size()> states;
  ProbeState& of(ProbeKind kind) { return states[static_cast<size_t>(kind)]; }
  const ProbeState& of(ProbeKind kind) const { return states[static_cast<size_t>(kind)]; }
};

struct ProbesDecision {
  std::vector<ProbeKind> due;
  std::optional<base::Instant> wake_at;
  bool is_started = true;           ///< the startup probe has succeeded, or there is none
  bool is_ready = true;             ///< started, and the readiness probe says so, or there is none
  std::optional<ProbeKind> failed;  ///< Startup or Liveness: the container has to end
};

/// `started_at` is the container's. While the pod `is_ending`, only readiness is looked at.
ProbesDecision decide_probes(const base::Json& container, const ProbeStates& states,
                             base::Instant started_at, bool is_ending, base::Instant now);

void note_probe_outcome(ProbeState& state, const ProbeTiming& timing, ProbeOutcome outcome);

}  // namespace pelton::agent
