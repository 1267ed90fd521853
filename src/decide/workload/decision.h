// SPDX-License-Identifier: Apache-2.0
// What a workload decision says: which objects to write, in which order, and why.
//
// Every action carries its precondition, so that a decision made from a stale view does nothing:
// a Create has a derived name (a second one is AlreadyExists), an Update carries the
// resourceVersion it was decided from (else Conflict), a Delete the uid (else NotFound or
// Conflict). Whoever executes it may stop between any two actions; the next decision goes on.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/object.h"
#include "base/json.h"
#include "base/time.h"

namespace pelton::decide::workload {

/// One line of `kubectl describe`, under Events.
struct EventNote {
  base::Json about;     ///< an object reference (api::make_object_reference)
  std::string type;     ///< "Normal" or "Warning"
  std::string reason;   ///< "SuccessfulCreate"
  std::string message;  ///< for people
};

struct Action {
  enum class Verb : uint8_t { Create, Update, UpdateStatus, Delete, Finalize, Note };
  Verb verb = Verb::Create;
  /// Whole object; Update, UpdateStatus and Finalize (a Namespace) carry the resourceVersion
  /// observed. A Delete carries none.
  base::Json object;
  api::ObjectRef target;                 ///< of a Delete: with the uid observed
  std::string resource_version;          ///< of a Delete: only in this state, where not empty
  std::optional<int64_t> grace_seconds;  ///< of a Delete; absent: the object's own
  std::string propagation;               ///< of a Delete: "", "Foreground", "Background"
  EventNote note;                        ///< of a Note
  std::string why;                       ///< for `explain` and the log
};

struct Decision {
  std::vector<Action> actions;               ///< in this order; the first that fails ends them
  std::optional<base::Duration> look_again;  ///< decide again after this long, changes or not
  std::string why;                           ///< what the object waits for, in one line

  Action& create(base::Json object, std::string why);
  Action& update(base::Json object, std::string why);
  Action& update_status(base::Json object, std::string why);
  Action& remove(const base::Json& object, std::string why);
  void note(const base::Json& about, std::string type, std::string reason, std::string message);
  void look_again_in(base::Duration delay);  ///< the earliest of several wins
};

}  // namespace pelton::decide::workload
