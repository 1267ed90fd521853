// SPDX-License-Identifier: Apache-2.0
// The store, seen as objects of resources instead of keys and bytes.
//
// Parsed objects are transient; a small cache keeps those that many watchers look at in the same
// moment from being parsed once for each. Used on the loop only.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "api/registry.h"
#include "apiserver/encoding.h"
#include "apiserver/node_room.h"
#include "base/json.h"
#include "store/store.h"

namespace pelton::apiserver {

using store::Revision;
using JsonPtr = std::shared_ptr<const base::Json>;

/// An object as it was at one revision.
struct Stored {
  JsonPtr object;
  store::Bytes bytes;
  Revision revision = 0;
};

/// One change of a transaction.
struct Write {
  const api::ResourceInfo* resource = nullptr;  ///< the one that is stored
  std::string ns;                               ///< "" for cluster-scoped
  std::string name;
  JsonPtr object;         ///< as it will be; of a remove: its last state
  EncodedObject encoded;  ///< of it; where it has no bytes, commit() encodes the object
  Revision expected = 0;  ///< what was read; 0: the object must be absent
  bool is_remove = false;
};

/// An object that must still be as it was read, though it is not changed.
struct Unchanged {
  const api::ResourceInfo* resource = nullptr;
  std::string ns;
  std::string name;
  Revision revision = 0;
};

/// What a transaction that became durable was about.
struct Committed {
  bool has_definitions = false;  ///< CustomResourceDefinitions
  bool has_custom = false;       ///< objects of custom kinds
  bool has_namespaces = false;
  bool has_removals = false;
};

class Objects {
 public:
  explicit Objects(store::Store& store) : store_(store) {}

  /// The newest durable state. NotFound in Kubernetes' words.
  base::Result<Stored> get(const api::ResourceInfo& resource, std::string_view ns,
                           std::string_view name) const;
  /// Calls `visit` for each object of the namespace ("": all), in order of keys.
  void for_each(const api::ResourceInfo& resource, std::string_view ns,
                const std::function<void(const Stored&)>& visit) const;
  /// "/core/pods/" or "/core/pods/default/".
  static std::string prefix(const api::ResourceInfo& resource, std::string_view ns);

  /// Commits all or nothing; `done` once, later, with the revision of the first write (each
  /// further write has the next). Conflict: something is not as it was read; AlreadyExists: an
  /// object that was to be made is there. RequestEntityTooLarge comes at once, from within.
  void commit(std::vector<Write> writes, std::vector<Unchanged> unchanged,
              std::function<void(base::Result<Revision>)> done);

  /// Called after each commit that was about something in `Committed`, before the writer hears.
  void on_committed(std::function<void(const Committed&)> tell) { *tell_ = std::move(tell); }

  /// The parsed form of stored bytes; (key, revision) names them.
  JsonPtr parse(std::string_view key, Revision revision, const store::Bytes& bytes) const;

  /// What pods take of a node now, writes under way included. `pods`: their resource.
  api::Amounts used_of_node(const api::ResourceInfo& pods, std::string_view node);

  store::Store& store() const { return store_; }

 private:
  struct CacheLine {
    std::string key;
    Revision revision = 0;
    JsonPtr object;
  };
  static constexpr size_t kCacheLines = 512;

  store::Store& store_;
  std::shared_ptr<std::function<void(const Committed&)>> tell_ =
      std::make_shared<std::function<void(const Committed&)>>();   ///< as room_
  std::shared_ptr<NodeRoom> room_ = std::make_shared<NodeRoom>();  ///< commits outlive us
  mutable std::vector<CacheLine> cache_{kCacheLines};
};

}  // namespace pelton::apiserver
