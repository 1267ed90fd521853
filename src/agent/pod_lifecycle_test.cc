// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_lifecycle.h"

#include <gtest/gtest.h>

#include "agent/pod_status.h"
#include "api/object.h"
#include "api/yaml.h"

namespace pelton::agent {
namespace {

using base::Duration;
using base::Instant;
using base::Json;
using Kind = PodAction::Kind;
using Sandbox = PodObserved::Sandbox;
using State = ContainerObserved::State;

const Instant kNow = Instant::from_unix_seconds(1'000'000);
const LifecycleOptions kOptions;

Json pod_of(const std::string& spec) {
  const auto pod =
      api::parse_yaml("metadata: {name: p, namespace: default, uid: u}\nspec: " + spec);
  EXPECT_TRUE(pod.ok()) << pod.status().to_string();
  return *pod;
}
Json deleted(Json pod, int grace) {
  pod.child("metadata").set("deletionTimestamp", base::format_time(kNow));
  pod.child("metadata").set("deletionGracePeriodSeconds", grace);
  return pod;
}

ContainerObserved running() {
  return {.state = State::Running, .attempt = 0, .started_at = kNow - Duration::seconds(5)};
}
ContainerObserved exited(int code, int quick_exits = 1, Instant at = kNow) {
  ContainerObserved made{.state = State::Exited, .attempt = quick_exits - 1};
  made.exit = {.code = code,
               .reason = code == 0 ? "Completed" : "Error",
               .started_at = at - Duration::seconds(1),
               .finished_at = at,
               .attempt = quick_exits - 1};
  made.quick_exits = quick_exits;
  return made;
}
PodObserved ready(std::map<std::string, ContainerObserved> containers) {
  return {.sandbox = Sandbox::Ready, .containers = std::move(containers)};
}
PodDecision decide(const Json& pod, const PodObserved& observed, Instant now = kNow) {
  return decide_pod(pod, observed, kOptions, now);
}
using Actions = std::vector<PodAction>;

TEST(PodLifecycle, PreparesTheSandboxOnceThenStartsEveryContainer) {
  const Json pod = pod_of("{containers: [{name: a}, {name: b}]}");
  auto decision = decide(pod, {});
  EXPECT_EQ(decision.actions, (Actions{{Kind::PrepareSandbox, "", 0}}));
  EXPECT_EQ(decision.phase, "Pending");
  EXPECT_EQ(decision.waiting.at("a").reason, "ContainerCreating");
  EXPECT_TRUE(decide(pod, {.sandbox = Sandbox::Preparing}).actions.empty());
  decision = decide(pod, ready({}));
  EXPECT_EQ(decision.actions,
            (Actions{{Kind::StartContainer, "a", 0}, {Kind::StartContainer, "b", 0}}));
  EXPECT_EQ(decide(pod, ready({{"a", running()}, {"b", running()}})).phase, "Running");
}

TEST(PodLifecycle, RunsInitContainersInOrderAndStopsAtAFailure) {
  const Json pod = pod_of(
      "{restartPolicy: Never, initContainers: [{name: i}, {name: j}], containers: [{name: a}]}");
  auto decision = decide(pod, ready({}));
  EXPECT_EQ(decision.actions, (Actions{{Kind::StartContainer, "i", 0}}));
  EXPECT_EQ(decision.waiting.at("a").reason, "PodInitializing");
  EXPECT_EQ(decide(pod, ready({{"i", exited(0)}})).actions,
            (Actions{{Kind::StartContainer, "j", 0}}));
  EXPECT_EQ(decide(pod, ready({{"i", exited(0)}, {"j", exited(0)}})).actions,
            (Actions{{Kind::StartContainer, "a", 0}}));
  decision = decide(pod, ready({{"i", exited(1)}}));
  EXPECT_EQ(decision.phase, "Failed");
  EXPECT_EQ(decision.actions, (Actions{{Kind::TearDownSandbox, "", 0}}));
}

TEST(PodLifecycle, EndsByRestartPolicy) {
  const struct {
    const char* policy;
    int code;
    const char* phase;
    bool is_restarted;
  } cases[] = {{"Never", 0, "Succeeded", false},     {"Never", 3, "Failed", false},
               {"OnFailure", 0, "Succeeded", false}, {"OnFailure", 3, "Running", true},
               {"Always", 0, "Running", true},       {"Always", 3, "Running", true}};
  for (const auto& [policy, code, phase, is_restarted] : cases) {
    const Json pod =
        pod_of(std::string("{restartPolicy: ") + policy + ", containers: [{name: a}]}");
    const auto decision = decide(pod, ready({{"a", exited(code)}}));
    EXPECT_EQ(decision.phase, phase) << policy << code;
    const PodAction expected = is_restarted ? PodAction{Kind::StartContainer, "a", 1}
                                            : PodAction{Kind::TearDownSandbox, "", 0};
    EXPECT_EQ(decision.actions, (Actions{expected})) << policy << code;
  }
}

TEST(PodLifecycle, BacksOffLongerAfterEachQuickExit) {
  const Json pod = pod_of("{containers: [{name: a}]}");
  const int seconds[] = {0, 0, 10, 20, 40, 80, 160, 300, 300};
  for (int exits = 1; exits < 9; ++exits) {
    EXPECT_EQ(restart_delay(exits, kOptions), Duration::seconds(seconds[exits])) << exits;
  }
  const auto waiting = decide(pod, ready({{"a", exited(1, 3)}}), kNow + Duration::seconds(19));
  EXPECT_TRUE(waiting.actions.empty());
  EXPECT_EQ(waiting.waiting.at("a").reason, "CrashLoopBackOff");
  EXPECT_EQ(waiting.wake_at, kNow + Duration::seconds(20));
  const auto due = decide(pod, ready({{"a", exited(1, 3)}}), kNow + Duration::seconds(20));
  EXPECT_EQ(due.actions, (Actions{{Kind::StartContainer, "a", 3}}));
}

TEST(PodLifecycle, TerminatesThenKillsThenTellsTheApi) {
  const Json pod = deleted(pod_of("{containers: [{name: a}]}"), 7);
  PodObserved observed = ready({{"a", running()}});
  auto decision = decide(pod, observed);
  EXPECT_EQ(decision.actions, (Actions{{Kind::Terminate, "a", 0}}));
  observed.containers["a"].terminated_at = kNow;
  decision = decide(pod, observed, kNow + Duration::seconds(6));
  EXPECT_TRUE(decision.actions.empty());
  EXPECT_EQ(decision.wake_at, kNow + Duration::seconds(7));
  decision = decide(pod, observed, kNow + Duration::seconds(7));
  EXPECT_EQ(decision.actions, (Actions{{Kind::Kill, "a", 0}}));
  observed.containers["a"] = exited(137);
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::TearDownSandbox, "", 0}}));
  EXPECT_EQ(decide(pod, observed).phase, "Failed") << "also where the policy is to restart";
  observed.sandbox = Sandbox::None;
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::DeleteFromApi, "", 0}}));
  observed.is_delete_sent = true;
  EXPECT_TRUE(decide(pod, observed).actions.empty());
  observed.is_gone = true;
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::RemoveState, "", 0}}));
}

