// SPDX-License-Identifier: Apache-2.0
// What one pod does to follow the generations of its job: which ranks run here, who has to be ended
// first, and what is reported. Pure: it holds no process and no clock.
//
// Give it what happens; each call returns what is to be done next. Two things always hold: of one
// (generation, rank) at most one process exists, and no worker is started before all workers of
// other generations here have ended. A successor is told by restore() what its init has, and goes
// on from there: whatever was begun is finished, nothing is begun twice.
#pragma once
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/recovery/records.h"
#include "world/processes.h"

namespace pelton::launch {

/// One worker of one generation. Rank kCoordinator is its coordination service, where there is one.
struct WorkerId {
  int64_t generation = 0;
  int rank = 0;
  auto operator<=>(const WorkerId&) const = default;
};
inline constexpr int kCoordinator = -1;

struct FollowerAction {
  enum class Kind : uint8_t {
    Start,   ///< start `worker`; answer with on_started() or on_not_started()
    Signal,  ///< send signal `number` to `worker` and its process group
    Forget,  ///< `worker` has ended and is of no interest any more
    Check,   ///< run the health check for generation `worker.generation`; answer with on_checked()
    Save,    ///< ask the workers to save; call on_saved() when they have, or time presses
    Alarm,   ///< call on_grace_over() after the grace period
    Finish,  ///< end with exit code `number`
  };
  Kind kind;
  WorkerId worker;
  int number = 0;
  bool operator==(const FollowerAction&) const = default;
};
using FollowerActions = std::vector<FollowerAction>;

/// An exception that a worker left beside its page.
struct LastWords {
  std::string type, message, where;
};

/// A worker makes no progress, with evidence: decide/health/rank_watch.h. Or it has raised an
/// exception, and does not end of it.
struct Hang {
  std::string cause, detail;
  base::Instant since;
  bool has_raised = false;
};

class Follower {
 public:
  struct Settings {
    std::string pod_uid;
    int ranks = 1;  ///< that this pod offers
    /// Alone: where it fails it ends with the exit code of the worker that failed first, and with
    /// a shell's code where a worker cannot be started. Else it ends with 1, and refuses.
    bool is_alone = true;
    /// No worker is started before this generation's health check here has passed.
    bool has_check = false;
  };
  explicit Follower(Settings settings) : settings_(std::move(settings)) {}

  /// One child that init has, before anything else is told. `is_running` may be false with no
  /// exit: it is being started.
  void restore(WorkerId worker, bool is_running, std::optional<world::ExitState> exit,
               int64_t ended, base::Instant now);
  /// That it hangs was known to a predecessor.
  void restore_hang(WorkerId worker, Hang hang);

  /// Whether a parked parent can serve the coordination of the generations that begin from now on.
  void offer_coordinator(bool is_there) { has_coordinator_ = is_there; }
  /// Whether this pod's workers are all of the job, and would save if they were asked.
  void offer_save(bool would_save) { would_save_ = would_save; }
  /// An older one than before is ignored. `is_last`: if it fails, no other will follow, so that
  /// its workers are asked to end before they are killed.
  FollowerActions on_generation(const decide::recovery::Generation& generation, bool is_last,
                                base::Instant now);
  FollowerActions on_started(WorkerId worker, base::Instant now);
  FollowerActions on_not_started(WorkerId worker, const base::Status& why, base::Instant now);
  /// `ended`: its place among the ends of this pod's workers.
  FollowerActions on_exit(WorkerId worker, world::ExitState how, int64_t ended,
                          std::optional<LastWords> words, base::Instant now);
  /// The health check of a pod that no generation lists yet, so that no spare is taken in vain: as
  /// that of generation 0.
  FollowerActions check_early();
  /// How the health check of a generation went: Ok, or what is wrong with the node.
  FollowerActions on_checked(int64_t generation, const base::Status& how, base::Instant now);
  /// A failure as an exit is, if it is the first: it is killed, whoever else is asked to end.
  FollowerActions on_hang(WorkerId worker, Hang hang, base::Instant now);
  /// The pod is asked to end. SIGTERM leaves time to save first; said twice, it does not.
  FollowerActions on_signal(int number, base::Instant now);
  FollowerActions on_saved(base::Instant now);
  FollowerActions on_grace_over(base::Instant now);

  /// Without what only the pages say: steps, phases, and that a worker is Running.
  decide::recovery::PodReport report() const;
  const std::optional<decide::recovery::Generation>& generation() const { return generation_; }
  /// The workers of this generation that run here.
  std::vector<WorkerId> running() const;
  /// Nothing has failed in it here, and it is to run.
  bool is_running_generation() const;
  bool is_coordinated() const;  ///< this generation has a coordination service here

 private:
  enum class State : uint8_t { Asked, Alive, Ended };
  struct Worker {
    State state = State::Asked;
    std::optional<world::ExitState> exit;
    int64_t ended = 0;
    int sent = 0;  ///< the last signal by which we meant to end it
    std::optional<LastWords> words;
    std::optional<Hang> hang;
    base::Instant since;
  };
  using Workers = std::map<WorkerId, Worker>;

  FollowerActions go_on(base::Instant now);
  void end_what_must_not_run(FollowerActions& actions);
  void end_worker(const WorkerId& id, Worker& worker, FollowerActions& actions);
  void start_what_is_missing(FollowerActions& actions, base::Instant now);
  void forget_older(FollowerActions& actions);
  std::optional<int> exit_code() const;
  bool is_member() const;
  bool is_unfit() const;         ///< by the last health check, which nothing has made void since
  int64_t quiet_before() const;  ///< PodReport::quiet_before
  bool may_run(const WorkerId& id) const;
  bool is_there(const Worker& worker) const { return worker.state != State::Ended; }
  /// The first worker of this generation that failed by itself.
  const Worker* first_failure() const;
  bool was_ended_by_us(const Worker& worker, const Worker* failure) const;
  bool have_all_succeeded() const;
  decide::recovery::WorkerReport report_of(const WorkerId& id, const Worker& worker,
                                           const Worker* failure) const;

  Settings settings_;
  std::optional<decide::recovery::Generation> generation_;
  bool is_last_ = false;
  bool has_coordinator_ = false;
  bool would_save_ = false;
  bool is_saving_ = false;                   ///< before we end by SIGTERM
  std::optional<base::Status> refusal_;      ///< why a worker of this generation cannot be started
  int64_t asked_check_ = -1, checked_ = -1;  ///< generations: of the last check, and passed
  std::optional<base::Status> unfit_;        ///< what the last check found
  std::optional<int> ordered_;               ///< the first signal that asked us to end
  int last_ordered_ = 0;
  bool has_alarm_ = false;
  bool is_grace_over_ = false;
  bool is_finished_ = false;
  Workers workers_;
};

}  // namespace pelton::launch
