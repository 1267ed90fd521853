// SPDX-License-Identifier: Apache-2.0
// Which of a pod's ranks hang, and which is slower than its peers: from the records of their
// heartbeat pages and from what the system says about their processes.
//
// Time alone makes a suspicion, never an action. A rank is suspected when its phase lasts longer
// than 2.5 times the 99th percentile of that phase (at least 0.8 s), learned from all ranks here,
// except in their first step of a generation, which may compile. It is called Hung by evidence:
//   Stopped        it is stopped by a signal (state T, in samples that are 0.3 s apart)
//   Blocked        a peer waits for it in a collective, and it used neither processor nor disk for
//                  long
//   Unanswered     it waits in a collective, nobody here is to blame, and what its sockets sent is
//                  sent again and again
//   Deadlock       all ranks of the job are here, all wait in a collective, none uses the processor
//   Spinning       it keeps its interpreter's lock, so that not even its own thread that only says
//                  so gets it, and uses the processor, for longer than it takes to begin again
//                  (5 s at least) and twice as long as has been seen to end: a loop in C. Whoever
//                  waits for it has let go of that lock, so that no peer is needed for evidence.
//                  Or: a peer waits for it, and to wait longer costs more than to begin again,
//                  though it uses the processor
//   CostOfWaiting  the same of one that uses little of it
//   LinkDown       it has done nothing since a network interface of its pod went down, for longer
//                  than it takes to begin again elsewhere
// and Slow where its own part of a step takes twice what its peers' takes. Whether peers elsewhere
// wait for a rank is not known here: where none of these ranks does, Blocked, Spinning and
// CostOfWaiting are suspicions, and whoever sees all pods may make more of them. A phase that was
// never seen to end (the first compilation) has no usual duration, so only Stopped is found in it,
// and Blocked after minutes. One in a debugger's hands is never Hung. Steps that are slow on all
// ranks are nobody's fault.
//
// Use: every 100 ms or so hand over the new records (on_record), then the evidence of the ranks
// that wants_evidence() names (a rank that beat lately needs none), then ask findings(). All times
// are on one clock of the caller, which may be the monotonic one. Not calling for a while is safe:
// time in which nobody looked (a stopped supervisor, a suspended machine) does not count.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "decide/health/link_watch.h"
#include "decide/health/phase.h"
#include "decide/health/quantiles.h"
#include "decide/recovery/records.h"

namespace pelton::decide::health {

/// What the system says about a worker's process. Totals count from its start.
struct Evidence {
  /// As in /proc/PID/stat: T or t where its first thread is stopped, else D or R where any thread
  /// is known to be so, else S.
  char state = '?';
  base::Duration processor_time;  ///< of all its threads, user and system
  int64_t disk_bytes = 0;         ///< read and written, as in /proc/PID/io
  int64_t tcp_retransmits = 0;    ///< of what its sockets sent; 0 where not known
  /// When a thread of it that does nothing else last had the interpreter's lock; none: not known.
  std::optional<base::Instant> ticked;
  bool collects_garbage = false;  ///< all of it, which keeps that lock for good reasons
};

struct Finding {
  enum class Kind : uint8_t {
    Suspected,  ///< longer than usual: look, do not act
    Hung,       ///< with evidence: act
    Slow,       ///< a straggler: the controller may act
  };
  int rank = 0;
  Kind kind = Kind::Suspected;
  std::string cause;    ///< one word: see above; or "Late" for Suspected, "Straggler" for Slow
  std::string detail;   ///< for people, one line, with the numbers
  base::Instant since;  ///< Suspected and Hung: when it became late; Slow: when it fell behind
  bool operator==(const Finding&) const = default;
};
const char* kind_name(Finding::Kind kind);  ///< "Hung"
/// Hung and Slow as a WorkerReport says them; none for a suspicion.
std::optional<recovery::WorkerState> state_of(Finding::Kind kind);

class RankWatch {
 public:
  struct Settings {
    /// What beginning again takes: measured at the last recovery, or this prior.
    base::Duration restart_cost = base::Duration::seconds(5);
    /// Whether every rank of the job is watched here: else the one to blame may be elsewhere.
    bool sees_all_ranks = false;
  };
  RankWatch() : RankWatch(Settings()) {}
  explicit RankWatch(const Settings& settings) : settings_(settings) {}
  void set_restart_cost(base::Duration cost) { settings_.restart_cost = cost; }

  /// A new generation, with these ranks here: forgets where they were, keeps what was learned.
  void begin(const std::vector<int>& ranks, base::Instant now, bool sees_all_ranks);
  /// One more rank of this generation is here.
  void add(int rank, base::Instant now);
  void set_sees_all_ranks(bool sees_all) { settings_.sees_all_ranks = sees_all; }
  /// It ended, or is being ended.
  void remove(int rank);
  /// A record of its page, in order: a phase began. Those that a successor reads from before its
  /// own time teach it just the same.
  void on_record(int rank, Phase phase, int64_t step, base::Instant began);

