// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/service_account/decide_default_account.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "api/yaml.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

const Json kNamespace = *api::parse_yaml("{apiVersion: v1, kind: Namespace, metadata: {name: a}}");
const Json kGoing = *api::parse_yaml(
    "{apiVersion: v1, kind: Namespace,"
    " metadata: {name: a, deletionTimestamp: '2026-01-01T00:00:00Z'}}");
const Json kAccount = *api::parse_yaml(
    "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default, namespace: a}}");

TEST(DefaultAccount, is_made_where_a_namespace_lacks_it) {
  const Decision decision = decide_default_account(kNamespace, nullptr);
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].verb, Action::Verb::Create);
  EXPECT_EQ(decision.actions[0].object, kAccount);
}

TEST(DefaultAccount, is_left_as_it_is) {
  EXPECT_TRUE(decide_default_account(kNamespace, &kAccount).actions.empty());
}

TEST(DefaultAccount, does_not_come_back_into_a_namespace_that_goes) {
  EXPECT_TRUE(decide_default_account(kGoing, nullptr).actions.empty());
}

}  // namespace
}  // namespace pelton::decide::workload
