// SPDX-License-Identifier: Apache-2.0
// From which point of history a list or watch is to answer: the many meanings of resourceVersion.
//
//   list   unset, 0       the newest state (we have no older cache that 0 could mean)
//          N              at least as new as N, which the newest state is
//          N, Exact       exactly the state at N, or 410
//   watch  unset, 0       everything there is as ADDED, then what happens
//          N              what happens after N, or 410
//          sendInitialEvents=true   as unset, then a bookmark that says: now you have seen it all
// Pure.
#pragma once
#include <cstdint>
#include <string>

#include "apiserver/call.h"
#include "store/store.h"

namespace pelton::apiserver {

struct ListRequest {
  store::Revision at = 0;          ///< exactly this; 0: the newest
  store::Revision not_before = 0;  ///< the state must have this
  size_t limit = 0;                ///< 0: all
  std::string continue_token;
};

struct WatchRequest {
  bool has_initial_events = false;
  bool has_end_of_initial_bookmark = false;
  bool allows_bookmarks = false;
  store::Revision from = 0;        ///< without initial events: after this
  store::Revision not_before = 0;  ///< the state must have this
  int64_t timeout_seconds = 0;     ///< 0: the server's choice
};

/// BadRequest for a number that is none, Invalid (ListOptions) for parameters that do not go
/// together.
base::Result<ListRequest> read_list_request(const Call& call);
base::Result<WatchRequest> read_watch_request(const Call& call);

/// Timeout "Too large resource version" where `wanted` has not happened yet.
base::Status check_not_future(store::Revision wanted, store::Revision newest);

/// The store's error of a list or watch, as clients know it.
base::Status list_failure(const base::Status& error, const ListRequest& list,
                          store::Revision newest);

}  // namespace pelton::apiserver
