// SPDX-License-Identifier: Apache-2.0
// What must hold in every history, judged from outside: from the store's own event stream and from
// the answers that left the server, never from the code under test.
//
//   - resourceVersions grow; none is shown twice
//   - no acknowledged write is lost by a crash of the server
//   - no accelerator is given to two pods: the pods bound to a node and not ended never ask for
//   more
//     than it has, and no more processes live on it
//   - a gang is bound whole: the first time that any of its pods is bound, all of them are
//   - a pod that was bound is not moved, and one that has ended stays as it ended
//   - in the end every JobSet has ended, or says why not
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "store/store.h"

namespace pelton::scenario {

class Checkers {
 public:
  /// An event of the store's stream, in order.
  void on_event(const store::Event& event);
  /// All events of one turn have been seen: what is atomic is complete now.
  void on_turn_end();
  /// The server answered `status` to a write of `key` with this object.
  void on_acknowledged(const std::string& key, uint64_t revision);
  /// Somebody asked to delete it (whatever the answer): its absence is explained.
  void on_delete_asked(const std::string& key) { delete_asked_.insert(key); }
  /// A server opened the store again: this is all that it has.
  void on_reopened(const std::vector<store::Entry>& entries, uint64_t revision);
  /// The server could not start, or refused what it must take.
  void on_server_failed(const std::string& why) {
    if (violations_.empty()) violate(why);
  }
  /// The run is over.
  void on_end();

  const std::vector<std::string>& violations() const { return violations_; }
  /// The present objects of a plural, e.g. "jobsets".
  std::vector<const base::Json*> objects(const std::string& plural) const;

 private:
  struct Stored {
    uint64_t revision = 0;
    base::Json object;
  };
  void violate(std::string what) { violations_.push_back(std::move(what)); }
  void check_pod_change(const std::string& key, const base::Json& before, const base::Json& after);
  void check_node(const std::string& node);
  void check_gang(const std::string& gang);

  std::map<std::string, Stored> state_;  ///< by key
  uint64_t revision_ = 0;
  std::map<std::string, uint64_t> acknowledged_;  ///< key -> newest revision answered
  std::set<std::string> delete_asked_;
  std::map<std::string, std::set<std::string>> pods_on_;   ///< node -> keys of pods bound to it
  std::map<std::string, std::set<std::string>> bound_of_;  ///< gang -> keys of bound pods
  std::set<std::string> started_gangs_;
  std::set<std::string> touched_nodes_, touched_gangs_;
  std::vector<std::string> violations_;
};

}  // namespace pelton::scenario
