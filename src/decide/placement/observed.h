// SPDX-License-Identifier: Apache-2.0
// What the scheduler knows: free room on nodes, pods without a node, and gangs.
//
// Made from objects of the API by observe(); pure values, so that a decision can be printed,
// replayed and tested by table. Identical pods share one Shape, because what they ask of a node is
// the same and is looked at once.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/pod_resources.h"
#include "api/selector.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::placement {

inline constexpr const char* kJobSetUidLabel = "jobset.sigs.k8s.io/jobset-uid";
inline constexpr const char* kJobSetNameLabel = "jobset.sigs.k8s.io/jobset-name";
inline constexpr const char* kReplicatedJobLabel = "jobset.sigs.k8s.io/replicatedjob-name";
inline constexpr const char* kRestartAttemptLabel = "jobset.sigs.k8s.io/restart-attempt";
inline constexpr const char* kJobKeyLabel = "jobset.sigs.k8s.io/job-key";
/// Each Job of the JobSet gets a domain of this node label for itself…
inline constexpr const char* kExclusiveTopology = "alpha.jobset.sigs.k8s.io/exclusive-topology";
/// …unless this says that users' labels and taints do that (then the Job selects its nodes).
inline constexpr const char* kNodeSelectorStrategy = "alpha.jobset.sigs.k8s.io/node-selector";
/// All pods of the replicated job (or Job) in one domain of this node label.
inline constexpr const char* kRequiredTopology = "kueue.x-k8s.io/podset-required-topology";
/// In as few domains of it as possible.
inline constexpr const char* kPreferredTopology = "kueue.x-k8s.io/podset-preferred-topology";
/// Where a gang's pod belongs, written down before any of the gang is bound (on a Kubernetes
/// without gang bindings).
inline constexpr const char* kPlannedNodeAnnotation = "pelton.dev/planned-node";

using api::Amounts;
using api::requests_of;

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

/// One term of node affinity; terms are alternatives.
struct NodeTerm {
  api::LabelSelector labels;
  api::LabelSelector fields;  ///< over {"metadata.name": …}
  bool is_empty = false;      ///< matches nothing
  bool matches(const Node& node) const;
};

struct PreferredNodes {
  NodeTerm term;
  int64_t weight = 0;
};

/// Which pods a rule about other pods means.
struct PodMatcher {
  api::LabelSelector labels;
  bool is_any_namespace = false;
  std::set<std::string, std::less<>> namespaces;
  bool matches(std::string_view namespace_name, const base::Json& pod_labels) const;
};

/// Pods that match all of `matchers`, counted per domain: per value of a label of their nodes.
struct PodTerm {
  std::vector<PodMatcher> matchers;
  std::string topology_key;
  std::string refusal;  ///< what to say of a node that it excludes; "": the usual words
};

struct PreferredPods {
  size_t term = 0;     ///< index into Observed::terms
  int64_t weight = 0;  ///< negative: away from them
};

/// A topologySpreadConstraint.
struct Spread {
  size_t term = 0;
  int64_t max_skew = 1;
  int64_t min_domains = 1;
  bool is_required = true;      ///< DoNotSchedule
  bool honors_affinity = true;  ///< domains of nodes that the pod selects only
  bool honors_taints = false;   ///< …and whose taints it tolerates
};

/// What a pod asks of a node and of the pods there.
struct Shape {
  Amounts requests;
  api::LabelSelector node_selector;
  bool has_affinity = false;
  std::vector<NodeTerm> affinity;
  std::vector<PreferredNodes> preferred_nodes;
  std::vector<Toleration> tolerations;
  /// Groups of terms with a pod in the domain each; a group that no pod matches yet is met by a pod
  /// that matches it itself.
  std::vector<std::vector<size_t>> near;
  std::vector<size_t> apart;  ///< terms without a pod in the domain
  std::vector<PreferredPods> preferred_pods;
  std::vector<Spread> spreads;
  std::string preferred_level;  ///< node label that gangs are packed by, or ""

  bool has_rules() const;        ///< about other pods, that must hold
  bool has_preferences() const;  ///< that say where, so that packing does not
};

/// A pod that is to be bound.
struct Pod {
  std::string namespace_name, name, uid;
  int64_t priority = 0;
  base::Instant created;
  size_t shape = 0;             ///< index into Observed::shapes
  std::vector<size_t> matches;  ///< terms that it matches itself, ascending
  std::string gang;             ///< Gang::id, or "" for a pod on its own
  std::string job_uid;          ///< controller's uid
  std::string group;            ///< pods of one group are spread: the gang, or the controller
  std::string planned_node;     ///< as recorded, or ""
  bool is_gated = false;        ///< has spec.schedulingGates
  std::string full_name() const { return namespace_name + "/" + name; }
};

/// A pod on a node that some term is about.
struct Resident {
  size_t node = 0;              ///< index into Observed::nodes
  std::vector<size_t> matches;  ///< terms that it matches
  std::vector<size_t> apart;    ///< terms whose pods it keeps out of its domain
  bool is_leaving = false;      ///< being deleted
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
  std::vector<PodTerm> terms;
  std::vector<Resident> residents;
  std::vector<Pod> pending;           ///< sorted by namespace, name
  std::map<std::string, Gang> gangs;  ///< of the pending pods, by id
};

using Objects = std::vector<const base::Json*>;

/// The objects that decisions rest on. `pods`: all; `jobs`, `jobsets`: all, or at least those that
/// own pending pods; `namespaces`: all (for namespaceSelector).
struct World {
  Objects nodes, pods, jobs, jobsets, namespaces;
};

/// Pods that have ended, are being deleted before they have a node, or name another scheduler are
/// left out.
Observed observe(const World& world);

/// "4", "500m", "8Gi".
std::string format_amount(std::string_view resource, int64_t amount);
/// Has a domain ("google.com/tpu"): bought for itself, and stranded where it lies idle.
bool is_accelerator(std::string_view resource);

}  // namespace pelton::decide::placement
