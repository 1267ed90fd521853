// SPDX-License-Identifier: Apache-2.0
// Flags, surroundings and events to what the launcher does, by table.
#include <gtest/gtest.h>

#include "launch/options.h"
#include "launch/park_command.h"
#include "launch/plan.h"

namespace pelton::launch {
namespace {

using Words = std::vector<std::string>;

Options parsed(const Words& words, const Environment& env = {}) {
  const base::Result<Options> options = parse_options(words, env);
  EXPECT_TRUE(options.ok()) << options.status().to_string();
  return options.ok() ? options.value() : Options{};
}

std::string refusal(const Words& words, const Environment& env = {}) {
  const base::Result<Options> options = parse_options(words, env);
  return options.ok() ? "accepted" : options.status().message();
}

std::string value_of(const Environment& env, const std::string& name) {
  const auto found = env.find(name);
  return found == env.end() ? "(unset)" : found->second;
}

// ---- options ----

TEST(RunOptions, DashesUnderscoresAndEqualSignsMeanTheSame) {
  const std::vector<Words> spellings = {{"--nproc-per-node", "4", "--", "x"},
                                        {"--nproc_per_node", "4", "--", "x"},
                                        {"--nproc-per-node=4", "--", "x"},
                                        {"--nproc_per_node=4", "x"}};
  for (const Words& words : spellings) {
    EXPECT_EQ(parsed(words).nproc_per_node, "4");
    EXPECT_EQ(parsed(words).command, Words{"x"});
  }
}

TEST(RunOptions, FlagsOfTheCommandAreItsOwn) {
  const Words command = {"python", "train.py", "--nnodes", "9"};
  EXPECT_EQ(parsed({"--nnodes", "2", "--", "python", "train.py", "--nnodes", "9"}).command,
            command);
  EXPECT_EQ(parsed({"--nnodes", "2", "python", "train.py", "--nnodes", "9"}).command, command);
  EXPECT_EQ(parsed({"--nnodes", "2", "--", "python", "train.py", "--nnodes", "9"}).nnodes, 2);
}

TEST(RunOptions, AScriptWrittenForTorchrunRunsUnderPython) {
  EXPECT_EQ(parsed({"train.py", "--lr", "1"}).command,
            (Words{"python3", "-u", "train.py", "--lr", "1"}));
  EXPECT_EQ(parsed({"-m", "pkg.train"}).command, (Words{"python3", "-u", "-m", "pkg.train"}));
  EXPECT_EQ(parsed({"--no-python", "./train.py"}).command, Words{"./train.py"});
  EXPECT_EQ(parsed({"--", "./train.py"}).command, Words{"./train.py"});
}

TEST(RunOptions, AFlagMayComeFromTheEnvironmentAndIsOverruledByTheCommandLine) {
  const Environment env = {
      {"PET_NNODES", "3"}, {"PET_NPROC_PER_NODE", "2"}, {"PET_STANDALONE", "0"}};
  EXPECT_EQ(parsed({"x"}, env).nnodes, 3);
  EXPECT_EQ(parsed({"--nnodes", "5", "x"}, env).nnodes, 5);
  EXPECT_EQ(parsed({"x"}, env).nproc_per_node, "2");
  EXPECT_FALSE(parsed({"x"}, env).standalone);
}

TEST(RunOptions, TheRendezvousEndpointIsTheMaster) {
  const Options options = parsed({"--rdzv-backend=c10d", "--rdzv-endpoint=head.job:1234", "x"});
  EXPECT_EQ(options.master_addr, "head.job");
  EXPECT_EQ(options.master_port, 1234);
  EXPECT_EQ(parsed({"--rdzv-endpoint=head", "x"}).master_port, std::nullopt);
  EXPECT_EQ(parsed({"--rdzv-endpoint=head:1", "--master-port=2", "x"}).master_port, 2);
}

TEST(RunOptions, WhatCannotBeIsRefusedByName) {
  const std::vector<std::pair<Words, std::string>> cases = {
      {{}, "needs a command"},
      {{"--nnodes"}, "--nnodes needs a value"},
      {{"--nnodes", "0", "x"}, "--nnodes: \"0\" is not a whole number from 1"},
      {{"--nnodes", "1:4", "x"}, "elastic range \"1:4\" is not offered"},
      {{"--nproc-per-node", "gpu", "x"}, "a number from 1 to 4096, cpu or auto"},
      {{"--node-rank", "-1", "x"}, "--node-rank: \"-1\""},
      {{"--rdzv-backend", "etcd", "x"}, "static or c10d"},
      {{"--rdzv-endpoint", "h:p", "x"}, "HOST or HOST:PORT"},
      {{"--standalone=yes", "x"}, "without value"},
      {{"--standalone", "--nnodes", "2", "x"}, "a group of one node"},
      {{"--redirects", "3", "x"}, "needs --log-dir"},
      {{"--nodes", "2", "x"}, "has no flag --nodes"},
  };
  for (const auto& [words, part] : cases) {
    EXPECT_NE(refusal(words).find(part), std::string::npos) << refusal(words);
  }
  EXPECT_NE(refusal({"x"}, {{"PET_NNODES", "many"}}).find("--nnodes: \"many\""), std::string::npos);
}

// ---- plan ----

Surroundings pod(int index) {
  const std::string host = "train-workers-0-" + std::to_string(index);
  return {.environment = {{"JOB_COMPLETION_INDEX", std::to_string(index)}},
          .hostname = host,
          .hosts_file = "127.0.0.1 localhost\n# a comment about " + host + "\n10.64.1.3\t" + host +
                        ".train.default.svc.cluster.local\t" + host + "\n",
          .cpus = 2};
}

TEST(RunPlan, APodOfAnIndexedJobKnowsItsRankAndWhereRank0Is) {
  const auto plan = plan_group(parsed({"--nnodes", "4", "--nproc-per-node", "2", "x"}), pod(3));
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  const Environment env =
      worker_environment(*plan, place_in(*plan, 1, plan->master_port), 1, "/page");
  const std::string master = "train-workers-0-0.train.default.svc.cluster.local";
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"RANK", "7"},
      {"LOCAL_RANK", "1"},
      {"WORLD_SIZE", "8"},
      {"LOCAL_WORLD_SIZE", "2"},
      {"GROUP_RANK", "3"},
      {"GROUP_WORLD_SIZE", "4"},
      {"ROLE_RANK", "7"},
      {"MASTER_ADDR", master},
      {"MASTER_PORT", "29500"},
      {"TORCHELASTIC_RESTART_COUNT", "0"},
      {"TORCHELASTIC_RUN_ID", "none"},
      {"JAX_COORDINATOR_ADDRESS", master + ":29500"},
      {"JAX_NUM_PROCESSES", "8"},
      {"JAX_PROCESS_ID", "7"},
      {"OMP_NUM_THREADS", "1"},
      {"PELTON_GENERATION", "1"},
      {"PELTON_HEARTBEAT", "/page"},
      {"PELTON_COORDINATOR", "(unset)"},
      {"PELTON_FAILURES_OBSERVED", ""},
  };
  for (const auto& [name, value] : expected) EXPECT_EQ(value_of(env, name), value) << name;
}

