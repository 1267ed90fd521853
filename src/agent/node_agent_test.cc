// SPDX-License-Identifier: Apache-2.0
// Real pods in real sandboxes. Needs root, iproute2 and bubblewrap; skipped without.
//
// This file holds main(): the test executable plays the `pelton` program for the agents it tests,
// so `agent_test container-shim DIRECTORY` is a shim.
#include "agent/node_agent.h"

#include <gtest/gtest.h>

#include "agent/container_shim.h"
#include "agent/dns/name_server.h"
#include "agent/node_agent_fixture.h"

namespace pelton::agent {
namespace {

TEST_F(NodeAgentTest, RunsAPodAndTellsHowItEnded) {
  create_script(
      "good", "echo hello; echo $WHO >&2; exit 0",
      "container: {env: [{name: WHO, valueFrom: {fieldRef: {fieldPath: status.podIP}}}]}");
  create_script("bad", "exit 7");
  wait_for_phase("good", "Succeeded");
  wait_for_phase("bad", "Failed");
  EXPECT_EQ(output("good"), "hello\n10.64.1.3\n") << "addresses in the order of names: bad, good";
  EXPECT_EQ(container("bad").at("state.terminated.exitCode").as_int(), 7);
  EXPECT_EQ(container("bad").at("state.terminated.reason").as_string(), "Error");
  EXPECT_EQ(container("good").at("state.terminated.reason").as_string(), "Completed");
  EXPECT_EQ(status("good")["podIP"].as_string(), "10.64.1.3");
  const Json& node = api_.get("/api/v1/nodes/node-0");
  EXPECT_TRUE(api::is_condition_true(node, "Ready"));
  EXPECT_EQ(node.at("status.allocatable")["google.com/tpu"].as_string(), "1");
  EXPECT_EQ(api::label_of(node, kVirtualAcceleratorLabel), "true");
  wait_until("a lease", [&] {
    return !api_.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-0")
                .is_null();
  });
  std::string reasons;
  for (const Json& event : api_.list("/api/v1/namespaces/default/events/")) {
    reasons += event["reason"].as_string() + " ";
  }
  for (const char* reason : {"Pulled", "Created", "Started"}) {
    EXPECT_NE(reasons.find(reason), std::string::npos) << reasons;
  }
}

TEST_F(NodeAgentTest, LetsTwoPodsListenOnTheSamePortAndReachEachOther) {
  const std::string server =
      "python3 -u -c \"import socket\n"
      "s = socket.create_server(('', 8000))\n"
      "print('ready')\n"
      "while True:\n"
      "  c, _ = s.accept(); c.sendall(socket.gethostname().encode()); c.close()\"";
  create_script("a", server, "hostname: alpha");
  create_script("b", server);
  wait_until("both listen", [&] {
    return output("a") == "ready\n" && output("b") == "ready\n" && phase("a") == "Running" &&
           phase("b") == "Running";
  });
  const std::string address = status("a")["podIP"].as_string();
  create_script("asker", "exec 3<>/dev/tcp/" + address +
                             "/8000; cat <&3; echo; hostname; cat /etc/hosts /etc/resolv.conf; "
                             "cat /proc/sys/kernel/hostname; "
                             "[ $(ls -d /proc/[0-9]* | wc -l) -lt 8 ] && echo few");
  wait_for_phase("asker", "Succeeded");
  const std::string said = output("asker");
  EXPECT_TRUE(said.starts_with("alpha\nasker\n")) << said;
  EXPECT_NE(said.find("search default.svc.cluster.local svc.cluster.local cluster.local\n"
                      "nameserver 10.64.0.1\n"),
            std::string::npos)
      << said;
  EXPECT_NE(said.find(status("asker")["podIP"].as_string() + "\tasker\n"), std::string::npos);
  EXPECT_TRUE(said.ends_with("asker\nfew\n")) << "its own processes only: " << said;
}

TEST_F(NodeAgentTest, ShowsAPodNothingOfTheMachineThatIsNotItsOwn) {
  create_script("other", "echo secret > /scratch/file; sleep 1000",
                "volumes: [{name: v, emptyDir: {}}], "
                "container: {volumeMounts: [{name: v, mountPath: /scratch}]}");
  wait_until("other has written", [&] {
    return world().files.exists(PodPaths(node(), "uid-other").volume("v") + "/file");
  });
  create_script(
      "prober",
      "try() { \"$@\" >/dev/null 2>&1 && echo \"BREACH: $*\"; }\n"
      "try test -e " +
          data() +
          "\n"
          "try test -e " +
          directory_ +
          "\n"
          "for d in /root /home /tmp /run /srv /mnt /var/lib; do\n"
          "  [ \"$d\" = /run ] || [ -z \"$(ls -A $d 2>/dev/null)\" ] || echo \"BREACH: $d\"; done\n"
          "[ \"$(ls /run)\" = pelton ] || echo \"BREACH: /run\"\n"
          "try touch /usr/x; try touch /etc/x\n"
          "try grep -q . /etc/shadow\n"
          "grep -q '/proc/sys proc ro' /proc/mounts || echo 'BREACH: settings of the machine'\n"
          "try sh -c 'echo x > /proc/sys/kernel/hostname'\n"
          "try mount -t tmpfs none /mnt; try mknod /tmp/sda b 8 0; try unshare -m true\n"
          "try hostname changed; try ip link add x type dummy\n"
          "[ \"$(ps ax | grep -c [s]leep)\" = 0 ] || echo 'BREACH: processes'\n"
          "test -x /run/pelton/bin/pelton || echo 'BREACH: no pelton'\n"
          "echo x > /tmp/mine && echo x > /dev/shm/mine || echo 'BREACH: no scratch'\n"
          "echo done");
  wait_for_phase("prober", "Succeeded");
  EXPECT_EQ(output("prober"), "done\n");
}

TEST_F(NodeAgentTest, GivesVolumesAndVariablesFromConfigMapsSecretsAndTheHost) {
  create_script(
      "vol",
      "cat /etc/app/color; /etc/app/bin/run; stat -c %a /etc/app/bin/run; cat /all/token /all/pod; "
      "echo; ls /etc/passwd; cat /shared/seen; echo written > /shared/back; echo $C $S; pwd; "
      "touch /etc/app/x 2>&1 || echo read-only; id -u",
      "container: {workingDir: /srv/dir, securityContext: {runAsUser: 0}, envFrom: "
      "[{configMapRef: "
      "{name: settings}}], env: [{name: C, valueFrom: {configMapKeyRef: {name: settings, key: "
      "color}}}, {name: S, valueFrom: {secretKeyRef: {name: key, key: token}}}], volumeMounts: "
      "[{name: conf, mountPath: /etc/app}, {name: all, mountPath: /all}, {name: shared, mountPath: "
      "/shared}]}, volumes: [{name: conf, configMap: {name: settings, items: [{key: color, path: "
      "color}, {key: run, path: bin/run, mode: 493}]}}, {name: all, projected: {sources: [{secret: "
      "{name: key}}, {downwardAPI: {items: [{path: pod, fieldRef: {fieldPath: "
      "metadata.name}}]}}]}}, "
      "{name: shared, hostPath: {path: " +
          directory_ + "/shared, type: DirectoryOrCreate}}]");
  wait_until("it waits for its ConfigMap", [&] {
    for (const Json& event : api_.list("/api/v1/namespaces/default/events/")) {
      if (event["reason"].as_string() == "FailedMount") return true;
    }
    return false;
  });
  ASSERT_TRUE(world().files.make_directories(path("shared")).ok());
  ASSERT_TRUE(world().files.replace(path("shared/seen"), "from the host\n").ok());
  api_.put("/api/v1/namespaces/default/secrets/key",
           *api::parse_yaml("{metadata: {name: key}, data: {token: c2VjcmV0}}"));
  api_.put("/api/v1/namespaces/default/configmaps/settings",
           *api::parse_yaml("{metadata: {name: settings}, data: {color: \"red\\n\", run: "
                            "\"#!/bin/sh\\necho ran\\n\"}}"));
  wait_for_phase("vol", "Succeeded");
  EXPECT_EQ(output("vol"),
            "red\nran\n755\nsecretvol\n/etc/passwd\nfrom the host\nred secret\n/srv/dir\n"
            "touch: cannot touch '/etc/app/x': Read-only file system\nread-only\n0\n");
  EXPECT_TRUE(world().files.exists(path("shared/back")));
}

TEST_F(NodeAgentTest, EndsAPodGentlyAndThenByForce) {
  create_script(
      "gentle",
      "trap 'echo bye > /shared/said; exit 3' TERM; echo up; while :; do sleep 0.05; done",
      "volumes: [{name: s, hostPath: {path: " + directory_ +
          "/shared, type: DirectoryOrCreate}}], container: {volumeMounts: [{name: s, "
          "mountPath: /shared}]}");
  create_script("stubborn", "trap '' TERM; echo up; sleep 1000 & wait; wait; sleep 1000");
  wait_until("both are up",
             [&] { return output("gentle") == "up\n" && output("stubborn") == "up\n"; });
  const auto last_status = [&](const std::string& pod) -> const Json& {
    return api_.erased(path_of(pod))["status"];
  };
  const auto is_gone = [&](const std::string& pod) { return api_.get(path_of(pod)).is_null(); };
  api_.remove_gracefully(path_of("gentle"), 30);
  wait_until("gentle is gone", [&] { return is_gone("gentle"); });
  EXPECT_EQ(*world().files.read(path("shared/said")), "bye\n");
  EXPECT_EQ(last_status("gentle")["phase"].as_string(), "Failed");
  const Json& gentle = last_status("gentle")["containerStatuses"][size_t{0}];
  EXPECT_EQ(gentle.at("state.terminated.exitCode").as_int(), 3);
  api_.remove_gracefully(path_of("stubborn"), 1);
  wait_until("stubborn is gone", [&] { return is_gone("stubborn"); });
  const Json& stubborn = last_status("stubborn")["containerStatuses"][size_t{0}];
  EXPECT_EQ(stubborn.at("state.terminated.exitCode").as_int(), 137);
  EXPECT_EQ(stubborn.at("state.terminated.signal").as_int(), 9);
  wait_until("nothing is left", [&] {
    return world().files.list(node() + "/pods")->empty() && live_shims() == 0 &&
           !world().files.exists(pod_namespaces(network_, "uid-stubborn").net);
  });
}

TEST_F(NodeAgentTest, FindsItsPodsAgainAfterItWasKilled) {
  create_script("long", "echo start; while [ ! -e /shared/go ]; do sleep 0.02; done; exit 5",
                "volumes: [{name: s, hostPath: {path: " + directory_ +
                    "/shared, type: DirectoryOrCreate}}], container: {volumeMounts: [{name: s, "
                    "mountPath: /shared}], resources: {limits: {google.com/tpu: 1}}}");
  create_script("removed", "sleep 1000");
  create_script("short", "sleep 0.3; exit 4");
  wait_until("all run", [&] {
    return phase("long") == "Running" && phase("removed") == "Running" &&
           phase("short") == "Running" && output("long") == "start\n";
  });
  const ContainerPaths paths(PodPaths(node(), "uid-long").attempt("main", 0));
  const int pid = read_running(world().files, paths)->main_pid;
  kill_agent();
  api_.erase(path_of("removed"));
  wait_until("short ends while there is no agent", [&] {
    return read_exit(world().files,
                     ContainerPaths(PodPaths(node(), "uid-short").attempt("main", 0)))
        .has_value();
  });
  start_agent();
  wait_for_phase("short", "Failed");
  EXPECT_EQ(container("short").at("state.terminated.exitCode").as_int(), 4);
  EXPECT_EQ(phase("long"), "Running");
  EXPECT_EQ(read_running(world().files, paths)->main_pid, pid) << "the same process";
  wait_until("what was deleted meanwhile is ended", [&] {
    return !world().files.exists(PodPaths(node(), "uid-removed").directory) && live_shims() == 1;
  });
  create_script("greedy", "true", "container: {resources: {limits: {google.com/tpu: 1}}}");
  wait_for_phase("greedy", "Failed");
  EXPECT_EQ(status("greedy")["reason"].as_string(), "UnexpectedAdmissionError")
      << "the chip is the old pod's, also for the new agent";
  ASSERT_TRUE(world().files.replace(path("shared/go"), "").ok());
  wait_for_phase("long", "Failed");
  EXPECT_EQ(container("long").at("state.terminated.exitCode").as_int(), 5);
  EXPECT_EQ(container("long")["restartCount"].as_int(), 0);
}

TEST_F(NodeAgentTest, WaitsForTheDevicesOfAPodThatIsBeingEnded) {
  constexpr const char* kChip = "container: {resources: {limits: {google.com/tpu: 1}}}";
  create_script("given-up", "sleep 1000", kChip);
  wait_for_phase("given-up", "Running");
  kill_agent();
  // By force, while the node was away: its chip counts as free, and the next pod is sent here.
  api_.erase(path_of("given-up"));
  create_script("next", "true", kChip);
  start_agent();
  wait_until("the next one has ended",
             [&] { return phase("next") == "Succeeded" || phase("next") == "Failed"; });
  EXPECT_EQ(phase("next"), "Succeeded") << status("next")["message"].as_string();
}

TEST_F(NodeAgentTest, GoesOnWithAPodOfWhichTheApiHasHeardNothingYet) {
  create_script("first", "true");
  wait_for_phase("first", "Succeeded");  // so the agent watches, and hears of the next one
  create_script("early", "echo once; exit 0");
  api_.is_down = true;
  wait_until("it is recorded",
             [&] { return world().files.exists(PodPaths(node(), "uid-early").record()); });
  kill_agent();
  api_.is_down = false;
  start_agent();
  wait_for_phase("early", "Succeeded");
  EXPECT_EQ(output("early"), "once\n");
}

TEST_F(NodeAgentTest, SaysThatAContainerIsLostWhoseShimWasKilled) {
  create_script("victim", "echo up; sleep 1000");
  wait_until("it is up",
             [&] { return phase("victim") == "Running" && output("victim") == "up\n"; });
  const auto record = read_running(
      world().files, ContainerPaths(PodPaths(node(), "uid-victim").attempt("main", 0)));
  kill_agent();
  auto shim = world().processes.attach(record->shim_pid, record->shim_start_ticks,
                                       [this](world::ExitState) { stop(); });
  ASSERT_TRUE(shim.ok());
  ASSERT_TRUE((*shim)->signal(9).ok());
  run();
  start_agent();
  wait_for_phase("victim", "Failed");
  EXPECT_EQ(container("victim").at("state.terminated.reason").as_string(),
            "ContainerStatusUnknown");
  EXPECT_FALSE(world().processes.start_ticks(record->main_pid).ok()) << "it died with its shim";
}

TEST_F(NodeAgentTest, RestartsByPolicyWithBackOffAndKeepsTheLastLog) {
  create_script("crasher", "echo run; exit 1", "restartPolicy: OnFailure");
  wait_until("it has crashed twice and waits", [&] {
    return container("crasher")["restartCount"].as_int() >= 1 &&
           container("crasher").at("state.waiting.reason").as_string() == "CrashLoopBackOff";
  });
  EXPECT_EQ(container("crasher").at("lastState.terminated.exitCode").as_int(), 1);
  EXPECT_EQ(phase("crasher"), "Running");
  EXPECT_EQ(output("crasher", 0), "run\n");
}

TEST_F(NodeAgentTest, WaitsWithAMessageForAnImageThatMapsToNothing) {
  create_pod("unmapped",
             "{containers: [{name: main, image: 'vllm/vllm-openai:v1', command: ['true']}]}");
  wait_until("it waits", [&] {
    return container("unmapped").at("state.waiting.reason").as_string() == "ImagePullBackOff";
  });
  const std::string& message = container("unmapped").at("state.waiting.message").as_string();
  EXPECT_NE(message.find("add it to the park file"), std::string::npos) << message;
  EXPECT_EQ(phase("unmapped"), "Pending");
}

TEST_F(NodeAgentTest, RunsInitContainersFirstAndSharesThePodsNetwork) {
  create_pod("multi",
             "{restartPolicy: Never, volumes: [{name: v, emptyDir: {}}], initContainers: [{name: "
             "init, image: bash, command: [sh, -c, 'echo made > /v/x'], volumeMounts: [{name: v, "
             "mountPath: /v}]}], containers: [{name: main, image: bash, command: [bash, -c, 'cat "
             "/v/x; until echo hi > /dev/tcp/127.0.0.1/9000; do sleep 0.02; done 2>/dev/null'], "
             "volumeMounts: [{name: v, mountPath: /v}]}, {name: side, image: python, command: "
             "[python3, -c, 'import socket; socket.create_server((\"127.0.0.1\", "
             "9000)).accept()']}]}");
  wait_for_phase("multi", "Succeeded");
  EXPECT_EQ(output("multi"), "made\n");
  EXPECT_EQ(
      status("multi")["initContainerStatuses"][size_t{0}].at("state.terminated.exitCode").as_int(),
      0);
}

TEST_F(NodeAgentTest, ResolvesTheNamesOfAHeadlessServiceAsTheyComeAndGo) {
  if (!world().files.exists("/usr/sbin/dnsmasq")) GTEST_SKIP() << "dnsmasq is missing";
  client::InProcessTransport transport(api_.handler(), {"controllers", {}}, world().timers);
  NameServer names(world(), transport, {.data_directory = data()});
  names.start([](base::Status status) { EXPECT_TRUE(status.ok()) << status.to_string(); });
  // The pod asks before there is anything to know, and must not be left with that answer.
  create_script("asker",
                "until getent hosts job-w-0.job; do sleep 0.05; done; getent ahosts job.default | "
                "cut -d' ' -f1 | sort -u; while getent hosts job-w-0.job >/dev/null; do sleep "
                "0.05; done; echo gone");
  wait_for_phase("asker", "Running");
  api_.put("/api/v1/namespaces/default/services/job",
           *api::parse_yaml("{apiVersion: v1, kind: Service, metadata: {name: job, namespace: "
                            "default}, spec: {clusterIP: None}}"));
  const std::string slice = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/job-x";
  api_.put(slice, *api::parse_yaml(
                      "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: "
                      "job-x, namespace: default, labels: {kubernetes.io/service-name: job}}, "
                      "endpoints: [{addresses: [10.64.1.77], hostname: job-w-0}, {addresses: "
                      "[10.64.1.78], hostname: job-w-1}]}"));
  wait_until("it has found both",
             [&] { return output("asker").find("10.64.1.78") != std::string::npos; });
  api_.erase(slice);
  wait_for_phase("asker", "Succeeded");
  const std::string said = output("asker");
  EXPECT_NE(said.find("job-w-0.job.default.svc.cluster.local"), std::string::npos) << said;
  EXPECT_TRUE(said.ends_with("\n10.64.1.77\n10.64.1.78\ngone\n")) << said;
}

TEST_F(NodeAgentTest, FollowsALogUntilTheContainerEnds) {
  create_script("talker", "echo one; while [ ! -e /shared/go ]; do sleep 0.02; done; echo two",
                "volumes: [{name: s, hostPath: {path: " + directory_ +
                    "/shared, type: DirectoryOrCreate}}], container: {volumeMounts: [{name: s, "
                    "mountPath: /shared}]}");
  wait_until("it talks", [&] { return output("talker") == "one\n"; });
  // The front has no TLS here, so that the test stands in for the API server's certificate.
  KubeletApi front(world(), [&] { return agent_->workers(); }, [] { return Json(); });
  const auto as = [&](const std::string& who) {
    auto made = std::make_unique<client::InProcessTransport>(
        [&front](net::Request request, net::ResponseSinkPtr sink) {
          front.handle(std::move(request), std::move(sink));
        },
        net::Identity{who, {}}, world().timers);
    return made;
  };
  struct Answer {
    int status = 0;
    std::string body;
    bool is_over = false;
  };
  const auto get = [&](client::Transport& transport, const std::string& target, Answer& answer) {
    return transport.send(
        {.method = "GET", .target = target},
        {.on_head = [&](const net::ResponseHead& head) { answer.status = head.status; },
         .on_data = [&](std::string_view bytes) { answer.body += bytes; },
         .on_end = [&](base::Status) { answer.is_over = true; }});
  };
  const std::string target = "/containerLogs/default/talker/main";
  const auto server = as(kApiServerIdentity);
  Answer whole, followed, stranger, nobody;
  const auto first = get(*server, target + "?tailLines=5", whole);
  const auto second = get(*server, target + "?follow=true", followed);
  const auto third_transport = as("admin");
  const auto third = get(*third_transport, target, stranger);
  const auto fourth_transport = as("");
  const auto fourth = get(*fourth_transport, target, nobody);
  wait_until("the answers came", [&] {
    return whole.is_over && stranger.is_over && nobody.is_over && followed.body == "one\n";
  });
  EXPECT_EQ(whole.body, "one\n");
  EXPECT_EQ(stranger.status, 403);
  EXPECT_EQ(nobody.status, 401);
  EXPECT_FALSE(followed.is_over);
  ASSERT_TRUE(world().files.replace(path("shared/go"), "").ok());
  wait_until("the log ended", [&] { return followed.is_over; });
  EXPECT_EQ(followed.body, "one\ntwo\n");
}

}  // namespace
}  // namespace pelton::agent

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "container-shim") {
    auto world = pelton::os::make_world();
    int code = 1;
    pelton::agent::ContainerShim shim((*world)->world(), argv[2], pelton::os::process_id(),
                                      [&](int exit_code) {
                                        code = exit_code;
                                        (*world)->stop();
                                      });
    (*world)->on_stop_signal([](int) {});
    shim.start();
    (*world)->run();
    return code;
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
