// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/event_expiry/decide_event.h"

#include <gtest/gtest.h>

#include "api/yaml.h"

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

Instant at(const char* time) {
  return *base::parse_time(time);
}

Json event(const std::string& times) {
  return *api::parse_yaml(
      "{apiVersion: v1, kind: Event, metadata: {name: e, namespace: default, uid: u,"
      " resourceVersion: '7', creationTimestamp: '2026-01-01T10:00:00Z'}" +
      times + "}");
}

TEST(EventExpiry, an_event_goes_an_hour_after_it_happened_last) {
  const Json seen_twice = event(", lastTimestamp: '2026-01-01T10:30:00Z'");
  const Decision early = decide_event(seen_twice, kEventTtl, at("2026-01-01T11:29:59Z"));
  EXPECT_TRUE(early.actions.empty());
  EXPECT_EQ(early.look_again, Duration::seconds(1));

  const Decision due = decide_event(seen_twice, kEventTtl, at("2026-01-01T11:30:00Z"));
  ASSERT_EQ(due.actions.size(), 1u);
  EXPECT_EQ(due.actions[0].verb, Action::Verb::Delete);
  EXPECT_EQ(due.actions[0].target.uid, "u");
  EXPECT_EQ(due.actions[0].resource_version, "7");
}

TEST(EventExpiry, a_series_lives_as_long_as_it_goes_on) {
  const Json series = event(
      ", eventTime: '2026-01-01T10:00:00.000001Z',"
      " series: {count: 9, lastObservedTime: '2026-01-01T12:00:00.000000Z'}");
  EXPECT_TRUE(decide_event(series, kEventTtl, at("2026-01-01T12:59:00Z")).actions.empty());
  EXPECT_EQ(decide_event(series, kEventTtl, at("2026-01-01T13:00:00Z")).actions.size(), 1u);
}

TEST(EventExpiry, times_that_are_absent_or_no_times_count_as_its_creation) {
  const Json odd = event(", lastTimestamp: null, eventTime: soon");
  EXPECT_TRUE(decide_event(odd, kEventTtl, at("2026-01-01T10:59:59Z")).actions.empty());
  EXPECT_EQ(decide_event(odd, kEventTtl, at("2026-01-01T11:00:00Z")).actions.size(), 1u);
}

}  // namespace
}  // namespace pelton::decide::workload
