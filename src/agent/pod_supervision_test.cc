// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_supervision.h"

#include <algorithm>

#include "agent/node_agent_fixture.h"

namespace pelton::agent {
namespace {

namespace recovery = decide::recovery;

constexpr const char* kPolicy =
    "/apis/pelton.dev/v1alpha1/namespaces/default/recoverypolicies/careful";

/// Follows generations as a supervisor does: says which it runs, and keeps something in memory.
constexpr const char* kSupervisor = R"(exec python3 -c '
import json, os, socket
line = socket.socket(socket.AF_UNIX)
line.connect(os.environ["PELTON_AGENT_SOCKET"])
for text in line.makefile():
  number = json.loads(text)["generation"]["number"]
  with open(os.environ["PELTON_MEMORY_DIR"] + "/state", "w") as file:
    file.write(str(number))
  hung = {"rank": 0, "state": "Hung", "cause": "Stopped", "detail": "in step 4"}
  report = {"generation": number, "stage": "Running", "workers": [hung][:number == 6]}
  line.sendall(json.dumps({"report": report}).encode() + b"\n")
')";

class PodSupervisionTest : public NodeAgentTest {
 protected:
  void put_policy(int64_t number, recovery::Generation::Phase phase, Json spec = Json::object()) {
    recovery::Generation generation{.number = number, .job_uid = "uid-job", .phase = phase};
    generation.members = {{.pod = "rank", .pod_uid = "uid-rank", .node = "node-0"}};
    const Json entry = Json::object(
        {{"name", "train"}, {"uid", "uid-job"}, {"generation", recovery::to_json(generation)}});
    api_.put(kPolicy,
             Json::object({{"apiVersion", "pelton.dev/v1alpha1"},
                           {"kind", "RecoveryPolicy"},
                           {"metadata", Json::object({{"name", "careful"},
                                                      {"namespace", "default"},
                                                      {"uid", "uid-careful"}})},
                           {"spec", std::move(spec)},
                           {"status", Json::object({{"jobSets", Json::array({entry})}})}}));
  }
  void create_member() {
    create_script("rank", kSupervisor, "terminationGracePeriodSeconds: 1",
                  Json::object({{recovery::kPolicyLabel, "careful"},
                                {"jobset.sigs.k8s.io/jobset-uid", "uid-job"}}));
  }
  int64_t reported() {
    return recovery::report_in(Json::object({{"status", status("rank")}})).generation;
  }
  std::string state() { return node() + "/jobs/uid-job/memory/state"; }
};

TEST_F(PodSupervisionTest, GenerationsGoDownReportsGoUpAndTheMemoryOutlivesPodAndAgent) {
  using Phase = recovery::Generation::Phase;
  put_policy(5, Phase::Running);
  create_member();
  wait_until("it runs generation 5", [&] { return reported() == 5; });
  const Json* condition =
      api::find_condition(api_.get(path_of("rank")), recovery::kWorkersCondition);
  EXPECT_EQ((*condition)["status"].as_string(), "True");
  EXPECT_EQ((*condition)["reason"].as_string(), "Running");

  put_policy(6, Phase::Running);
  wait_until("it runs generation 6", [&] { return reported() == 6; });
  wait_until("its finding is an event", [&] {
    const auto events = api_.list("/api/v1/namespaces/default/events/");
    return std::any_of(events.begin(), events.end(), [](const Json& event) {
      return event["reason"].as_string() == "WorkerHung" &&
             event["message"].as_string() == "rank 0, generation 6: Stopped: in step 4";
    });
  });

  api_.remove_gracefully(path_of("rank"), 1);
  wait_until("the pod is gone", [&] { return api_.get(path_of("rank")).is_null(); });
  kill_agent();
  start_agent();
  put_policy(7, Phase::Waiting);
  create_script("other", "true");
  wait_for_phase("other", "Succeeded");
  EXPECT_EQ(*world().files.read(state()), "6") << "the job is not over";

  put_policy(8, Phase::Finished);
  wait_until("the memory is given back",
             [&] { return !world().files.exists(node() + "/jobs/uid-job"); });
}

TEST_F(PodSupervisionTest, APolicyMayKeepItsJobsOutOfMemory) {
  put_policy(1, recovery::Generation::Phase::Running, Json::object({{"tiers", Json::array({})}}));
  create_script("rank",
                "test -e /run/pelton/agent -a ! -e /run/pelton/memory -a -z \"$PELTON_MEMORY_DIR\"",
                "terminationGracePeriodSeconds: 1",
                Json::object({{recovery::kPolicyLabel, "careful"},
                              {"jobset.sigs.k8s.io/jobset-uid", "uid-job"}}));
  wait_until("it has ended", [&] { return !container("rank").at("state.terminated").is_null(); });
  EXPECT_EQ(container("rank").at("state.terminated.exitCode").as_int(), 0);
}

TEST_F(PodSupervisionTest, AnAgentThatIsKilledIsFoundAgain) {
  put_policy(1, recovery::Generation::Phase::Running);
  // Connects anew whenever the line ends, as a supervisor does.
  const std::string script =
      std::string("for i in $(seq 600); do (") + kSupervisor + ") 2>/dev/null; sleep 0.1; done";
  create_script("rank", script, "terminationGracePeriodSeconds: 1",
                Json::object({{recovery::kPolicyLabel, "careful"},
                              {"jobset.sigs.k8s.io/jobset-uid", "uid-job"}}));
  wait_until("it runs generation 1", [&] { return reported() == 1; });
  kill_agent();
  put_policy(2, recovery::Generation::Phase::Running);
  start_agent();
  wait_until("it runs generation 2", [&] { return reported() == 2; });
  EXPECT_EQ(container("rank")["restartCount"].as_int(), 0);
  put_policy(3, recovery::Generation::Phase::Failed);
  api_.remove_gracefully(path_of("rank"), 1);
  wait_until("the pod is gone", [&] { return api_.get(path_of("rank")).is_null(); });
  wait_until("the memory is given back",
             [&] { return !world().files.exists(node() + "/jobs/uid-job"); });
}

}  // namespace
}  // namespace pelton::agent
