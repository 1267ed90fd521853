// SPDX-License-Identifier: Apache-2.0
// What a reconcile wants done: commands with preconditions, as data.
//
// A plan is executed in order and abandoned at the first command that fails: whatever was done is
// observed by the next reconcile, so each prefix of a plan must be a state from which the next
// reconcile goes on. A crash may come between any two commands. Preconditions (uid,
// resourceVersion, names derived from the owner) make a command of a stale view fail, not do harm.
#pragma once
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "client/client.h"

namespace pelton::control {

using client::ObjectKey;
using client::PatchType;
using client::PodBinding;

/// Makes an object. Its name must be derived, so that a second attempt is AlreadyExists.
struct Create {
  base::Json object;
};

/// Replaces an object; its metadata.uid and metadata.resourceVersion are the preconditions, so
/// begin from a copy of what the cache holds.
struct Update {
  base::Json object;
};

/// The same for its status.
struct UpdateStatus {
  base::Json object;
};

/// Replaces spec.finalizers of a Namespace; the same preconditions.
struct Finalize {
  base::Json object;
};

/// For changes of single fields that must not lose to others' writes. Where `uid` or
/// `resource_version` is set they go into the patch as preconditions (Merge, StrategicMerge).
struct Patch {
  ObjectKey key;
  PatchType type = PatchType::Merge;
  base::Json patch;
  std::string subresource;  ///< "" or "status"
  std::string uid;
  std::string resource_version;
};

struct Delete {
  ObjectKey key;
  std::string uid;               ///< precondition; always set it
  std::string resource_version;  ///< precondition where the decision hangs on the whole object
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  ///< "", "Background", "Foreground", "Orphan"
};

/// Changes nothing: goes on only where the server itself has no such object (of that uid). For what
/// must not be done on the word of a view that may be behind.
struct ConfirmAbsent {
  ObjectKey key;
  std::string uid;
};

/// Binds one pod to a node.
struct Bind {
  std::string namespace_name;
  PodBinding binding;
};

/// Binds all pods or none. Where the server has no such resource, the driver records the plan on
/// the pods and rolls it forward: see control/gang_bind.h.
struct GangBind {
  std::string namespace_name;
  std::string gang_name;
  std::vector<PodBinding> bindings;
};

/// Asks for a machine, by the name of the node that it becomes (provider/provider.h).
struct CreateMachine {
  std::string node_name;
};

/// Tells people. Equal events are counted, not repeated. Its failure stops nothing.
struct EmitEvent {
  base::Json regarding;  ///< api::make_object_reference(object)
  bool is_warning = false;
  std::string reason;  ///< "FailedScheduling"
  std::string message;
};

using Command = std::variant<Create, Update, UpdateStatus, Finalize, Patch, Delete, ConfirmAbsent,
                             Bind, GangBind, CreateMachine, EmitEvent>;

struct Plan {
  std::vector<Command> commands;
  /// Reconcile again after this, even if nothing is observed to change.
  std::optional<base::Duration> requeue_after;
  /// Why, in one line, for the log and for people. May be empty where nothing is to be done.
  std::string reason;
};

/// "Create Pod default/a", for logs and tests.
std::string describe(const Command& command);

}  // namespace pelton::control
