// SPDX-License-Identifier: Apache-2.0
// What is known of a cluster: the objects of some kinds as last seen, with indexes.
//
// Informers write into it, reconcilers read from it, and nobody waits for it. It is always a little
// behind the server; last_seen() says how far, so that whoever has written something can wait until
// the cache shows it. All orders are by namespace and name, so that equal histories read equal.
// One loop; pointers handed out are good until the next change of that object.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "api/selector.h"
#include "base/json.h"

namespace pelton::client {

/// Names one object; an empty namespace is for cluster-scoped kinds.
struct ObjectKey {
  std::string kind;  ///< "Pod"
  std::string namespace_name;
  std::string name;
  auto operator<=>(const ObjectKey&) const = default;
  /// "Pod default/a".
  std::string to_string() const;
};

/// Of an object, from its kind and metadata.
ObjectKey key_of(const base::Json& object);

/// metadata.resourceVersion as a number; 0 where absent. Kubernetes promises that revisions of one
/// resource compare as integers.
uint64_t revision_of(const base::Json& object);

class Cache {
 public:
  using Objects = std::vector<const base::Json*>;
  /// `before` is null for a new object, `after` for one that is gone.
  using Listener =
      std::function<void(std::string_view kind, const base::Json* before, const base::Json* after)>;

  /// `indexed_labels`: label keys by which list_labelled() is quick; others are scanned for.
  explicit Cache(std::vector<std::string> indexed_labels = {});
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Reads. A kind that nobody watches reads as empty.

  /// nullptr where there is none.
  const base::Json* get(std::string_view kind, std::string_view namespace_name,
                        std::string_view name) const;
  /// All of a namespace; "" is all namespaces. Sorted by namespace, then name.
  Objects list(std::string_view kind, std::string_view namespace_name = "") const;
  Objects list(std::string_view kind, std::string_view namespace_name,
               const api::LabelSelector& selector) const;
  /// All whose label `key` is `value`, in every namespace.
  Objects list_labelled(std::string_view kind, std::string_view key, std::string_view value) const;
  /// All that name `owner_uid` in metadata.ownerReferences (as controller or not).
  Objects list_owned_by(std::string_view kind, std::string_view owner_uid) const;
  /// Pods whose spec.nodeName is `node_name`; "" gives those that are bound to no node.
  Objects list_pods_on(std::string_view node_name) const;
  /// Kinds that have a complete list, sorted.
  std::vector<std::string> kinds() const;
  /// Whether a complete list of the kind has arrived.
  bool is_synced(std::string_view kind) const;
  /// Every change of the kind up to this revision is in the cache.
  uint64_t last_seen(std::string_view kind) const;

  // Writes: by informers, and by tests.

  /// Adds or replaces; what is older than what is here is ignored (a duplicated event).
  void put(base::Json object);
  /// Removes; `object` is its last state. Older than what is here: ignored.
  void remove(const base::Json& object);
  /// Makes the kind consist of exactly `objects` as of `revision`, telling the differences.
  void replace(std::string_view kind, base::Json::Array objects, uint64_t revision);
  /// A bookmark: nothing else happened up to `revision`.
  void advance(std::string_view kind, uint64_t revision);
  /// Called after each change, and with nulls after an advance() or replace(). Until the cache
  /// dies.
  void subscribe(Listener listener);

 private:
  struct Entry;
  struct Kind;
  Kind& kind(std::string_view name);
  const Kind* find_kind(std::string_view name) const;
  void index(Kind& kind, const Entry& entry, bool is_added);
  void store(Kind& kind, std::string_view kind_name, const std::string& path, base::Json object);
  void drop(Kind& kind, std::string_view kind_name, const std::string& path);
  void tell(std::string_view kind, const base::Json* before, const base::Json* after);

  std::vector<std::string> indexed_labels_;
  std::map<std::string, std::unique_ptr<Kind>, std::less<>> kinds_;
  std::vector<Listener> listeners_;
};

}  // namespace pelton::client
