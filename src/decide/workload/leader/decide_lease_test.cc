// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/leader/decide_lease.h"

#include <gtest/gtest.h>

namespace pelton::decide::workload {
namespace {

using base::Duration;
using base::Instant;
using base::Json;
using Verb = LeaseDecision::Verb;

const Instant kNow = Instant::from_unix_seconds(1'700'000'000);
const LeaseContender kA{"a", "kube-system", "controllers", Duration::seconds(15)};
const LeaseContender kB{"b", "kube-system", "controllers", Duration::seconds(15)};

Json held_by_a() {
  Json lease = decide_lease({}, kA, kNow).lease;
  lease.make("metadata.resourceVersion") = "7";
  return lease;
}

TEST(Lease, is_made_by_the_first_who_comes) {
  const LeaseDecision first = decide_lease({}, kA, kNow);
  EXPECT_EQ(first.verb, Verb::Create);
  EXPECT_EQ(first.lease["metadata"]["name"].as_string(), "controllers");
  EXPECT_EQ(holder_of(first.lease), "a");
  EXPECT_EQ(first.lease["spec"]["leaseDurationSeconds"].as_int(), 15);
  EXPECT_EQ(first.lease["spec"]["leaseTransitions"].as_int(), 0);
  EXPECT_EQ(first.lease["spec"]["acquireTime"].as_string(), base::format_micro_time(kNow));
}

TEST(Lease, its_holder_renews_it_and_stays_who_acquired_it_when) {
  const Json lease = held_by_a();
  const Instant later = kNow + Duration::seconds(2);
  const LeaseDecision renewed = decide_lease({&lease, Duration()}, kA, later);
  EXPECT_EQ(renewed.verb, Verb::Update);
  EXPECT_EQ(renewed.lease["metadata"]["resourceVersion"].as_string(), "7") << "else two may win";
  EXPECT_EQ(renewed.lease["spec"]["renewTime"].as_string(), base::format_micro_time(later));
  EXPECT_EQ(renewed.lease["spec"]["acquireTime"].as_string(), base::format_micro_time(kNow));
  EXPECT_EQ(renewed.lease["spec"]["leaseTransitions"].as_int(), 0);
}

TEST(Lease, of_another_is_waited_for_as_long_as_it_says_since_it_was_seen_unchanged) {
  Json lease = held_by_a();
  lease.make("spec.leaseDurationSeconds") = 40;
  // However old the time in it: that is another machine's clock.
  const Instant much_later = kNow + Duration::hours(9);
  const LeaseDecision wait = decide_lease({&lease, Duration::milliseconds(39'999)}, kB, much_later);
  EXPECT_EQ(wait.verb, Verb::Wait);
  EXPECT_EQ(wait.holder, "a");
  const LeaseDecision taken = decide_lease({&lease, Duration::seconds(40)}, kB, much_later);
  EXPECT_EQ(taken.verb, Verb::Update);
  EXPECT_EQ(holder_of(taken.lease), "b");
  EXPECT_EQ(taken.lease["spec"]["leaseTransitions"].as_int(), 1);
  EXPECT_EQ(taken.lease["spec"]["acquireTime"].as_string(), base::format_micro_time(much_later));
}

TEST(Lease, that_was_released_is_taken_at_once) {
  const Json lease = released(held_by_a(), kNow);
  EXPECT_FALSE(lease["spec"].contains("holderIdentity")) << "an empty one is not valid";
  EXPECT_EQ(decide_lease({&lease, Duration()}, kB, kNow).verb, Verb::Update);
}

}  // namespace
}  // namespace pelton::decide::workload