TEST(PodLifecycle, KillsAtOnceWhatTheApiNoLongerKnowsOrGivesNoGrace) {
  const Json pod = pod_of("{containers: [{name: a}]}");
  PodObserved gone = ready({{"a", running()}});
  gone.is_gone = true;
  EXPECT_EQ(decide(pod, gone).actions, (Actions{{Kind::Kill, "a", 0}}));
  EXPECT_EQ(decide(deleted(pod, 0), ready({{"a", running()}})).actions,
            (Actions{{Kind::Kill, "a", 0}}));
}

TEST(PodLifecycle, NeverStartsAContainerOfAPodThatIsBeingDeleted) {
  const Json pod = deleted(pod_of("{containers: [{name: a}, {name: b}]}"), 30);
  for (const auto& observed : {PodObserved{}, ready({}), ready({{"a", exited(1)}})}) {
    for (const PodAction& action : decide(pod, observed).actions) {
      EXPECT_NE(action.kind, Kind::StartContainer);
      EXPECT_NE(action.kind, Kind::PrepareSandbox);
    }
  }
}

TEST(PodLifecycle, WaitsWithTheReasonOfAnImageThatMapsToNothing) {
  const Json pod = pod_of("{containers: [{name: a}]}");
  PodObserved observed = ready({});
  observed.containers["a"].failure = StartFailure{"ErrImagePull", "maps to nothing", kNow, 1};
  EXPECT_EQ(decide(pod, observed).waiting.at("a").reason, "ErrImagePull");
  const auto later = decide(pod, observed, kNow + Duration::seconds(2));
  EXPECT_EQ(later.waiting.at("a").reason, "ImagePullBackOff");
  EXPECT_TRUE(later.actions.empty());
  EXPECT_EQ(decide(pod, observed, kNow + Duration::seconds(10)).actions,
            (Actions{{Kind::StartContainer, "a", 0}}));
}

