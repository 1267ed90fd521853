// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroups.h"

#include <gtest/gtest.h>

#include "api/yaml.h"
#include "os/test_world.h"

namespace pelton::agent {
namespace {

using base::Json;

Json yaml(const std::string& text) {
  const auto value = api::parse_yaml(text);
  EXPECT_TRUE(value.ok()) << value.status().to_string();
  return *value;
}

Json container(const std::string& resources) {
  return yaml("{name: main, resources: " + resources + "}");
}

TEST(CgroupPlan, SetsWhatAKubeletSets) {
  EXPECT_EQ(container_limits(container("{}")), (CgroupLimits{.cpu_shares = 2}));
  EXPECT_EQ(
      container_limits(container("{requests: {cpu: 500m}, limits: {cpu: '2', memory: 64Mi}}")),
      (CgroupLimits{.cpu_shares = 512, .cpu_quota_us = 200'000, .memory_bytes = 64 << 20}));
  EXPECT_EQ(container_limits(container("{limits: {cpu: 1m}}")),
            (CgroupLimits{.cpu_shares = 2, .cpu_quota_us = 1000}))
      << "the kernel takes no less";
}

TEST(CgroupPlan, BoundsAPodOnlyWhereEveryContainerIsBounded) {
  const std::string limited = "{name: a, resources: {limits: {cpu: 500m, memory: 10Mi}}}";
  const std::string sidecar =
      "{name: s, restartPolicy: Always, resources: {limits: {cpu: 250m, memory: 5Mi}}}";
  EXPECT_EQ(pod_limits(
                yaml("{spec: {containers: [" + limited + "], initContainers: [" + sidecar + "]}}")),
            (CgroupLimits{.cpu_shares = 768, .cpu_quota_us = 75'000, .memory_bytes = 15 << 20}));
  EXPECT_EQ(pod_limits(yaml("{spec: {containers: [" + limited + ", {name: b}]}}")),
            (CgroupLimits{.cpu_shares = 512}));
}

constexpr const char* kMountsV1 =
    "30 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "31 25 0:27 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    "33 25 0:29 / /tmp rw - tmpfs tmpfs rw,memory\n";

TEST(CgroupPlan, StaysBelowItsOwnGroupInEveryTreeOfVersion1) {
  const auto home =
      find_cgroup_home("4:memory:/docker/ab/in\n1:cpu,cpuacct:/user\n0::/\n", kMountsV1);
  ASSERT_TRUE(home.ok()) << home.status().to_string();
  EXPECT_EQ(home->version, 1);
  EXPECT_EQ(home->parents(), (std::vector<std::string>{"/sys/fs/cgroup/cpu,cpuacct/user",
                                                       "/sys/fs/cgroup/memory/in"}));
}

TEST(CgroupPlan, TakesVersion2WhereVersion1HasNoMemory) {
  const std::string mounts =
      "30 25 0:26 / /sys/fs/my\\040group rw - cgroup2 cgroup2 rw,nsdelegate\n";
  const auto home = find_cgroup_home("0::/system.slice/pelton.service\n", mounts);
  ASSERT_TRUE(home.ok()) << home.status().to_string();
  EXPECT_EQ(home->version, 2);
  EXPECT_EQ(home->parents(),
            std::vector<std::string>{"/sys/fs/my group/system.slice/pelton.service"});
  EXPECT_EQ(home->top, "/sys/fs/my group");
  EXPECT_FALSE(find_cgroup_home("0::/\n", "1 1 0:1 / / rw - ext4 /dev/a rw\n").ok());
  EXPECT_FALSE(find_cgroup_home("", "garbage - \n- cgroup2\n").ok());
}

TEST(CgroupPlan, ReadsUsageOfBothVersions) {
  CgroupUsage one;
  read_usage_file("cpuacct.usage", "1500\n", one);
  read_usage_file("cpu.stat", "nr_periods 5\n", one);
  read_usage_file("memory.usage_in_bytes", "4096\n", one);
  read_usage_file("memory.stat", "inactive_file 1\ntotal_rss 2048\ntotal_inactive_file 1024\n",
                  one);
  EXPECT_EQ(one.cpu_ns, 1500);
  EXPECT_EQ(one.working_set_bytes, 3072);
  EXPECT_EQ(one.rss_bytes, 2048);
  CgroupUsage two;
  read_usage_file("cpu.stat", "usage_usec 7\nuser_usec 5\n", two);
  read_usage_file("memory.current", "4096\n", two);
  read_usage_file("memory.stat", "anon 100\nfile 9\ninactive_file 5000\n", two);
  EXPECT_EQ(two.cpu_ns, 7000);
  EXPECT_EQ(two.working_set_bytes, 0) << "never below nothing";
  EXPECT_EQ(two.rss_bytes, 100);
  EXPECT_EQ(read_oom_kills("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"), 2);
  EXPECT_EQ(read_oom_kills("oom 1\noom_kill 0\noom_group_kill 3\n"), 0);
}

class CgroupsTest : public os::RealWorldTest {
 protected:
  void SetUp() override { ASSERT_TRUE(world().files.make_directories(path("own")).ok()); }
  std::string read(const std::string& name) {
    const auto text = world().files.read(path("own/" + name));
    return text.ok() ? *text : "none";
  }
};

/// Plain files stand for the kernel's, which cannot be had in version 2 everywhere.
TEST_F(CgroupsTest, OpensEveryLevelOfVersion2ForTheNextAndLimitsTheLast) {
  Cgroups groups(world().files, CgroupHome{.version = 2, .directories = {{"", path("own")}}},
                 "pelton-x");
  ASSERT_TRUE(groups.is_available()) << groups.problem();
  const Json pod = yaml(
      "{metadata: {uid: u1}, spec: {containers: [{name: main, resources: {limits: {cpu: '1', "
      "memory: 1Mi}}}]}}");
  const auto made = groups.make(pod, pod.at("spec.containers")[0], 3);
  ASSERT_TRUE(made.ok()) << made.status().to_string();
  EXPECT_EQ(*made, std::vector<std::string>{path("own/pelton-x/podu1/main-3")});
  for (const char* level : {"", "pelton-x/", "pelton-x/podu1/"}) {
    EXPECT_EQ(read(std::string(level) + "cgroup.subtree_control"), "+cpu +memory") << level;
  }
  EXPECT_EQ(read("pelton-x/podu1/main-3/memory.max"), "1048576");
  EXPECT_EQ(read("pelton-x/podu1/main-3/cpu.max"), "100000 100000");
  EXPECT_EQ(read("pelton-x/podu1/main-3/cpu.weight"), "39");
  EXPECT_EQ(read("pelton-x/podu1/memory.max"), "1048576");
  EXPECT_FALSE(world().files.exists(path("own/pelton-x/podu1/main-3/cgroup.subtree_control")));
}

TEST_F(CgroupsTest, GoesToTheTopOfVersion2WhereItsOwnGroupCannotBeDivided) {
  ASSERT_TRUE(world().files.make_directories(path("own/scope/cgroup.subtree_control")).ok());
  Cgroups groups(
      world().files,
      CgroupHome{.version = 2, .directories = {{"", path("own/scope")}}, .top = path("own")},
      "pelton-x");
  ASSERT_TRUE(groups.is_available()) << groups.problem();
  EXPECT_EQ(read("cgroup.subtree_control"), "+cpu +memory");
  EXPECT_TRUE(world().files.exists(path("own/pelton-x")));
  EXPECT_FALSE(world().files.exists(path("own/scope/pelton-x")));
}

TEST_F(CgroupsTest, SaysWhyAndWhatToDoWhereNothingCanBeMade) {
  ASSERT_TRUE(world().files.replace(path("own/pelton-x"), "in the way").ok());
  Cgroups groups(world().files, CgroupHome{.version = 1, .directories = {{"cpu", path("own")}}},
                 "pelton-x");
  EXPECT_FALSE(groups.is_available());
  EXPECT_NE(groups.problem().find("own/pelton-x"), std::string::npos) << groups.problem();
  EXPECT_NE(groups.problem().find("Delegate=yes"), std::string::npos) << groups.problem();
  const auto made = groups.make(yaml("{metadata: {uid: u1}}"), yaml("{name: main}"), 0);
  ASSERT_TRUE(made.ok());
  EXPECT_TRUE(made->empty());
}

}  // namespace
}  // namespace pelton::agent
