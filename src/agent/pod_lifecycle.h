// SPDX-License-Identifier: Apache-2.0
// What to do next about one pod on this node. Pure.
//
// decide_pod() sees the manifest, what the sandbox and each container are known to do, and the
// time, and says which actions are due, when to look again, and what each container that is not
// running waits for. It is level-triggered: asked again with the same observation it says the same,
// so whoever acts records an action under way in the observation (Preparing, Starting, signals
// sent). A crash between any two actions is healed by observing and asking again.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"

namespace pelton::agent {

/// Why a container could not be started; it is tried again after a back-off.
struct StartFailure {
  std::string reason;  ///< "ErrImagePull", "CreateContainerConfigError", "RunContainerError"
  std::string message;
  base::Instant at;
  int count = 1;  ///< in a row
};

/// The last attempt at running a container, and the ended one before it.
struct ContainerObserved {
  enum class State : uint8_t { None, Starting, Running, Exited };
  struct Exit {
    int code = 0;
    std::string reason;   ///< "Completed", "Error", "ContainerStatusUnknown"
    std::string message;  ///< for people; may be empty
    base::Instant started_at, finished_at;
    int attempt = 0;
  };
  State state = State::None;
  int attempt = -1;  ///< from 0; -1: none yet
  base::Instant started_at;
  std::optional<Exit> exit;      ///< of `attempt`, where Exited
  std::optional<Exit> previous;  ///< of the attempt before
  std::optional<StartFailure> failure;
  /// When it was told to end: its preStop hook first, where it has one, then SIGTERM.
  std::optional<base::Instant> terminated_at;
  std::optional<base::Instant> signalled_at;  ///< when SIGTERM was sent
  bool is_kill_sent = false;
  // Of a running one, by its hook and probes (agent/container_checks.h):
  bool is_started = true;
  bool is_ready = true;
  std::string failed_check;  ///< "liveness probe", …: it has to end; "" where all is well
  int quick_exits = 0;       ///< attempts in a row that ended before the back-off was forgiven

  bool is_live() const { return state == State::Starting || state == State::Running; }
};

struct PodObserved {
  enum class Sandbox : uint8_t { None, Preparing, Ready, Failed, TearingDown };
  Sandbox sandbox = Sandbox::None;
  std::optional<StartFailure> sandbox_failure;
  bool is_gone = false;         ///< no longer in the API
  bool is_delete_sent = false;  ///< the API has been told that all ended
  std::optional<std::pair<std::string, std::string>> rejection;  ///< reason, message
  std::map<std::string, ContainerObserved> containers;           ///< by name, init ones too
  std::optional<base::Instant> start_time;      ///< when this node first saw the pod
  std::optional<base::Instant> stopping_since;  ///< when a decision first was to stop
};

struct LifecycleOptions {
  base::Duration first_backoff = base::Duration::seconds(10);  ///< then doubled
  base::Duration max_backoff = base::Duration::minutes(5);
  base::Duration forgiven_after = base::Duration::minutes(10);  ///< of running
  base::Duration config_retry = base::Duration::seconds(2);
};

struct PodAction {
  enum class Kind : uint8_t {
    PrepareSandbox,   ///< network, namespaces, volumes
    StartContainer,   ///< `container`, as `attempt`
    Terminate,        ///< SIGTERM to `container`
    Kill,             ///< SIGKILL to all of `container`
    TearDownSandbox,  ///< network and namespaces; logs and volumes stay
    DeleteFromApi,    ///< after the final status; grace 0, precondition uid
    RemoveState,      ///< everything of the pod on this node
  };
  Kind kind;
  std::string container;
  int attempt = 0;
  bool operator==(const PodAction&) const = default;
};

struct Waiting {
  std::string reason;  ///< "ContainerCreating", "PodInitializing", "CrashLoopBackOff", …
  std::string message;
  bool operator==(const Waiting&) const = default;
};

struct PodDecision {
  std::vector<PodAction> actions;
  std::optional<base::Instant> wake_at;    ///< decide again then, if nothing happens before
  std::string phase;                       ///< "Pending", "Running", "Succeeded", "Failed"
  std::string reason, message;             ///< of the pod's status: "DeadlineExceeded"; mostly ""
  bool is_stopping = false;                ///< every container that lives is to end
  std::map<std::string, Waiting> waiting;  ///< containers that are not running and will be
};

PodDecision decide_pod(const base::Json& pod, const PodObserved& observed,
                       const LifecycleOptions& options, base::Instant now);

/// How long after its end a container that ended `quick_exits` times in a row is started again: at
/// once the first time, then first_backoff doubling up to max_backoff.
base::Duration restart_delay(int quick_exits, const LifecycleOptions& options);

/// Whether an init container is a sidecar: it runs beside the others, from its place in the order
/// of init containers on, is restarted whenever it ends, and ends after them.
bool is_sidecar(const base::Json& init_container);

/// metadata.deletionGracePeriodSeconds where the pod is being deleted, else spec's.
base::Duration grace_period(const base::Json& pod);

}  // namespace pelton::agent