TEST(PodLifecycle, ARejectedPodFailsAndRunsNothing) {
  const Json pod = pod_of("{containers: [{name: a}]}");
  PodObserved observed;
  observed.rejection = {"UnexpectedAdmissionError", "no chip"};
  const auto decision = decide(pod, observed);
  EXPECT_TRUE(decision.actions.empty());
  const Json status = build_pod_status(pod, observed, decision, {.now = kNow});
  EXPECT_EQ(status["phase"].as_string(), "Failed");
  EXPECT_EQ(status["reason"].as_string(), "UnexpectedAdmissionError");
}

const char* const kSidecars =
    "{restartPolicy: Never, initContainers: [{name: s, restartPolicy: Always, startupProbe: {}}, "
    "{name: i}, {name: t, restartPolicy: Always}], containers: [{name: a}]}";

TEST(PodLifecycle, StartsSidecarsInTheOrderOfInitContainersAndWaitsOnlyForTheirStart) {
  const Json pod = pod_of(kSidecars);
  EXPECT_EQ(decide(pod, ready({})).actions, (Actions{{Kind::StartContainer, "s", 0}}));
  ContainerObserved starting = running();
  starting.is_started = false;
  auto decision = decide(pod, ready({{"s", starting}}));
  EXPECT_TRUE(decision.actions.empty()) << "its startup probe has not succeeded yet";
  EXPECT_EQ(decision.phase, "Pending");
  EXPECT_EQ(decision.waiting.at("a").reason, "PodInitializing");
  EXPECT_EQ(decide(pod, ready({{"s", running()}})).actions,
            (Actions{{Kind::StartContainer, "i", 0}}));
  EXPECT_EQ(decide(pod, ready({{"s", running()}, {"i", exited(0)}})).actions,
            (Actions{{Kind::StartContainer, "t", 0}}));
  decision = decide(pod, ready({{"s", running()}, {"i", exited(0)}, {"t", running()}}));
  EXPECT_EQ(decision.actions, (Actions{{Kind::StartContainer, "a", 0}}));
}

TEST(PodLifecycle, RestartsASidecarAlwaysAndLeavesTheOthersAlone) {
  const Json pod = pod_of(kSidecars);
  const auto decision =
      decide(pod, ready({{"s", exited(0)}, {"i", exited(0)}, {"t", running()}, {"a", running()}}));
  EXPECT_EQ(decision.actions, (Actions{{Kind::StartContainer, "s", 1}}));
  EXPECT_EQ(decision.phase, "Running");
  EXPECT_FALSE(decision.waiting.contains("a"));
}

TEST(PodLifecycle, EndsSidecarsAfterTheMainContainersInReverseOrderAndOnlyThenTheEnd) {
  const Json pod = pod_of(kSidecars);
  PodObserved observed =
      ready({{"s", running()}, {"i", exited(0)}, {"t", running()}, {"a", exited(0)}});
  auto decision = decide(pod, observed);
  EXPECT_EQ(decision.actions, (Actions{{Kind::Terminate, "t", 0}}));
  EXPECT_TRUE(decision.is_stopping);
  EXPECT_EQ(decision.phase, "Running") << "while a sidecar runs, nobody may take it for ended";
  observed.stopping_since = kNow;
  observed.containers["t"] = exited(143);
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::Terminate, "s", 0}}));
  observed.containers["s"] = exited(143);
  decision = decide(pod, observed);
  EXPECT_EQ(decision.phase, "Succeeded");
  EXPECT_EQ(decision.actions, (Actions{{Kind::TearDownSandbox, "", 0}}));
}

