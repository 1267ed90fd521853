// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/event_expiry/decide_event.h"

#include <algorithm>

#include "api/object.h"

namespace pelton::decide::workload {

using base::Instant;
using base::Json;

Instant last_seen_of(const Json& event) {
  Instant last = api::creation_time_of(event);
  for (const Json* time : {&event["firstTimestamp"], &event["lastTimestamp"], &event["eventTime"],
                           &event["series"]["lastObservedTime"]}) {
    if (!time->is_string()) continue;
    const auto read = base::parse_time(time->as_string());
    if (read.ok()) last = std::max(last, *read);
  }
  return last;
}

Decision decide_event(const Json& event, base::Duration ttl, Instant now) {
  Decision out;
  if (api::is_being_deleted(event)) return out;
  const Instant due = last_seen_of(event) + ttl;
  if (now < due) {
    out.look_again_in(due - now);
    return out;
  }
  // It may happen again meanwhile: then it is another state, and stays.
  out.remove(event, "it was last seen long ago").resource_version = api::resource_version_of(event);
  return out;
}

}  // namespace pelton::decide::workload
