// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/endpoints/decide_endpoints.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "api/yaml.h"
#include "decide/workload/test_cluster.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

Json service(const std::string& spec) {
  return Json::object({{"apiVersion", "v1"},
                       {"kind", "Service"},
                       {"metadata", Json::object({{"name", "net"},
                                                  {"namespace", "default"},
                                                  {"uid", "u1"},
                                                  {"labels", Json::object({{"l", "m"}})}})},
                       {"spec", *api::parse_yaml(spec)}});
}

Json pod(const std::string& name, const std::string& more_status,
         const std::string& more_spec = "") {
  return *api::parse_yaml("{apiVersion: v1, kind: Pod, metadata: {name: " + name +
                          ", namespace: default, uid: p-" + name + "}, spec: {nodeName: n0" +
                          more_spec + "}, status: {phase: Running" + more_status + "}}");
}

constexpr const char* kReady = ", podIP: 10.0.0.1, conditions: [{type: Ready, status: 'True'}]";

Decision decide(const Json& service, const std::vector<Json>& pods,
                const std::vector<Json>& slices = {}) {
  EndpointsObserved observed;
  observed.service = &service;
  for (const Json& pod : pods) observed.pods.push_back(&pod);
  for (const Json& slice : slices) observed.slices.push_back(&slice);
  return decide_endpoints(observed);
}

TEST(Endpoints, a_headless_slice_carries_hostnames_for_dns) {
  const Json net = service("{clusterIP: None, selector: {a: b}}");
  const Decision decision =
      decide(net, {pod("w1", kReady, ", hostname: job-workers-0-1, subdomain: net"),
                   pod("w0", kReady, ", hostname: job-workers-0-0, subdomain: other")});
  ASSERT_EQ(decision.actions.size(), 1u);
  const Json& slice = decision.actions[0].object;
  EXPECT_EQ(api::label_of(slice, "kubernetes.io/service-name"), "net");
  EXPECT_EQ(api::label_of(slice, "l"), "m");
  EXPECT_TRUE(api::labels_of(slice).contains("service.kubernetes.io/headless"));
  EXPECT_TRUE(api::is_controlled_by(slice, net));
  EXPECT_TRUE(api::name_of(slice).starts_with("net-"));
  ASSERT_EQ(slice["endpoints"].size(), 2u);
  const Json& first = slice["endpoints"].items()[0];
  EXPECT_EQ(first.at("targetRef.name").as_string(), "w0");
  EXPECT_FALSE(first.contains("hostname")) << "its subdomain is another";
  const Json& second = slice["endpoints"].items()[1];
  EXPECT_EQ(second["hostname"].as_string(), "job-workers-0-1");
  EXPECT_EQ(second["addresses"].items()[0].as_string(), "10.0.0.1");
  EXPECT_EQ(second["nodeName"].as_string(), "n0");
  EXPECT_EQ(second.at("targetRef.uid").as_string(), "p-w1");
}

TEST(Endpoints, conditions_follow_readiness_deletion_and_publish_not_ready_addresses) {
  Json leaving = pod("c", kReady);
  leaving.child("metadata").set("deletionTimestamp", "2026-01-01T00:00:00Z");
  struct Case {
    const char* spec;
    Json pod;
    bool ready, serving, terminating;
  };
  const std::vector<Case> cases = {
      {"{selector: {a: b}}", pod("a", kReady), true, true, false},
      {"{selector: {a: b}}", pod("b", ", podIP: 10.0.0.2"), false, false, false},
      {"{selector: {a: b}}", leaving, false, true, true},
      {"{selector: {a: b}, publishNotReadyAddresses: true}", pod("b", ", podIP: 10.0.0.2"), true,
       false, false},
      {"{selector: {a: b}, publishNotReadyAddresses: true}", leaving, true, true, true}};
  for (const Case& c : cases) {
    const Decision decision = decide(service(c.spec), {c.pod});
    const Json& slice = decision.actions.at(0).object;
    const Json& conditions = slice["endpoints"].items().at(0)["conditions"];
    EXPECT_EQ(conditions["ready"].as_bool(), c.ready) << c.spec << c.pod.dump();
    EXPECT_EQ(conditions["serving"].as_bool(), c.serving);
    EXPECT_EQ(conditions["terminating"].as_bool(), c.terminating);
  }
}

TEST(Endpoints, pods_without_address_or_that_have_ended_are_left_out) {
  Json ended = pod("e", kReady);
  ended.child("status").set("phase", "Succeeded");
  const Decision decision = decide(service("{selector: {a: b}}"), {ended, pod("n", "")});
  ASSERT_EQ(decision.actions.size(), 1u) << "an empty slice tells that there is none";
  EXPECT_EQ(decision.actions[0].object["endpoints"].size(), 0u);
}

TEST(Endpoints, ports_lead_to_numbers_and_to_names_of_the_pods) {
  const Decision decision = decide(
      service("{selector: {a: b}, ports: [{name: x, port: 80, targetPort: web, protocol: TCP},"
              " {name: y, port: 90, targetPort: 91}, {name: z, port: 99, targetPort: none}]}"),
      {pod("a", kReady, ", containers: [{ports: [{name: web, containerPort: 8080}]}]")});
  const Json& ports = decision.actions.at(0).object["ports"];
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_EQ(ports.items()[0]["port"].as_int(), 8080);
  EXPECT_EQ(ports.items()[1]["port"].as_int(), 91);
}

TEST(Endpoints, a_slice_that_is_right_is_left_and_one_that_is_not_is_updated) {
  const Json net = service("{selector: {a: b}}");
  Json slice = decide(net, {pod("a", kReady)}).actions.at(0).object;
  slice.child("metadata").set("resourceVersion", "7");
  EXPECT_TRUE(decide(net, {pod("a", kReady)}, {slice}).actions.empty());
  const Decision decision = decide(net, {pod("a", ", podIP: 10.0.0.9")}, {slice});
  ASSERT_EQ(decision.actions.size(), 1u);
  EXPECT_EQ(decision.actions[0].verb, Action::Verb::Update);
  EXPECT_EQ(api::resource_version_of(decision.actions[0].object), "7");
}

TEST(Endpoints, many_pods_take_several_slices_and_fewer_give_them_back) {
  const Json net = service("{selector: {a: b}}");
  std::vector<Json> pods;
  for (int i = 0; i < 150; ++i) pods.push_back(pod("p" + std::to_string(1000 + i), kReady));
  std::vector<Json> slices;
  for (const Action& action : decide(net, pods).actions) slices.push_back(action.object);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0]["endpoints"].size() + slices[1]["endpoints"].size(), 150u);
  pods.resize(100);
  const Decision fewer = decide(net, pods, slices);
  ASSERT_EQ(fewer.actions.size(), 1u);
  EXPECT_EQ(fewer.actions[0].verb, Action::Verb::Delete);
}

TEST(Endpoints, services_without_selector_have_none_of_ours) {
  EXPECT_TRUE(decide(service("{clusterIP: None}"), {}).actions.empty());
  EXPECT_TRUE(decide(service("{type: ExternalName, selector: {a: b}}"), {}).actions.empty());
}

}  // namespace
}  // namespace pelton::decide::workload