TEST(PodLifecycle, ASidecarWhoseTurnNeverComesIsToldToEndWhenTheGraceIsOverAndKilledSoonAfter) {
  const Json pod = deleted(pod_of(kSidecars), 10);
  PodObserved observed =
      ready({{"s", running()}, {"i", exited(0)}, {"t", exited(0)}, {"a", running()}});
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::Terminate, "a", 0}}));
  observed.stopping_since = kNow;
  observed.containers["a"].terminated_at = kNow;
  auto decision = decide(pod, observed, kNow + Duration::seconds(9));
  EXPECT_TRUE(decision.actions.empty());
  decision = decide(pod, observed, kNow + Duration::seconds(10));
  EXPECT_EQ(decision.actions, (Actions{{Kind::Kill, "a", 0}, {Kind::Terminate, "s", 0}}));
  observed.containers["a"].is_kill_sent = true;
  observed.containers["s"].terminated_at = kNow + Duration::seconds(10);
  EXPECT_TRUE(decide(pod, observed, kNow + Duration::seconds(11)).actions.empty());
  EXPECT_EQ(decide(pod, observed, kNow + Duration::seconds(12)).actions,
            (Actions{{Kind::Kill, "s", 0}}));
}

TEST(PodLifecycle, EndsAContainerWhoseProbeFailedWithTheProbesOwnGrace) {
  const Json pod = pod_of(
      "{terminationGracePeriodSeconds: 60, containers: [{name: a, livenessProbe: "
      "{terminationGracePeriodSeconds: 5}}, {name: b}]}");
  PodObserved observed = ready({{"a", running()}, {"b", running()}});
  observed.containers["a"].failed_check = "liveness probe";
  auto decision = decide(pod, observed);
  EXPECT_EQ(decision.actions, (Actions{{Kind::Terminate, "a", 0}}));
  EXPECT_FALSE(decision.is_stopping) << "the pod goes on";
  observed.containers["a"].terminated_at = kNow;
  EXPECT_EQ(decide(pod, observed, kNow + Duration::seconds(4)).wake_at,
            kNow + Duration::seconds(5));
  EXPECT_EQ(decide(pod, observed, kNow + Duration::seconds(5)).actions,
            (Actions{{Kind::Kill, "a", 0}}));
  observed.containers["a"] = exited(137);
  EXPECT_EQ(decide(pod, observed).actions, (Actions{{Kind::StartContainer, "a", 1}}));
}

TEST(PodLifecycle, APreStopHookUsesUpTheGraceAndLeavesALittleForTheSignal) {
  const Json pod = deleted(
      pod_of("{containers: [{name: a, lifecycle: {preStop: {sleep: {seconds: 60}}}}]}"), 10);
  PodObserved observed = ready({{"a", running()}});
  ContainerObserved& a = observed.containers["a"];
  a.terminated_at = kNow;
  EXPECT_TRUE(decide(pod, observed, kNow + Duration::seconds(11)).actions.empty())
      << "the hook is being cut; without a signal there is no kill";
  a.signalled_at = kNow + Duration::seconds(10);
  EXPECT_TRUE(decide(pod, observed, kNow + Duration::seconds(11)).actions.empty());
  EXPECT_EQ(decide(pod, observed, kNow + Duration::seconds(12)).actions,
            (Actions{{Kind::Kill, "a", 0}}));
}

TEST(PodLifecycle, APodPastItsDeadlineIsEndedAndFailsHoweverItsContainersEnd) {
  const Json pod =
      pod_of("{restartPolicy: Never, activeDeadlineSeconds: 60, containers: [{name: a}]}");
  PodObserved observed = ready({{"a", running()}});
  observed.start_time = kNow - Duration::seconds(59);
  auto decision = decide(pod, observed);
  EXPECT_TRUE(decision.actions.empty());
  EXPECT_EQ(decision.wake_at, kNow + Duration::seconds(1));
  observed.start_time = kNow - Duration::seconds(60);
  decision = decide(pod, observed);
  EXPECT_EQ(decision.actions, (Actions{{Kind::Terminate, "a", 0}}));
  EXPECT_EQ(decision.phase, "Running");
  observed.containers["a"] = exited(0);
  decision = decide(pod, observed);
  EXPECT_EQ(decision.phase, "Failed");
  EXPECT_EQ(decision.reason, "DeadlineExceeded");
  EXPECT_EQ(decision.actions, (Actions{{Kind::TearDownSandbox, "", 0}}));
  observed.containers["a"] = exited(0, 1, kNow - Duration::seconds(5));
  decision = decide(pod, observed, kNow + Duration::hours(1));
  EXPECT_EQ(decision.phase, "Succeeded") << "it ended in time, and is looked at later";
  EXPECT_EQ(decision.reason, "");
}

