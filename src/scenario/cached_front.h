// SPDX-License-Identifier: Apache-2.0
// What stands between a caller and the API server where the server is behind a cache and the
// network is bad: lists and gets of a while ago, watches that lag, stutter and end.
//
// It stays within what a client has to bear: a list is never older than what the same process of
// the caller was shown of that collection before, events of one watch keep their order and none is
// left out, and a watch that is cut can be resumed. Lists without a version are promised to be the
// newest, and the controllers' caches begin with them: those are not touched for callers who rely
// on it.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "base/rng.h"
#include "net/http.h"
#include "scenario/spec.h"
#include "store/store.h"
#include "world/world.h"

namespace pelton::scenario {

class CachedFront : public std::enable_shared_from_this<CachedFront> {
 public:
  /// One per caller. All must outlive it.
  CachedFront(const Spec& spec, const world::World& world, const store::Store& store, base::Rng rng,
              bool has_stale_lists);
  /// Passes the request on to `next`, or answers it from the past.
  void handle(net::Request request, net::ResponseSinkPtr sink, const net::Handler& next);
  /// The caller's process is a new one: it has been shown nothing.
  void forget() { shown_.clear(); }

 private:
  class WatchSink;
  store::Revision stale_revision(const std::string& collection);
  bool answer_stale_get(const net::Request& request, const net::ResponseSinkPtr& sink);
  void make_list_stale(net::Request& request, const std::string& collection);

  const Spec& spec_;
  const world::World& world_;
  const store::Store& store_;
  base::Rng rng_;
  const bool has_stale_lists_;
  std::deque<std::pair<base::Duration, store::Revision>> past_;  ///< when it was the newest
  std::map<std::string, store::Revision> shown_;                 ///< by collection: at least so new
};

/// The store's key of the object that a path names, "" where it names none.
std::string store_key_of_path(std::string_view path);

}  // namespace pelton::scenario