TEST(RunPlan, APlaceInAGenerationOverrulesTheIndexOfThePod) {
  const auto plan = plan_group(parsed({"--nnodes", "4", "--nproc-per-node", "2", "x"}), pod(3));
  ASSERT_TRUE(plan.ok());
  decide::recovery::Generation generation;
  generation.number = 5;
  generation.job_uid = "job";
  generation.members = {
      {.pod = "a", .pod_uid = "ua", .node = "", .address = "10.0.0.1", .ranks = 3},
      {.pod = "b", .pod_uid = "ub", .node = "", .address = "10.0.0.2"}};
  generation.restore = decide::checkpoint::MemoryVersion{4, 20};
  generation.observed = {86'400, 3, 1};
  Place place = place_in(*plan, generation, 1);
  place.has_coordinator = true;
  const Environment env = worker_environment(*plan, place, 0, "");
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"RANK", "3"},
      {"LOCAL_RANK", "0"},
      {"WORLD_SIZE", "4"},
      {"LOCAL_WORLD_SIZE", "1"},
      {"NODE_RANK", "1"},
      {"GROUP_WORLD_SIZE", "2"},
      {"MASTER_ADDR", "10.0.0.1"},
      {"MASTER_PORT", "29505"},
      {"TORCHELASTIC_RESTART_COUNT", "4"},
      {"PELTON_COORDINATOR", "10.0.0.1:29505"},
      {"PELTON_JOB_UID", "job"},
      {"PELTON_RESTORE", "4:20"},
      {"PELTON_FAILURES_OBSERVED", "86400:3:1"},
  };
  for (const auto& [name, value] : expected) EXPECT_EQ(value_of(env, name), value) << name;
}

TEST(RunPlan, ARunThatIsNoJobsHasAnIdOfItsOwnUnlessTheUserGaveOne) {
  for (const std::string id : {"", "--rdzv-id=mine"}) {
    std::vector<std::string> words = {"--standalone", "x"};
    if (!id.empty()) words.insert(words.begin(), id);
    const auto plan = plan_group(parsed(words), pod(0));
    ASSERT_TRUE(plan.ok());
    Place place = place_in(*plan, 2, 0);
    place.run_id = "new";
    const Environment env = worker_environment(*plan, place, 0, "");
    EXPECT_EQ(value_of(env, "TORCHELASTIC_RUN_ID"), id.empty() ? "new" : "mine");
    EXPECT_EQ(value_of(env, "PELTON_JOB_UID"), "");
  }
}

