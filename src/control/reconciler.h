// SPDX-License-Identifier: Apache-2.0
// A controller as a pure function: from what is known to what is to be done.
//
// A Reconciler says which kinds it watches and which of its keys an object concerns; for a key it
// looks at the cache and returns a Plan. It keeps no state (NodeLifecycleReconciler alone remembers
// when somebody was heard of, and says why), does no I/O and reads no clock: any number of calls
// with any staleness must converge. The Driver does the rest:
//   - a key is reconciled once after start and after each change of an object that maps to it;
//   - never twice at once, and not before the cache shows the key's own former writes;
//   - after a failed command again, later and later.
//
//   class JobReconciler final : public Reconciler {
//     std::string_view name() const override { return "job"; }
//     std::vector<std::string> watched_kinds() const override { return {"Job", "Pod"}; }
//     Keys keys_of(const base::Json& object, const CacheView& view) const override {
//       return keys_of_self_or_controller(object, "Job");
//     }
//     Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const override;
//   };
#pragma once
#include <compare>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/time.h"
#include "client/cache.h"
#include "control/plan.h"

namespace pelton::control {

/// What a reconciler works on; mostly the namespace and name of an object of its own kind.
struct Key {
  std::string namespace_name;
  std::string name;
  auto operator<=>(const Key&) const = default;
  std::string to_string() const { return namespace_name + "/" + name; }
};

using Keys = std::vector<Key>;
/// What is known: see client/cache.h for get(), list(), list_owned_by(), list_labelled(), ….
using CacheView = client::Cache;

class Reconciler {
 public:
  virtual ~Reconciler() = default;
  /// Lower case, unique; it is the component of its events and of log lines.
  virtual std::string_view name() const = 0;
  /// Kinds that must be complete in the cache before the first reconcile, and whose changes count.
  virtual std::vector<std::string> watched_kinds() const = 0;
  /// The keys that a change of `object` (as it was, and as it is) concerns. May be empty.
  virtual Keys keys_of(const base::Json& object, const CacheView& view) const = 0;
  /// Pure. The object of the key may be gone: then the answer is mostly an empty plan.
  virtual Plan reconcile(const Key& key, const CacheView& view, base::Instant now) const = 0;
};

/// {namespace, name} of the object.
Key own_key(const base::Json& object);
/// Own key if the object is of that kind; else the key of its controller if that is of that kind.
Keys keys_of_self_or_controller(const base::Json& object, std::string_view kind);
/// The key of the controller (ownerReferences with controller: true) if it is of that kind.
Keys keys_of_controller(const base::Json& object, std::string_view kind);

}  // namespace pelton::control
