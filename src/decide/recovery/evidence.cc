// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/evidence.h"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

namespace pelton::decide::recovery {
namespace {

using Stage = PodReport::Stage;

/// Who fails because a peer has failed does so by an exception or an abort, and a little later.
int class_of(const Failure& failure) {
  static constexpr std::array<std::string_view, 9> kRoots = {"SIGKILL", "OOMKilled", "SIGSEGV",
                                                             "SIGBUS",  "SIGILL",    "SIGFPE",
                                                             "Stopped", "Blocked",   "Spinning"};
  if (failure.rank < 0 || blames_node(failure.cause)) return 0;
  const bool is_root = std::find(kRoots.begin(), kRoots.end(), failure.cause) != kRoots.end();
  return is_root ? 1 : 2;
}

std::string cause_of(const WorkerReport& worker) {
  if (!worker.cause.empty()) return worker.cause;
  if (worker.signal) return "Signal" + std::to_string(*worker.signal);
  if (worker.exit_code) return "Exit" + std::to_string(*worker.exit_code);
  return state_name(worker.state);
}

/// Its supervisor has evidence that it hangs, if only a peer waits for it (decide/health).
bool would_hang(const WorkerReport& worker) {
  return worker.state == WorkerState::Running &&
         (worker.cause == "Blocked" || worker.cause == "Spinning" ||
          worker.cause == "CostOfWaiting");
}

/// It waits for a peer, for longer than is usual, and nobody in its pod is to blame.
bool waits_elsewhere(const WorkerReport& worker) {
  return worker.state == WorkerState::Running && worker.cause == "Late" &&
         worker.phase == "collective";
}

class Reader {
 public:
  explicit Reader(const Observed& observed)
      : observed_(observed), generation_(observed.record.generation) {
    for (const PodFacts& pod : observed.pods) out_.pods.emplace(pod.uid, &pod);
  }

  Evidence read() {
    size_t succeeded = 0;
    for (const Member& member : generation_.members) look_for_waiting(member);
    int next_rank = 0;
    for (const Member& member : generation_.members) {
      const int rank = std::exchange(next_rank, next_rank + member.ranks);
      const auto found = out_.pods.find(member.pod_uid);
      const PodFacts* pod = found == out_.pods.end() ? nullptr : found->second;
      const bool is_current = pod != nullptr && pod->report.generation == generation_.number;
      if (is_current && pod->report.stage == Stage::Succeeded) {
        ++succeeded;
        continue;
      }
      if (is_lost(member, pod, rank)) continue;
      if (const Notice* notice = notice_of(observed_, *pod)) {
        out_.noticed.emplace(member.pod_uid, *notice);
      }
      if (is_current) read_report(member, *pod, rank);
    }
    out_.all_succeeded = succeeded > 0 && succeeded == generation_.members.size();
    // Later evidence may be of those who fell with the first.
    std::stable_sort(out_.failures.begin(), out_.failures.end(),
                     [](const Failure& a, const Failure& b) {
                       return std::make_tuple(class_of(a), a.at, a.rank) <
                              std::make_tuple(class_of(b), b.at, b.rank);
                     });
    return std::move(out_);
  }

 private:
  /// `rank`: the member's first.
  Failure& fail(const Member& member, int rank, std::string cause, std::string detail) {
    Failure failure;
    failure.cause = std::move(cause);
    failure.detail = std::move(detail);
    failure.rank = rank;
    failure.pod_uid = member.pod_uid;
    failure.node = member.node;
    return out_.failures.emplace_back(std::move(failure));
  }

  void look_for_waiting(const Member& member) {
    const auto found = out_.pods.find(member.pod_uid);
    if (found == out_.pods.end()) return;
    const PodReport& report = found->second->report;
    if (report.generation != generation_.number) return;
    is_any_waiting_ = is_any_waiting_ ||
                      std::any_of(report.workers.begin(), report.workers.end(), waits_elsewhere);
  }

  bool is_lost(const Member& member, const PodFacts* pod, int rank) {
    std::string cause;
    if (recovery::is_unreachable(observed_, member.node)) {
      cause = "NodeUnreachable";
    } else if (pod == nullptr) {
      cause = "PodGone";
    } else if (pod->has_ended) {
      cause = "PodEnded";
    } else if (pod->is_leaving) {
      cause = "PodDeleted";
    } else {
      return false;
    }
    out_.lost.insert(member.pod_uid);
    fail(member, rank, cause, "pod " + member.pod + " on node " + member.node);
    return true;
  }

  void read_report(const Member& member, const PodFacts& pod, int rank) {
    const PodReport& report = pod.report;
    if (report.stage == Stage::Refused) {
      out_.refused.insert(member.pod_uid);
      fail(member, rank, report.cause.empty() ? "Refused" : report.cause, report.detail);
      return;
    }
    bool has_failure = false;
    for (const WorkerReport& worker : report.workers) {
      if (!is_failure(worker.state) && !(is_any_waiting_ && would_hang(worker))) continue;
      has_failure = true;
      Failure& failure = fail(member, rank, cause_of(worker), worker.detail);
      failure.rank = worker.rank;
      failure.step = worker.step;
      failure.at = worker.since;
    }
    if (report.stage == Stage::Stopped && !has_failure) {
      fail(member, rank, "Stopped", report.detail);
    }
  }

  const Observed& observed_;
  const Generation& generation_;
  bool is_any_waiting_ = false;  ///< for a peer in another pod
  Evidence out_;
};

}  // namespace

Evidence observe_evidence(const Observed& observed) {
  return Reader(observed).read();
}

const Notice* notice_of(const Observed& observed, const PodFacts& pod) {
  if (pod.notice) return &*pod.notice;
  const auto node = observed.nodes.find(pod.node);
  if (node == observed.nodes.end() || !node->second.notice) return nullptr;
  return &*node->second.notice;
}

bool is_unreachable(const Observed& observed, const std::string& node) {
  const auto found = observed.nodes.find(node);
  return found != observed.nodes.end() && found->second.is_unreachable;
}

bool is_same_failure(const PastGeneration& past, const Failure& failure, bool made_progress) {
  if (past.failure.cause.empty() || past.failure.cause != failure.cause) return false;
  if (failure.step >= 0 && past.failure.step == failure.step) return true;
  return past.failure.rank == failure.rank && !made_progress;
}

bool may_be_of_a_peer(const Failure& failure) {
  static constexpr std::array<std::string_view, 8> kWords = {
      "onnection", "peer", "ocket", "gloo", "NCCL", "UNAVAILABLE", "heartbeat", "timed out"};
  if (class_of(failure) != 2) return false;
  const auto speaks_of = [&](std::string_view word) {
    return failure.detail.find(word) != std::string::npos ||
           failure.cause.find(word) != std::string::npos;
  };
  return failure.cause == "SIGABRT" || std::any_of(kWords.begin(), kWords.end(), speaks_of);
}

bool blames_node(const std::string& cause) {
  static constexpr std::array<std::string_view, 10> kPrefixes = {
      "NodeUnreachable", "NodeSilent", "Xid",          "XID",       "Ecc", "ECC",
      kLinkDown,         "DeviceLost", "DeviceFailed", kHealthCheck};
  return std::any_of(kPrefixes.begin(), kPrefixes.end(),
                     [&](std::string_view prefix) { return cause.starts_with(prefix); });
}

}  // namespace pelton::decide::recovery
