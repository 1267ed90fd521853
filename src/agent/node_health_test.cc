// SPDX-License-Identifier: Apache-2.0
#include "agent/node_health.h"

#include <cstdlib>

#include "agent/node_agent_fixture.h"

namespace pelton::agent {
namespace {

constexpr const char* kXid =
    "NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, GPU has fallen off the bus.";

class NodeHealthTest : public NodeAgentTest {
 protected:
  const Json* condition() {
    const Json& node = api_.get("/api/v1/nodes/node-0");
    return api::find_condition(node, kDeviceFault);
  }
  std::vector<Json> findings() {
    std::vector<Json> out;
    for (const Json& event : api_.list("/api/v1/namespaces/default/events/")) {
      if (event.at("involvedObject.kind").as_string() == "Node") out.push_back(event);
    }
    return out;
  }
};

TEST_F(NodeHealthTest, AFatalFaultIsAnEventAndAConditionThatOutlivesTheAgent) {
  wait_until("the node is well", [&] {
    return condition() != nullptr && (*condition())["status"].as_string() == "False";
  });
  kill_agent();
  health_.kernel_log = {"bash", "-c", "for i in 1 2 3; do echo \"$0\"; done; exec sleep 100", kXid};
  start_agent();
  wait_until("the fault is told",
             [&] { return (*condition())["status"].as_string() == "True" && !findings().empty(); });
  EXPECT_EQ((*condition())["reason"].as_string(), "Xid79");
  EXPECT_EQ(findings().size(), 1U) << "three lines, one finding";
  EXPECT_EQ(findings()[0]["reason"].as_string(), "Xid79");
  EXPECT_EQ(findings()[0].at("involvedObject.name").as_string(), "node-0");

  kill_agent();
  health_ = {};
  Json node = api_.get("/api/v1/nodes/node-0");
  node.child("status").set("capacity", Json::object());  // so that its next status can be told
  api_.put("/api/v1/nodes/node-0", node);
  start_agent();
  wait_until("the successor has told its status",
             [&] { return !api_.get("/api/v1/nodes/node-0").at("status.capacity").empty(); });
  EXPECT_EQ((*condition())["status"].as_string(), "True") << "nobody has repaired it";
}

TEST_F(NodeHealthTest, AGpuThatIsLostIsAFaultAsNvidiaSmiTellsIt) {
  kill_agent();
  health_.gpus = {"bash", "-c", "echo 'GPU-1, 00000000:3B:00.0, 0'; echo \"$0\"; exec sleep 100",
                  "GPU-1, 00000000:3B:00.0, [GPU is lost]"};
  start_agent();
  wait_until("the fault is told", [&] {
    return condition() != nullptr && (*condition())["status"].as_string() == "True";
  });
  EXPECT_EQ((*condition())["reason"].as_string(), "DeviceLost");
}

TEST_F(NodeHealthTest, AFullDiskIsAnEvent) {
  const std::string disk = directory_ + "/disk";
  const auto run_now = [](const std::string& command) {
    return std::system(command.c_str());  // NOLINT(cert-env33-c)
  };
  ASSERT_EQ(run_now("mkdir " + disk + " && mount -t tmpfs -o size=16m full " + disk +
                    " && head -c 16700000 /dev/zero > " + disk + "/ballast"),
            0);
  kill_agent();
  health_.disk = disk;
  start_agent();
  wait_until("it is told", [&] { return !findings().empty(); });
  EXPECT_EQ(findings()[0]["reason"].as_string(), "DiskFull");
  EXPECT_EQ((*condition())["status"].as_string(), "False");
  EXPECT_EQ(run_now("umount " + disk), 0);
}

TEST_F(NodeHealthTest, AnotherBootOfTheMachineBeginsAnew) {
  const NodeFacts facts{.boot_id = "second"};
  const api::Condition fault{kDeviceFault, "True", "Xid79", "gone"};
  const Machine machine = options().machine;
  const base::Instant now = world().clock.now();
  Json before = build_node_status(machine, {.boot_id = "first"}, fault, {}, now);
  const auto state = [&](const Json& status) {
    const Json node = Json::object({{"status", status}});
    return (*api::find_condition(node, kDeviceFault))["status"].as_string();
  };
  EXPECT_EQ(state(before), "True");
  EXPECT_EQ(state(build_node_status(machine, {.boot_id = "first"}, {}, before, now)), "True");
  EXPECT_EQ(state(build_node_status(machine, facts, {}, before, now)), "False");
}

}  // namespace
}  // namespace pelton::agent