TEST(PodStatus, TellsReadinessOfProbesSidecarsAndGates) {
  Json pod = pod_of(
      "{readinessGates: [{conditionType: example.com/lb}], initContainers: [{name: s, "
      "restartPolicy: Always}, {name: i}], containers: [{name: a}, {name: b}]}");
  PodObserved observed =
      ready({{"s", running()}, {"i", exited(0)}, {"a", running()}, {"b", running()}});
  observed.containers["a"].is_ready = false;
  observed.containers["b"].is_started = false;
  const auto status_of = [&] {
    return build_pod_status(pod, observed, decide(pod, observed), {.now = kNow});
  };
  Json status = status_of();
  EXPECT_FALSE(status["containerStatuses"][0]["ready"].as_bool());
  EXPECT_TRUE(status["containerStatuses"][0]["started"].as_bool());
  EXPECT_FALSE(status["containerStatuses"][1]["ready"].as_bool());
  EXPECT_FALSE(status["containerStatuses"][1]["started"].as_bool());
  EXPECT_TRUE(status["initContainerStatuses"][0]["ready"].as_bool());
  EXPECT_TRUE(status["initContainerStatuses"][1]["ready"].as_bool()) << "it has succeeded";
  Json holder = Json::object({{"status", status}});
  EXPECT_EQ((*api::find_condition(holder, "ContainersReady"))["message"].as_string(),
            "containers with unready status: [a b]");
  EXPECT_TRUE(api::is_condition_true(holder, "Initialized"));
  observed.containers["a"].is_ready = observed.containers["b"].is_started = true;
  holder = Json::object({{"status", status_of()}});
  EXPECT_TRUE(api::is_condition_true(holder, "ContainersReady"));
  EXPECT_EQ((*api::find_condition(holder, "Ready"))["reason"].as_string(),
            "ReadinessGatesNotReady");
  api::set_condition(pod, {"example.com/lb", "True", "", ""}, kNow);
  holder = Json::object({{"status", status_of()}});
  EXPECT_TRUE(api::is_condition_true(holder, "Ready"));
}

TEST(PodStatus, TellsStatesAsKubectlReadsThem) {
  Json pod = pod_of("{containers: [{name: a, image: busybox}, {name: b, image: busybox}]}");
  pod.make("status").set(
      "conditions", Json::array({Json::object({{"type", "PodScheduled"},
                                               {"status", "True"},
                                               {"lastTransitionTime", "2020-01-01T00:00:00Z"}}),
                                 Json::object({{"type", "Ready"},
                                               {"status", "False"},
                                               {"lastTransitionTime", "2020-01-01T00:00:00Z"}})}));
  PodObserved observed = ready({{"a", running()}, {"b", exited(137, 4)}});
  observed.containers["b"].previous = exited(1, 3).exit;
  const auto decision = decide(pod, observed);
  const Json status = build_pod_status(
      pod, observed, decision,
      {.host_address = "127.0.0.1", .pod_address = "10.64.1.2", .start_time = kNow, .now = kNow});
  const Json& a = status["containerStatuses"].items()[0];
  const Json& b = status["containerStatuses"].items()[1];
  EXPECT_TRUE(a["ready"].as_bool());
  EXPECT_TRUE(a.at("state").contains("running"));
  EXPECT_EQ(a["containerID"].as_string(), "pelton://u/a/0");
  EXPECT_EQ(b["restartCount"].as_int(), 3);
  EXPECT_EQ(b.at("state.waiting.reason").as_string(), "CrashLoopBackOff");
  EXPECT_EQ(b.at("lastState.terminated.exitCode").as_int(), 137);
  EXPECT_EQ(b.at("lastState.terminated.signal").as_int(), 9);
  EXPECT_EQ(status["podIP"].as_string(), "10.64.1.2");
  const Json holder = Json::object({{"status", status}});
  EXPECT_FALSE(api::is_condition_true(holder, "Ready"));
  const Json* ready_condition = api::find_condition(holder, "Ready");
  EXPECT_EQ((*ready_condition)["lastTransitionTime"].as_string(), "2020-01-01T00:00:00Z");
  EXPECT_EQ((*ready_condition)["message"].as_string(), "containers with unready status: [b]");
  EXPECT_EQ((*api::find_condition(holder, "PodScheduled"))["lastTransitionTime"].as_string(),
            "2020-01-01T00:00:00Z");
}

}  // namespace
}  // namespace pelton::agent