  struct Wanted {
    int rank = 0;
    /// It is late, or nobody knows what is usual: its threads and sockets are of interest too.
    bool in_detail = false;
  };
  /// The ranks whose evidence on_evidence() is to give now: silent for 0.25 s, and then at most for
  /// a tenth of the silence, or 0.3 s, not looked at.
  std::vector<Wanted> wants_evidence(base::Instant now) const;
  void on_evidence(int rank, const Evidence& evidence, base::Instant now);
  /// What the pod's interfaces say now (link_watch.h).
  void set_down_link(std::optional<DownLink> link) { down_link_ = std::move(link); }

  /// At most one per rank, by rank. The same finding is given again until it ends.
  std::vector<Finding> findings(base::Instant now);

  /// The median and 99th percentile of a phase over all ranks; for reports.
  const Quantiles& usual(Phase phase) const { return usual_[static_cast<size_t>(phase)]; }

 private:
  static constexpr size_t kRecent = 8;  ///< steps that a straggler is judged by
  /// Its interpreter's lock has not been had by another thread since, as far as was looked.
  struct Mute {
    base::Instant ticked;
    base::Instant seen;   ///< when this began to be watched
    base::Duration used;  ///< processor time by then
    int64_t disk_bytes = 0;
  };
  struct Rank {
    Phase phase = Phase::None;
    int64_t step = -1;
    base::Instant began;    ///< of the phase
    base::Instant counted;  ///< the same, later by the time in which nobody looked
    bool has_record = false;
    bool has_stepped = false;            ///< its first step of this generation is over
    base::Duration own;                  ///< of this step, outside collectives, so far
    std::vector<base::Duration> recent;  ///< the same of the last steps, a ring
    size_t next_recent = 0;
    std::optional<base::Instant> slow_since;

    std::optional<Evidence> evidence;  ///< the newest of this phase
    base::Instant evidence_at;
    base::Duration busy_from;  ///< processor time at the first of this phase
    base::Instant busy_since;  ///< when that was
    std::optional<base::Instant> stopped_since;
    /// Since then it used neither processor nor disk; what it had used by then.
    std::optional<base::Instant> idle_since;
    Evidence idle_from;
    std::optional<base::Instant> unanswered_since;  ///< in this phase, segments were sent again
    base::Instant unanswered_last;
    std::optional<Mute> mute;
    base::Duration named_mute;  ///< for so long, when it was called Spinning for it
  };
  struct Stall {
    base::Duration p99;
    base::Duration late;  ///< longer than this is late
    base::Duration idle;  ///< what NoProgress takes
    base::Duration wait;  ///< what CostOfWaiting takes
  };
  /// What is the same for all ranks in one look.
  struct Look {
    base::Instant now;
    std::array<std::optional<Stall>, kPhases> stalls;  ///< none where no time is usual
    size_t waiting = 0;                                ///< ranks that wait for their peers
    size_t working = 0;                                ///< ranks that peers may wait for
    size_t holding = 0;                                ///< ranks that keep their interpreter's lock
    std::vector<base::Duration> own_parts;             ///< of a step, by rank, sorted
    std::optional<int> deadlocked;

    std::optional<Stall> stall_of(const Rank& rank) const {
      if (is_in_first_step(rank)) return std::nullopt;
      return stalls[static_cast<size_t>(rank.phase)];
    }
    bool is_late(const Rank& rank) const {
      return stall_of(rank) && now - rank.counted > stall_of(rank)->late;
    }
  };

  static bool is_in_first_step(const Rank& rank);
  void learn_end(Rank& rank, Phase next, int64_t step, base::Instant ended);
  void skip_blind_time(base::Instant now);
  Look look_at(base::Instant now) const;
  std::optional<Stall> stall_of(Phase phase) const;
  bool is_busy(const Rank& rank) const;
  static void hear_tick(Rank& rank, const Evidence& evidence, base::Instant now);
  static base::Duration mute_for(const Rank& rank);
  static bool holds_lock(const Rank& rank);
  void learn_mute(const Rank& rank, base::Duration lasted);
  std::optional<Finding> keeps_lock(int number, const Rank& rank, const Look& look) const;
  static std::string where_of(const Rank& rank);
  bool waits(const Rank& rank, const Look& look) const;
  std::optional<int> deadlocked(const Look& look) const;
  std::optional<Finding> hang_of(int number, const Rank& rank, const Look& look) const;
  std::optional<Finding> without_link(int number, const Rank& rank, const Look& look) const;
  std::optional<Finding> blame(int number, const Rank& rank, const Look& look) const;
  std::optional<Finding> stuck_in_collective(int number, const Rank& rank, const Look& look) const;
  std::optional<Finding> straggler(int number, Rank& rank, const Look& look) const;

  Settings settings_;
  std::map<int, Rank> ranks_;
  std::array<Quantiles, kPhases> usual_;
  std::array<base::Duration, kPhases> longest_mute_;  ///< that ended by itself
  struct Named {
    int64_t step = -1;
    base::Duration mute;
  };
  /// By rank, the last that was ended for it: where it comes again at the same step, it may have
  /// its reasons.
  std::map<int, Named> named_mutes_;
  bool marks_collectives_ = false;  ///< the script says when it waits for its peers
  std::optional<base::Instant> looked_;
  std::optional<DownLink> down_link_;
};

}  // namespace pelton::decide::health
