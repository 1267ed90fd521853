// SPDX-License-Identifier: Apache-2.0
// The two records by which a job survives: what is to run (Generation) and what happened
// (PodReport). Controllers write the first, supervisors the second; each is read everywhere, by
// whoever comes after a crash too, so they hold all that a successor needs.
//
// On the wire and in status both are JSON with the names given here in camelCase; a reader ignores
// members that it does not know.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "base/time.h"
#include "decide/checkpoint/holding.h"
#include "decide/checkpoint/observed_failures.h"

namespace pelton::decide::recovery {

/// One pod of a generation. Its ranks are consecutive and begin where the previous member's end.
struct Member {
  std::string pod;      ///< its name
  std::string pod_uid;  ///< a pod of the same name but another uid is another member
  std::string node;
  std::string address;    ///< where other members reach it: an IP or a name
  int ranks = 1;          ///< worker processes
  std::string rack = {};  ///< that its node says it is in (kRackLabel); replicas lie in another one
  bool operator==(const Member&) const = default;
};

/// A member's node is to go: what the job has is to be saved durably before.
struct SaveBy {
  base::Instant at;   ///< when it goes
  std::string cause;  ///< of the notice
  std::string node;
  int64_t after = -1;  ///< what was saved up to this step is no answer
  /// Every member has told its workers, so that they may agree upon a step: none of them passes it
  /// without knowing.
  bool is_known = false;
  bool operator==(const SaveBy&) const = default;
};

/// One attempt to train with a fixed membership. Written, with its number, before anybody acts on
/// it; whatever carries an older number is refused from then on, which is what fencing means.
struct Generation {
  enum class Phase : uint8_t {
    Running,   ///< members are to run it
    Finished,  ///< every rank ended with 0: supervisors end with 0
    Failed,    ///< given up: supervisors end with 1
    Waiting,   ///< nobody runs: workers are ended, supervisors wait for the next one
  };
  int64_t number = 0;   ///< from 1; 0: none yet
  std::string job_uid;  ///< of the JobSet, or the run's own id where there is none
  Phase phase = Phase::Running;
  std::vector<Member> members;  ///< in the order of ranks
  std::string reason;           ///< why it began, for people
  base::Instant began;          ///< when it was decided, on the clock of who decided
  /// What its ranks restore from the memory of its members' nodes. Absent: what the durable tier
  /// has.
  std::optional<checkpoint::MemoryVersion> restore = {};
  /// `restore` is not decided yet: members end what runs, say what they hold, and start nobody.
  bool is_restore_open = false;
  checkpoint::ObservedFailures observed = {};  ///< of all generations before (failure_count.h)
  std::optional<SaveBy> save_by = {};  ///< written later than the rest, under the same number
  bool operator==(const Generation&) const = default;

  int world_size() const;
  /// Position in `members`; absent: a spare, or no part of it.
  std::optional<size_t> index_of(std::string_view pod_uid) const;
  /// The first rank of members[index].
  int first_rank_of(size_t index) const;
  /// Where rank 0's pod serves the rendezvous of this generation: `base_port` + number mod 64, so
  /// that a successor does not meet the sockets of its predecessor.
  int port_from(int base_port) const;
};

const char* phase_name(Generation::Phase phase);  ///< "Running"
base::Json to_json(const Generation& generation);
/// InvalidArgument names the member that is wrong.
base::Result<Generation> generation_of(const base::Json& json);

enum class WorkerState : uint8_t {
  Starting,   ///< forked; no heartbeat of this generation yet
  Running,    ///< heartbeats come
  Succeeded,  ///< exited with 0
  Exited,     ///< exited with another code, or by a signal
  Raised,     ///< a Python exception ended it, or is about to; `cause` is its type
  Hung,       ///< no progress, with evidence; see `cause`
  Slow,       ///< a straggler: progresses, far behind its peers
};
const char* state_name(WorkerState state);  ///< "Exited"
bool is_failure(WorkerState state);         ///< Exited, Raised or Hung

/// One rank as its supervisor sees it.
struct WorkerReport {
  int rank = 0;
  WorkerState state = WorkerState::Starting;
  std::optional<int> exit_code;  ///< Exited
  std::optional<int> signal;     ///< Exited
  /// One word for programs and budgets: "SIGKILL", "OOMKilled", "ValueError", "Stopped".
  std::string cause;
  std::string detail;   ///< for people, one line
  int64_t step = -1;    ///< the last step begun; -1: none yet
  std::string phase;    ///< "compile", "step", "eval", "save", "restore", "collective", …
  base::Instant since;  ///< when `state` began
  bool operator==(const WorkerReport&) const = default;
};

/// What one pod's supervisor says. The agent carries it into the pod's condition
/// kWorkersCondition, whose message is this record and whose reason is the stage.
struct PodReport {
  enum class Stage : uint8_t {
    Joined,     ///< the supervisor is there, and no generation that lists it has begun: a spare
    Running,    ///< workers of `generation` run, or have been started
    Stopped,    ///< one of its workers failed, and none of `generation` runs here any more
    Succeeded,  ///< every worker of `generation` here ended with 0
    Refused,    ///< it cannot follow `generation`; `detail` says why
  };
  int64_t generation = 0;  ///< that it follows; 0: none yet
  Stage stage = Stage::Joined;
  int ranks = 1;        ///< workers that it would run
  bool parked = false;  ///< a warm parent is there: a start costs a fork
  std::string cause;    ///< Refused: one word, as a worker's; empty: "Refused"
  std::string detail;
  std::vector<WorkerReport> workers;
  /// Where this generation's time went here, by phase, in seconds, of the slowest local rank.
  std::map<std::string, double> phase_seconds;
  int64_t first_step = -1;      ///< of this generation; -1: none yet
  int64_t last_step = -1;       ///< finished
  base::Instant first_step_at;  ///< when first_step ended
  base::Instant last_step_at;   ///< when last_step ended
  /// What the memory of the node holds of the job's checkpoints, the newest few versions.
  std::vector<checkpoint::Holding> held;
  /// When `held` was read: the same number says that it was the same moment on all nodes, as well
  /// as their clocks agree. 0: never.
  int64_t held_at = 0;
  /// When `held` was read, no worker of a generation before this one ran here any more.
  int64_t quiet_before = 0;
  bool answers_saves = false;  ///< a worker here looks whether a save is asked for (`save_by`)
  base::Instant told_save_by;  ///< SaveBy::at of what all workers here have been told
  int64_t saved_step = -1;     ///< is durable since, in answer to it
  bool operator==(const PodReport&) const = default;
};
const char* stage_name(PodReport::Stage stage);
base::Json to_json(const PodReport& report);
base::Result<PodReport> pod_report_of(const base::Json& json);

/// The label on a node that names its rack.
inline constexpr const char* kRackLabel = "pelton.dev/rack";
/// The type of the condition on a pod that carries its PodReport.
inline constexpr const char* kWorkersCondition = "pelton.dev/Workers";
/// The label on a JobSet, and on its pods, that names the RecoveryPolicy of its namespace.
inline constexpr const char* kPolicyLabel = "pelton.dev/recovery-policy";

/// The report in a pod's status; a default one where there is none or it cannot be read.
PodReport report_in(const base::Json& pod);

}  // namespace pelton::decide::recovery