TEST(RunPlan, Pod0HasTheSameNameWithA0AtItsEnd) {
  EXPECT_EQ(name_of_pod_0("job-12", "12", ""), "job-0");
  EXPECT_EQ(name_of_pod_0("job-12", "2", ""), "");  // the index is 12 or the name is another's
  EXPECT_EQ(name_of_pod_0("job-12", "", ""), "");
  EXPECT_EQ(name_of_pod_0("job-1", "1", "10.0.0.1 job-1 job-1.svc\n10.0.0.2 job-1x.other\n"),
            "job-0.svc");
}

TEST(RunPlan, FlagsOverruleSurroundings) {
  const auto plan = plan_group(
      parsed({"--nnodes=4", "--node-rank=1", "--master-addr=head", "--master-port=7", "x"}),
      pod(3));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->node_rank, 1);
  EXPECT_EQ(plan->master_addr, "head");
  EXPECT_EQ(plan->master_port, 7);
}

TEST(RunPlan, OneNodeAloneTakesAnyFreePort) {
  Surroundings around = pod(3);  // a single-node group inside of a larger Job is rank 0 of itself
  const auto plan = plan_group(parsed({"--standalone", "--nproc-per-node=cpu", "x"}), around);
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->master_addr, "127.0.0.1");
  EXPECT_EQ(plan->master_port, 0);
  EXPECT_EQ(plan->world_size(), 2);
  EXPECT_EQ(plan->node_rank, 0);
}

TEST(RunPlan, WhatDoesNotFitTheSurroundingsIsRefused) {
  const auto message = [](const Words& words, const Surroundings& around) {
    const auto plan = plan_group(parsed(words), around);
    return plan.ok() ? "accepted" : plan.status().message();
  };
  const Surroundings laptop = {
      .environment = {}, .hostname = "laptop", .hosts_file = "", .cpus = 1};
  EXPECT_NE(message({"--nnodes=4", "x"}, laptop).find("Give --node-rank"), std::string::npos);
  EXPECT_NE(message({"--nnodes=4", "--node-rank=0", "x"}, laptop).find("Give --master-addr"),
            std::string::npos);
  EXPECT_NE(message({"--nnodes=2", "x"}, pod(2)).find("outside a group of 2"), std::string::npos);
  EXPECT_NE(message({"--nnodes=2", "--master-port=0", "x"}, pod(1)).find("agree on one"),
            std::string::npos);
  Surroundings odd = pod(1);
  odd.environment["MASTER_PORT"] = "http";
  EXPECT_NE(message({"--nnodes=2", "x"}, odd).find("not a port"), std::string::npos);
}

TEST(RunPlan, RestartsOfSeveralNodesAreLeftToTheJobSetAndThatIsSaid) {
  const auto plan = plan_group(parsed({"--nnodes=4", "--max-restarts=3", "x"}), pod(0));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->max_restarts, 0);
  EXPECT_EQ(plan->warnings.size(), 1u);
}

TEST(RunPlan, LogsGoWhereAsked) {
  const auto plan =
      plan_group(parsed({"--log-dir=/logs", "--redirects=2", "--nproc-per-node=2", "x"}), pod(0));
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(worker_log_path(*plan, 1, 3, "stderr"), "/logs/attempt_3/1/stderr.log");
  EXPECT_EQ(worker_log_path(*plan, 1, 3, "stdout"), "");
}

// ---- commands that can be parked ----

TEST(RunPark, PythonScriptsAndModulesAreRecognised) {
  const std::string long_path = "/opt/venv/bin/python3.11";
  const std::vector<std::pair<Words, Words>> cases = {
      {{"python", "train.py", "-x"},
       {"python", "-m", "pelton.park", "--socket", "S", "--spares=3", "--", "train.py"}},
      {{"python3", "-u", "-m", "pkg.train", "a"},
       {"python3", "-u", "-m", "pelton.park", "--socket", "S", "--spares=3", "--", "-m",
        "pkg.train"}},
      {{long_path, "-uOO", "-X", "dev", "-Wignore", "t.py"},
       {long_path, "-uOO", "-X", "dev", "-Wignore", "-m", "pelton.park", "--socket", "S",
        "--spares=3", "--", "t.py"}},
  };
  for (const auto& [command, expected] : cases) {
    const auto found = python_command_of(command);
    ASSERT_TRUE(found.has_value()) << command[0];
    EXPECT_EQ(park_command(*found, "S", 3), expected);
  }
  EXPECT_EQ(python_command_of({"python3", "-m", "pkg.train", "a"})->argv,
            (Words{"pkg.train", "a"}));
}

TEST(RunPark, OtherCommandsAreStartedAnew) {
  const std::vector<Words> others = {
      {},
      {"sh", "-c", "python train.py"},
      {"python"},
      {"python3", "-c", "print()"},
      {"python3", "-"},
      {"python3", "-i", "train.py"},
      {"python3", "-I", "train.py"},
      {"python3", "--version"},
      {"python3", "-m"},
      {"python-config", "x"},
      {"./train.py"},
  };
  for (const Words& words : others) EXPECT_FALSE(python_command_of(words).has_value());
}

}  // namespace
}  // namespace pelton::launch
