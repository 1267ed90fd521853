// SPDX-License-Identifier: Apache-2.0
// What must hold in every history, judged from outside: from the store's own event stream and from
// the requests and answers that pass the server's door, never from the code under test.
//
// Of the store and the server:
//   - resourceVersions grow; none is shown twice
//   - no acknowledged write is lost by a crash of the server, a gang's binding included
//   - a write that names the version it changes was applied to that version: no update is lost
//   - a watcher is told every change exactly once, in order (scenario/observer.h)
// Of the controllers:
//   - no accelerator is given to two pods: the pods bound to a node and not ended never ask for
//     more than it has
//   - a gang is bound whole: once any of its pods was bound, all of them were
//   - no pod of a gang is bound to a node that does not exist
//   - a pod that was bound is not moved, and one that has ended stays as it ended (but a node that
//     was given up may come back and tell how its pods really ended)
//   - a Job counts no pod twice, and is complete only after enough pods have succeeded
//   - what has a living owner is not removed as garbage
//   - a node is called lost if and only if it is silent, whether it has pods or none
// In the end:
//   - every JobSet has ended, or says why not
//   - nothing is left whose owner is gone
//   - what the controllers see, and each node of its pods, is what is stored
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "scenario/history.h"
#include "store/store.h"

namespace pelton::client {
class Cache;
}

namespace pelton::scenario {

/// Annotation of objects that nobody but the garbage collector has reason to remove.
inline constexpr const char* kGarbageOnly = "pelton.dev/garbage-only";

class Checkers {
 public:
  /// An event of the store's stream, in order.
  void on_event(const store::Event& event);
  /// All events of one turn have been seen: what is atomic is complete now.
  void on_turn_end();
  /// The server answered a write of `key` with this revision. `expected`: the version that the
  /// writer named, 0 for none.
  void on_acknowledged(const std::string& key, uint64_t revision, uint64_t expected = 0);
  /// The server acknowledged that the pod of this key and uid is bound.
  void on_bound_acknowledged(const std::string& key, const std::string& uid);
  /// Somebody asked to delete it (whatever the answer): its absence is explained.
  void on_delete_asked(const std::string& key) { delete_asked_.insert(key); }
  /// The user did: also of objects that are garbage only.
  void on_user_delete(const std::string& key) { user_deleted_.insert(key); }
  /// A server opened the store again: this is all that it has. Events since the last that was seen
  /// come after, then on_turn_end().
  void on_reopened(const std::vector<store::Entry>& entries, uint64_t revision);
  /// The server could not start, or refused what it must take.
  void on_server_failed(const std::string& why) {
    if (violations_.empty()) violate(why);
  }
  /// From a calm world: no node may be called lost.
  void expect_no_lost_nodes() { is_calm_ = true; }
  /// The node has been dead for long, with a server and controllers that could see it.
  void on_long_dead(const std::string& node);
  /// Its Node object is there and says so.
  bool is_called_ready(const std::string& node) const;
  /// The run's time is over and not everything has ended.
  void on_end();
  /// Why not everything is at rest yet though all has ended: "" where it is.
  std::string unrest(const client::Cache& seen) const;
  /// The same of what a node sees of its pods.
  std::string unrest_on(const std::string& node, const client::Cache& seen) const;
  /// Who else is to see each change: a key's object before and after, null where it is not there.
  using OnChange = std::function<void(const std::string& key, const base::Json* before,
                                      const base::Json* after)>;
  void also_tell(OnChange on_change) { on_change_ = std::move(on_change); }
  void violate(std::string what) { violations_.push_back(std::move(what)); }

  const std::vector<std::string>& violations() const { return violations_; }
  /// The present objects of a plural, e.g. "jobsets".
  std::vector<const base::Json*> objects(const std::string& plural) const;
  const base::Json* object(const std::string& key) const;
  const History& history() const { return history_; }
  uint64_t revision() const { return revision_; }

 private:
  struct Stored {
    uint64_t revision = 0;
    base::Json object;
  };
  struct Claim {
    std::string key;
    uint64_t revision = 0, expected = 0;
  };
  void on_pod(const store::Event& event, const base::Json& pod, const Stored* before);
  void check_pod_change(const std::string& key, const base::Json& before, const base::Json& after);
  void check_job(const std::string& key, const base::Json& job);
  void check_node_change(const base::Json& before, const base::Json& after);
  void check_removal(const std::string& key, const base::Json& object);
  void check_node(const std::string& node);
  void check_gang(const std::string& gang);
  void check_claims();
  void check_reopened();
  std::string find_orphan() const;
  /// The JobSet whose attempt a gang is; nullptr where it is gone.
  const base::Json* gang_owner(const std::string& gang) const;

  std::map<std::string, Stored> state_;            ///< by key
  std::map<std::string, std::string> key_of_uid_;  ///< of present objects
  History history_;
  uint64_t revision_ = 0;
  std::map<std::string, uint64_t> acknowledged_;           ///< key -> newest revision answered
  std::map<std::string, std::string> bound_acknowledged_;  ///< key -> uid of pods
  std::vector<Claim> claims_;                              ///< not yet checked
  std::set<std::string> delete_asked_, user_deleted_;
  std::map<std::string, std::set<std::string>> pods_on_;         ///< node -> keys of pods bound
  std::map<std::string, std::set<std::string>> ever_bound_;      ///< gang -> uids
  std::map<std::string, std::set<std::string>> ever_succeeded_;  ///< uid of Job -> uids of pods
  std::set<std::string> started_gangs_;
  std::set<std::string> touched_nodes_, touched_gangs_;
  std::map<std::string, uint64_t> reopened_;  ///< key -> revision, to be reached by events
  bool is_reopened_ = false, is_calm_ = false;
  std::vector<std::string> violations_;
  OnChange on_change_;
};

}  // namespace pelton::scenario
