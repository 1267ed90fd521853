// SPDX-License-Identifier: Apache-2.0
// For tests of an agent with real pods in real sandboxes. They need root, iproute2 and bubblewrap,
// and are skipped without. The test executable plays the `pelton` program for the agents: its
// main() is in node_agent_test.cc.
#pragma once
#include <gtest/gtest.h>

#include "agent/cri_log.h"
#include "agent/fake_api.h"
#include "agent/node_agent.h"
#include "api/object.h"
#include "api/yaml.h"
#include "client/in_process.h"
#include "os/self.h"
#include "os/test_world.h"

namespace pelton::agent {

using base::Duration;
using base::Json;

class NodeAgentTest : public os::RealWorldTest {
 protected:
  void SetUp() override {
    if (!os::is_root()) GTEST_SKIP() << "real pods need root";
    const auto tools = find_tools_or_skip();
    if (!tools.ok()) GTEST_SKIP() << tools.message();
    network_ = cluster_network_of(data());
    create_cluster_network(world().processes, network_, [this](base::Status status) {
      EXPECT_TRUE(status.ok()) << status.to_string();
      stop();
    });
    run();
    start_agent();
  }
  void TearDown() override {
    if (network_.name.empty()) return;
    agent_.reset();
    delete_cluster_network(world().processes, network_, [this](base::Status status) {
      EXPECT_TRUE(status.ok()) << status.to_string();
      stop();
    });
    run();
    // The shims record the ends of what was killed; after that nothing writes there.
    wait_until("every shim has ended", [this] { return live_shims() == 0; });
  }

  base::Status find_tools_or_skip();
  std::string data() const { return directory_ + "/data"; }
  std::string node() const { return data() + "/nodes/node-0"; }

  AgentOptions options() {
    Machine machine{.node_name = "node-0", .index = 0, .zone = "local-a"};
    machine.type = {.name = "tpu-host-1",
                    .cpu = api::Quantity::of(4),
                    .memory = api::Quantity::of_bytes(int64_t{4} << 30),
                    .accelerators = {{"google.com/tpu", 1}}};
    LifecycleOptions lifecycle;
    lifecycle.first_backoff = Duration::milliseconds(300);
    lifecycle.config_retry = Duration::milliseconds(100);
    return {.machine = machine,
            .images = {{.image = "rooted",
                        .kind = ImageRule::Kind::RootFilesystem,
                        .path = directory_ + "/rootfs"}},
            .data_directory = data(),
            .executable = os::executable_path(),
            .lifecycle = lifecycle,
            .log_limits = log_limits_,
            .health = health_};
  }
  void start_agent() {
    transport_ = std::make_unique<client::InProcessTransport>(
        api_.handler(), net::Identity{"system:node:node-0", {"system:nodes"}}, world().timers);
    agent_ = std::make_unique<NodeAgent>(world(), *transport_, options(), KubeletFront{});
    agent_->start([this](base::Status status) {
      EXPECT_TRUE(status.ok()) << status.to_string();
      stop();
    });
    run();
  }
  /// As kill -9 of the agent's process does: nothing is said to anybody.
  void kill_agent() { agent_.reset(); }

  static std::string path_of(const std::string& pod) {
    return "/api/v1/namespaces/default/pods/" + pod;
  }
  void create_pod(const std::string& name, const std::string& spec, const Json& labels = {}) {
    auto pod = api::parse_yaml("{apiVersion: v1, kind: Pod}");
    const auto parsed = api::parse_yaml(spec);
    ASSERT_TRUE(parsed.ok()) << parsed.status().to_string();
    pod->set("metadata", Json::object({{"name", name},
                                       {"namespace", "default"},
                                       {"uid", "uid-" + name},
                                       {"labels", Json::object({{"app", name}})}}));
    for (const auto& [key, value] : labels.members()) {
      pod->child("metadata").child("labels").set(key, value);
    }
    pod->set("spec", *parsed);
    pod->child("spec").set("nodeName", "node-0");
    api_.put(path_of(name), *pod);
  }
  /// One container "main" that runs a shell script.
  void create_script(const std::string& name, const std::string& script,
                     const std::string& more = "", const Json& labels = {}) {
    Json container = Json::object(
        {{"name", "main"}, {"image", "busybox"}, {"command", Json::array({"bash", "-c", script})}});
    const auto extra = api::parse_yaml("{" + more + "}");
    ASSERT_TRUE(extra.ok()) << extra.status().to_string();
    Json spec = *extra;
    for (const auto& [field, value] : spec["container"].members()) container.set(field, value);
    spec.erase("container");
    spec.set("containers", Json::array({container}));
    if (!spec.contains("restartPolicy")) spec.set("restartPolicy", "Never");
    create_pod(name, spec.dump(), labels);
  }
  const Json& status(const std::string& pod) const { return api_.get(path_of(pod))["status"]; }
  std::string phase(const std::string& pod) const { return status(pod)["phase"].as_string(); }
  const Json& container(const std::string& pod) const {
    return status(pod)["containerStatuses"][size_t{0}];
  }

  /// Runs the loop until the condition holds; looks after every change that the loop brings.
  void wait_until(const std::string& what, const std::function<bool()>& condition) {
    bool is_met = false;
    world::Timer again(world().timers);
    std::function<void()> look = [&] {
      is_met = condition();
      if (is_met) return stop();
      again.start(Duration::milliseconds(5), [&look] { look(); });
    };
    look();
    if (!is_met) run();
    std::string pods;
    for (const Json& pod : api_.list("/api/v1/namespaces/default/pods/")) {
      pods += pod["status"].dump() + "\n";
    }
    for (const Json& event : api_.list("/api/v1/namespaces/default/events/")) {
      pods += event["reason"].as_string() + ": " + event["message"].as_string() + "\n";
    }
    ASSERT_TRUE(is_met) << "did not happen: " << what << "; the pods:\n" << pods;
  }
  void wait_for_phase(const std::string& pod, const std::string& wanted) {
    wait_until(pod + " is " + wanted, [&] { return phase(pod) == wanted; });
  }
  /// What the container has printed, without the records' heads.
  std::string output(const std::string& pod, int attempt = 0) {
    const auto log = world().files.read(
        ContainerPaths(PodPaths(node(), "uid-" + pod).attempt("main", attempt)).log());
    return log.ok() ? CriLogReader({}).read(*log) : "";
  }
  int live_shims() {
    int count = 0;
    const auto entries = world().files.list("/proc");
    for (const auto& entry : *entries) {
      const auto command = world().files.read("/proc/" + entry.name + "/cmdline");
      if (command.ok() && command->find("container-shim") != std::string::npos &&
          command->find(data()) != std::string::npos) {
        ++count;
      }
    }
    return count;
  }

  LogLimits log_limits_;
  HealthSources health_;
  FakeApi api_;
  ClusterNetwork network_;
  std::unique_ptr<client::InProcessTransport> transport_;
  std::unique_ptr<NodeAgent> agent_;
};

inline base::Status NodeAgentTest::find_tools_or_skip() {
  for (const char* tool : {"/usr/bin/bwrap", "/usr/bin/nsenter"}) {
    if (!world().files.exists(tool)) return base::not_found(std::string(tool) + " is missing");
  }
  return base::ok();
}

}  // namespace pelton::agent
