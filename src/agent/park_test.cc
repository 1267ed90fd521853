// SPDX-License-Identifier: Apache-2.0
#include "agent/park.h"

#include <gtest/gtest.h>

#include "agent/address_pool.h"
#include "agent/device_ledger.h"
#include "api/yaml.h"

namespace pelton::agent {
namespace {

using base::Json;

base::Result<Park> parse(const std::string& spec) {
  const auto document = api::parse_yaml(
      "apiVersion: pelton.dev/v1alpha1\nkind: Park\nmetadata: {name: small}\nspec:\n" + spec);
  EXPECT_TRUE(document.ok()) << document.status().to_string();
  return parse_park(*document, {.directory = "/parks", .venvs_directory = "/cache/venvs"});
}

constexpr const char* kTypes =
    "  zones: [{name: local-a}]\n"
    "  machineTypes: [{name: tpu-host-1, cpu: '4', memory: 4Gi,"
    " accelerators: {google.com/tpu: 2}, labels: {a: b}}]\n";

TEST(Park, NumbersMachinesInTheOrderOfTheFile) {
  const auto park = parse(std::string(kTypes) +
                          "  machines:\n"
                          "  - {type: tpu-host-1, zone: local-a, count: 2}\n"
                          "  - {type: tpu-host-1, labels: {a: c}}\n");
  ASSERT_TRUE(park.ok()) << park.status().to_string();
  ASSERT_EQ(park->machines.size(), 3u);
  EXPECT_EQ(park->machines[2].node_name, "node-2");
  EXPECT_EQ(park->machines[2].labels.at("a"), "c");
  EXPECT_EQ(park->machines[1].labels.at("a"), "b");
  EXPECT_EQ(park->machines[0].type.accelerators.at("google.com/tpu"), 2);
  EXPECT_EQ(park->find("node-1")->zone, "local-a");
  EXPECT_EQ(take_machines(*park, 2)->machines.size(), 2u);
  EXPECT_FALSE(take_machines(*park, 4).ok());
}

TEST(Park, HoldsMachinesBackUntilTheyAreNeeded) {
  const auto park = parse(std::string(kTypes) +
                          "  machines:\n"
                          "  - {type: tpu-host-1, zone: local-a, count: 2, maxCount: 3}\n"
                          "  - {type: tpu-host-1, count: 1}\n"
                          "  - {type: tpu-host-1, count: 0, maxCount: 1}\n");
  ASSERT_TRUE(park.ok()) << park.status().to_string();
  const auto on_demand = [](const Park& of) {
    std::string names;
    for (const Machine& machine : of.machines) {
      if (machine.is_on_demand) names += machine.node_name + " ";
    }
    return names;
  };
  EXPECT_EQ(on_demand(*park), "node-2 node-4 ");
  const auto again = parse_park(park_to_json(*park), {.directory = "/", .venvs_directory = "/"});
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(on_demand(*again), "node-2 node-4 ");
  const auto taken = take_machines(*park, 1);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(taken->machines.size(), 3U);
  EXPECT_EQ(on_demand(*taken), "node-1 node-2 ");
  EXPECT_EQ(taken->find("node-2")->index, 2);
  EXPECT_FALSE(take_machines(*park, 4).ok());
}

TEST(Park, ReadsBackAsItselfWithAbsolutePaths) {
  const auto park = parse(std::string(kTypes) +
                          "  machines: [{type: tpu-host-1, zone: local-a, count: 2}]\n"
                          "  images:\n"
                          "  - {image: pelton.dev/jax, venv: jax,"
                          " binds: [{from: ../train-gpt, to: /examples}]}\n"
                          "  - {image: x, rootfs: ./roots/x}\n");
  ASSERT_TRUE(park.ok()) << park.status().to_string();
  EXPECT_EQ(park->images[0].path, "/cache/venvs/jax");
  EXPECT_EQ(park->images[0].binds[0].from, "/train-gpt");
  EXPECT_EQ(park->images[1].path, "/parks/roots/x");
  const auto again = parse_park(park_to_json(*park), {.directory = "/", .venvs_directory = "/"});
  ASSERT_TRUE(again.ok()) << again.status().to_string();
  EXPECT_EQ(park_to_json(*again), park_to_json(*park));
}

TEST(Park, SaysWhichFieldIsWrong) {
  const std::string machines = "  machines: [{type: tpu-host-1, count: 1}]\n";
  const struct {
    std::string spec, expected;
  } cases[] = {
      {std::string(kTypes) + "  machines: [{type: gpu, count: 1}]\n",
       "spec.machines[0].type: no machine type \"gpu\""},
      {std::string(kTypes) + "  machines: [{type: tpu-host-1, zone: b}]\n",
       "spec.machines[0].zone: no zone \"b\""},
      {std::string(kTypes) + "  machines: [{type: tpu-host-1, count: -1}]\n",
       "spec.machines[0].count: must be a whole number"},
      {std::string(kTypes) + "  machines: [{type: tpu-host-1, count: 1000}]\n", "at most 250"},
      {std::string(kTypes) + machines + "  prices: []\n", "spec.prices: is no field"},
      {std::string(kTypes) + "  machines: []\n", "spec.machines: names no machine"},
      {std::string(kTypes) + machines + "  images: [{image: a}]\n", "spec.images[0]: says what"},
      {"  machineTypes: [{name: a, cpu: lots, memory: 1Gi}]\n" + machines,
       "spec.machineTypes[0].cpu"},
      {"  machineTypes: [{name: a, cpu: 1, memory: 1Gi, accelerators: {tpu: 1}}]\n" + machines,
       "spec.machineTypes[0].accelerators.tpu"},
  };
  for (const auto& [spec, expected] : cases) {
    const auto park = parse(spec);
    ASSERT_FALSE(park.ok()) << spec;
    EXPECT_NE(park.status().message().find(expected), std::string::npos)
        << park.status().message() << "\n  lacks " << expected;
    EXPECT_TRUE(park.status().message().starts_with("park \"small\": "));
  }
}

TEST(ImageTable, MapsCommonImagesOfAnyTagToTheHost) {
  for (const char* image : {"busybox", "python:3.11", "docker.io/library/debian:12",
                            "library/alpine", "ubuntu@sha256:0123", "docker.io/bash:5@sha256:00"}) {
    const auto rule = resolve_image({}, image);
    ASSERT_TRUE(rule.ok()) << image;
    EXPECT_EQ(rule->kind, ImageRule::Kind::Host) << image;
  }
}

TEST(ImageTable, PrefersTheUsersRuleAndTheOneWithATag) {
  const std::vector<ImageRule> rules = {
      {.image = "python", .kind = ImageRule::Kind::Venv, .path = "/any"},
      {.image = "python:3.12", .kind = ImageRule::Kind::Venv, .path = "/exact"},
      {.image = "localhost:5000/a/b", .kind = ImageRule::Kind::RootFilesystem, .path = "/b"},
  };
  EXPECT_EQ(resolve_image(rules, "python:3.11")->path, "/any");
  EXPECT_EQ(resolve_image(rules, "docker.io/library/python:3.12")->path, "/exact");
  EXPECT_EQ(resolve_image(rules, "localhost:5000/a/b:7")->path, "/b");
}

TEST(ImageTable, TellsHowToMapWhatMapsToNothing) {
  const auto rule = resolve_image({}, "vllm/vllm-openai:v1");
  ASSERT_FALSE(rule.ok());
  EXPECT_NE(rule.status().message().find("{image: \"vllm/vllm-openai\", host: true}"),
            std::string::npos)
      << rule.status().message();
}

TEST(AddressPool, LetsAnAddressRestBeforeItIsUsedAgain) {
  AddressPool pool(0);
  EXPECT_EQ(pod_cidr(0), "10.64.1.0/24");
  EXPECT_EQ(*pool.allocate(), "10.64.1.2");
  pool.release("10.64.1.2");
  EXPECT_EQ(*pool.allocate(), "10.64.1.3");
  EXPECT_TRUE(pool.adopt("10.64.1.5").ok());
  EXPECT_FALSE(pool.adopt("10.64.2.4").ok());
  EXPECT_EQ(*pool.allocate(), "10.64.1.6") << "goes on after what was handed out before";
  for (int i = 0; i < 250; ++i) EXPECT_TRUE(pool.allocate().ok()) << i;
  EXPECT_FALSE(pool.allocate().ok());
  pool.release("10.64.1.77");
  EXPECT_EQ(*pool.allocate(), "10.64.1.77");
}

Json pod_with_tpus(int a, int b) {
  const auto container = [](const char* name, int count) {
    return Json::object(
        {{"name", name},
         {"resources", Json::object({{"limits", Json::object({{"google.com/tpu", count}})}})}});
  };
  return Json::object(
      {{"spec",
        Json::object({{"containers", Json::array({container("a", a), container("b", b)})}})}});
}

TEST(DeviceLedger, GivesEachDeviceToOneContainerOnly) {
  DeviceLedger ledger({{"google.com/tpu", 4}});
  const auto first = ledger.admit("p1", pod_with_tpus(2, 1));
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->at("a").at("google.com/tpu"), (std::vector<int>{0, 1}));
  EXPECT_EQ(first->at("b").at("google.com/tpu"), (std::vector<int>{2}));
  EXPECT_EQ(*ledger.admit("p1", pod_with_tpus(2, 1)), *first) << "asking twice takes nothing more";
  const auto second = ledger.admit("p2", pod_with_tpus(1, 1));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().reason(), "UnexpectedAdmissionError");
  EXPECT_TRUE(ledger.admit("p3", pod_with_tpus(1, 0)).ok()) << "a refused pod holds nothing";
  ledger.release("p1");
  EXPECT_EQ(ledger.admit("p2", pod_with_tpus(1, 1))->at("a").at("google.com/tpu").front(), 0);
}

TEST(DeviceLedger, KnowsRecordedDevicesAgain) {
  DeviceLedger before({{"google.com/tpu", 4}});
  const Json record = device_assignment_to_json(*before.admit("p1", pod_with_tpus(2, 1)));
  DeviceLedger after({{"google.com/tpu", 4}});
  ASSERT_TRUE(after.adopt("p1", device_assignment_from_json(record)).ok());
  EXPECT_FALSE(after.adopt("p2", device_assignment_from_json(record)).ok());
  EXPECT_FALSE(after.admit("p2", pod_with_tpus(2, 0)).ok());
  EXPECT_EQ(device_environment({{"google.com/tpu", {0, 2}}}).at("TPU_VISIBLE_CHIPS"), "0,2");
}

}  // namespace
}  // namespace pelton::agent
