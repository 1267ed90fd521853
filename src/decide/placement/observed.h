// SPDX-License-Identifier: Apache-2.0
// What the scheduler knows: free room on nodes, pods without a node, and gangs.
//
// Made from objects of the API by observe(); pure values, so that a decision can be printed,
// replayed and tested by table. Identical pods share one Shape, because what they ask of a node is
// the same and is looked at once.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "api/selector.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::placement {

inline constexpr const char* kJobSetUidLabel = "jobset.sigs.k8s.io/jobset-uid";
inline constexpr const char* kJobSetNameLabel = "jobset.sigs.k8s.io/jobset-name";
inline constexpr const char* kReplicatedJobLabel = "jobset.sigs.k8s.io/replicatedjob-name";
inline constexpr const char* kRestartAttemptLabel = "jobset.sigs.k8s.io/restart-attempt";
/// Where a gang's pod belongs, written down before any of the gang is bound (on a Kubernetes
/// without gang bindings).
inline constexpr const char* kPlannedNodeAnnotation = "pelton.dev/planned-node";

/// Resource -> amount: cpu in thousandths, everything else in whole units. "pods" counts pods.
using Amounts = std::map<std::string, int64_t, std::less<>>;

struct Taint {
  std::string key, value, effect;
  auto operator<=>(const Taint&) const = default;
  std::string to_string() const;  ///< "key: value", as in messages
};

struct Toleration {
  std::string key, op, value, effect;
  bool tolerates(const Taint& taint) const;
};

struct Node {
  std::string name;
  base::Json labels;
  std::vector<Taint> taints;
  bool is_unschedulable = false;
  bool is_ready = true;  ///< false only where the node says so
  Amounts allocatable;
  Amounts used;                              ///< by pods bound here that have not ended
  std::map<std::string, int> pods_by_group;  ///< of those, by Pod::group
};

/// One term of required node affinity; terms are alternatives.
struct AffinityTerm {
  api::LabelSelector labels;
  api::LabelSelector fields;  ///< over {"metadata.name": …}
  bool is_empty = false;      ///< matches nothing
};

/// What a pod asks of a node.
struct Shape {
  Amounts requests;
  api::LabelSelector node_selector;
  bool has_affinity = false;
  std::vector<AffinityTerm> affinity;
  std::vector<Toleration> tolerations;
};

/// A pod that is to be bound.
struct Pod {
  std::string namespace_name, name, uid;
  int64_t priority = 0;
  base::Instant created;
  size_t shape = 0;          ///< index into Observed::shapes
  std::string gang;          ///< Gang::id, or "" for a pod on its own
  std::string job_uid;       ///< controller's uid
  std::string group;         ///< pods of one group are spread: the gang, or the controller
  std::string planned_node;  ///< as recorded, or ""
  bool is_gated = false;     ///< has spec.schedulingGates
  std::string full_name() const { return namespace_name + "/" + name; }
};

/// A Job of a gang's current attempt.
struct GangJob {
  std::string name;
  int64_t expected_pods = 0;  ///< that must exist and not have ended
  bool is_started = false;    ///< a pod of it has, or had, a node
};

/// The pods of one attempt of a JobSet.
struct Gang {
  std::string id;  ///< "<jobset uid>/<attempt>"
  std::string namespace_name;
  std::string name;                     ///< of the JobSet
  bool is_outdated = false;             ///< a later attempt has begun
  int64_t expected_jobs = 0;            ///< that the startup policy admits now
  int64_t existing_jobs = 0;            ///< of those, not suspended
  std::map<std::string, GangJob> jobs;  ///< by uid
};

struct Observed {
  std::vector<Node> nodes;  ///< sorted by name
  std::vector<Shape> shapes;
  std::vector<Pod> pending;           ///< sorted by namespace, name
  std::map<std::string, Gang> gangs;  ///< of the pending pods, by id
};

using Objects = std::vector<const base::Json*>;

/// `pods`: all; `jobs`, `jobsets`: all, or at least those that own pending pods. Pods that have
/// ended, are being deleted before they have a node, or name another scheduler are left out.
Observed observe(const Objects& nodes, const Objects& pods, const Objects& jobs,
                 const Objects& jobsets);

/// What a pod's containers request together, init containers and overhead included.
Amounts requests_of(const base::Json& pod);
/// "4", "500m", "8Gi".
std::string format_amount(std::string_view resource, int64_t amount);
/// Has a domain ("google.com/tpu"): bought for itself, and stranded where it lies idle.
bool is_accelerator(std::string_view resource);

}  // namespace pelton::decide::placement
