// SPDX-License-Identifier: Apache-2.0
// What the decision about one JobSet looks at.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "decide/recovery/job_record.h"
#include "decide/recovery/policy.h"
#include "decide/recovery/records.h"

namespace pelton::decide::recovery {

/// Somebody will take a node or pod away.
struct Notice {
  std::string reason;
  std::optional<base::Instant> deadline;  ///< absent: nobody says when
};

struct PodFacts {
  std::string name, uid, node, address;
  int64_t order = 0;  ///< global index of its Job, then its completion index
  base::Instant created;
  bool has_joined = false;        ///< its supervisor has reported
  bool has_ended = false;         ///< phase Succeeded or Failed
  bool is_leaving = false;        ///< being deleted
  bool is_unschedulable = false;  ///< and nobody has asked for a machine for it
  std::string expected_node;      ///< that was asked for: it has no node until that is there
  std::optional<Notice> notice;
  PodReport report;
};

struct NodeFacts {
  bool is_unreachable = false;  ///< silent, says the node controller; or there is no such Node
  bool is_quarantined = false;  ///< bears kQuarantineTaint
  std::string rack;             ///< its label kRackLabel
  std::optional<Notice> notice;
  std::optional<base::Instant> heard;  ///< its Lease was renewed last; absent: it has none
  base::Duration lease;                ///< for which that is good
};

struct Observed {
  Policy policy;
  bool is_suspended = false;
  bool has_ended = false;  ///< Completed, Failed or being deleted: nothing is begun any more
  int64_t attempt = 0;     ///< status.restarts of the JobSet
  int wanted_pods = 0;     ///< of all its Jobs
  bool is_every_node_silent = false;       ///< then it is the listener who is deaf
  std::map<Rung, std::string> off;         ///< rungs that the JobSet does not permit, and why
  std::vector<PodFacts> pods;              ///< of this attempt, by `order`, then name
  std::map<std::string, NodeFacts> nodes;  ///< those that pods and members are on
  JobRecord record;       ///< name and uid are set; the rest as it was written last
  NodeMemories memories;  ///< of the policy's nodes
};

/// Keeps pods off a node that has failed too often (effect NoSchedule). Taking it off, by hand or
/// after a repair, forgives the node.
inline constexpr std::string_view kQuarantineTaint = "pelton.dev/quarantine";
/// A node's condition: it goes. The message may begin with an RFC 3339 time, the deadline.
inline constexpr std::string_view kTerminationNotice = "pelton.dev/TerminationNotice";

/// A node's condition: its kernel has reported a fault that makes a device or the node useless; the
/// reason is its cause ("Xid79"). As a notice without a deadline: who trains there is moved to a
/// spare. It stays until the machine is booted again.
inline constexpr const char* kDeviceFault = "pelton.dev/DeviceFault";

/// Reads a pod, a node and a JobSet. `node` may be null: it is taken as unreachable.
PodFacts observe_pod(const base::Json& pod);
NodeFacts observe_node(const base::Json* node);
/// What the node's Lease says; may be null.
void observe_lease(const base::Json* lease, NodeFacts& facts);
/// Fills what stands in the JobSet (everything but policy, pods, nodes, record, memories).
void observe_jobset(const base::Json& jobset, Observed& observed);

}  // namespace pelton::decide::recovery
