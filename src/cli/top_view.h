// SPDX-License-Identifier: Apache-2.0
// What `pelton top` shows: rows from what the API lists, then JSON or lines of a screen. Pure.
//
// Cells mean what they mean in `kubectl get` (api/columns.h) and in the scheduler
// (api/pod_resources.h); usage is that of `kubectl top`.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/pod_resources.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::cli {

struct TopLists {
  base::Json::Array nodes, pods, jobsets;  ///< of all namespaces
  /// Items of metrics.k8s.io; none where it is not served, or has not answered.
  base::Json::Array node_metrics, pod_metrics;
};

/// cpu (thousandths) and memory (bytes) as measured.
struct Usage {
  int64_t cpu_milli = 0;
  int64_t memory_bytes = 0;
};

/// How much of something is taken, of how much.
struct Share {
  int64_t used = 0;
  int64_t total = 0;
  bool operator==(const Share&) const = default;
};

struct NodeRow {
  std::string name;
  std::string status;  ///< "Ready", "NotReady,SchedulingDisabled"
  bool is_ready = false;
  bool has_virtual_accelerators = false;
  std::map<std::string, Share> accelerators;  ///< by resource: requested by pods, of allocatable
  std::optional<Usage> usage;
  api::Amounts requested;    ///< by the pods bound to it that have not ended
  api::Amounts allocatable;  ///< cpu in thousandths
};

struct JobSetRow {
  std::string namespace_name, name;
  std::string state;  ///< Completed, Failed, Suspended, Terminating, Pending, Starting, Running
  int64_t restarts = 0;
  Share workers;  ///< pods that are ready, of those that the JobSet asks for
  std::string age;
  std::string created;  ///< metadata.creationTimestamp
};

struct PodRow {
  std::string namespace_name, name;
  std::string node;      ///< "" before it has one
  std::string phase;     ///< "Pending", "Running", …
  std::string status;    ///< kubectl's word: "CrashLoopBackOff"
  std::string reason;    ///< why it does not run yet; "" otherwise
  std::string restarts;  ///< with when the last one was: "2 (5m ago)"
  std::optional<Usage> usage;
  std::string age;
  std::string created;  ///< metadata.creationTimestamp
};

struct TopView {
  base::Instant now;
  std::string namespace_name;      ///< of JobSets and pods; "" is all
  std::vector<NodeRow> nodes;      ///< by name
  std::vector<JobSetRow> jobsets;  ///< those that go on first
  /// Those that wait, those that run (the most CPU first), those that have ended.
  std::vector<PodRow> pods;
};

/// `namespace_name` chooses JobSets and pods; nodes always count the pods of all namespaces.
TopView observe_top(const TopLists& lists, const std::string& namespace_name, base::Instant now);

/// What -o json prints; `pelton top --help` describes it.
base::Json to_json(const TopView& view);

}  // namespace pelton::cli
