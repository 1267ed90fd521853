// SPDX-License-Identifier: Apache-2.0
// Real pods: probes, hooks, sidecars, deadlines.
#include "agent/node_agent_fixture.h"
#include "agent/process_usage.h"

namespace pelton::agent {
namespace {

class PodFeaturesTest : public NodeAgentTest {
 protected:
  /// A volume "s" at /shared, by which the test and the pod speak: path("shared/…").
  std::string shared() const {
    return "volumes: [{name: s, hostPath: {path: " + directory_ +
           "/shared, type: DirectoryOrCreate}}], ";
  }
  static constexpr const char* kMount = "volumeMounts: [{name: s, mountPath: /shared}]";
  void touch(const std::string& name) {
    EXPECT_TRUE(world().files.make_directories(path("shared")).ok());
    ASSERT_TRUE(world().files.replace(path("shared/" + name), "x").ok());
  }
  std::string shared_file(const std::string& name) {
    const auto text = world().files.read(path("shared/" + name));
    return text.ok() ? *text : "";
  }
  bool has_event(const std::string& reason, const std::string& message) const {
    for (const Json& event : api_.list("/api/v1/namespaces/default/events/")) {
      if (event["reason"].as_string() == reason &&
          event["message"].as_string().find(message) != std::string::npos) {
        return true;
      }
    }
    return false;
  }
  bool is_ready(const std::string& pod) const {
    return api::is_condition_true(api_.get(path_of(pod)), "Ready");
  }
};

constexpr const char* kServer =
    "exec python3 -c \"\n"
    "import http.server, os\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "  def do_GET(self):\n"
    "    good = not os.path.exists('/shared/bad') and self.path == '/healthz?full=1' and "
    "self.headers['X-Who'] == 'probe' and 'kube-probe' in self.headers['User-Agent']\n"
    "    self.send_response(200 if good else 500); self.end_headers()\n"
    "  def log_message(self, *a): pass\n"
    "http.server.HTTPServer(('', 8080), H).serve_forever()\"";

TEST_F(PodFeaturesTest, AReadinessProbeByExecRunsInsideTheContainerAndMovesReady) {
  create_script("gated", "sleep 1000",
                shared() + "container: {" + kMount +
                    ", workingDir: /var/tmp, env: [{name: WHO, value: me}], securityContext: "
                    "{runAsUser: 1234}, readinessProbe: {periodSeconds: 1, failureThreshold: 1, "
                    "exec: {command: [sh, -c, 'id -u; echo $WHO; pwd; grep -E CapBnd "
                    "/proc/self/status; hostname; ls /proc | grep -c ^[0-9]; test -e "
                    "/shared/ready']}}}");
  wait_until("its probe has failed",
             [&] { return has_event("Unhealthy", "Readiness probe failed: "); });
  EXPECT_TRUE(has_event("Unhealthy", "1234\nme\n/var/tmp\nCapBnd:\t00000000a00405fb\ngated\n"))
      << "as the container";
  EXPECT_EQ(phase("gated"), "Running");
  EXPECT_FALSE(container("gated")["ready"].as_bool());
  EXPECT_TRUE(container("gated")["started"].as_bool());
  touch("ready");
  wait_until("it is ready", [&] { return is_ready("gated"); });
  EXPECT_TRUE(container("gated")["ready"].as_bool());
  ASSERT_TRUE(world().files.remove(path("shared/ready")).ok());
  wait_until("it is not ready any more", [&] { return !is_ready("gated"); });
  EXPECT_EQ(container("gated")["restartCount"].as_int(), 0);
}

TEST_F(PodFeaturesTest, AFailedLivenessProbeByHttpRestartsTheContainer) {
  create_script("served", kServer,
                shared() + "restartPolicy: Always, container: {" + kMount +
                    ", ports: [{name: web, containerPort: 8080}], startupProbe: {periodSeconds: 1, "
                    "failureThreshold: 600, tcpSocket: {port: 8080}}, livenessProbe: "
                    "{periodSeconds: 1, failureThreshold: 2, timeoutSeconds: 30, "
                    "terminationGracePeriodSeconds: 1, httpGet: {port: web, path: "
                    "'/healthz?full=1', httpHeaders: [{name: X-Who, value: probe}]}}}");
  wait_until("it is ready", [&] { return is_ready("served"); });
  touch("bad");
  wait_until("it was restarted", [&] { return container("served")["restartCount"].as_int() >= 1; });
  EXPECT_TRUE(
      has_event("Unhealthy", "Liveness probe failed: HTTP probe failed with statuscode: 500"));
  EXPECT_TRUE(has_event("Killing", "Container main failed liveness probe, will be restarted"));
  ASSERT_TRUE(world().files.remove(path("shared/bad")).ok());
  wait_until("it is ready again", [&] { return is_ready("served"); });
  EXPECT_TRUE(has_event("Unhealthy",
                        "Startup probe failed: dial tcp 10.64.1.2:8080: connect: "
                        "connection refused"));
}

TEST_F(PodFeaturesTest, AProbeThatHangsIsCutAndAnotherAgentKeepsWhatItKnew) {
  create_script("slow", "sleep 1000",
                shared() + "container: {" + kMount +
                    ", readinessProbe: {periodSeconds: 1, failureThreshold: 1, exec: {command: "
                    "[sh, -c, 'test -e /shared/ready || sleep 500']}}}");
  wait_until("the probe is cut", [&] {
    return has_event("Unhealthy",
                     "Readiness probe failed: command timed out: \"sh -c test -e "
                     "/shared/ready || sleep 500\" timed out after 1s");
  });
  touch("ready");
  wait_until("it is ready", [&] { return is_ready("slow"); });
  kill_agent();
  start_agent();
  wait_until("the new agent knows the pod",
             [&] { return !agent_->workers().empty() && agent_->workers()[0]->is_known_to_api(); });
  settle();
  EXPECT_TRUE(is_ready("slow")) << "an agent's restart takes no pod out of service";
}

TEST_F(PodFeaturesTest, RunsHooksAndSidecarsAroundTheMainContainer) {
  create_pod(
      "crew",
      "{restartPolicy: Never, " + shared() +
          "initContainers: [{name: side, image: busybox, restartPolicy: Always, "
          "volumeMounts: [{name: s, mountPath: /shared}], startupProbe: {periodSeconds: 1, exec: "
          "{command: [test, -e, /shared/side-up]}}, command: [bash, -c, \"trap 'echo side >> "
          "/shared/order; exit 0' TERM; touch /shared/side-up; while :; do sleep 0.05; done\"]}], "
          "containers: [{name: main, image: busybox, volumeMounts: [{name: s, mountPath: "
          "/shared}], "
          "lifecycle: {postStart: {exec: {command: [sh, -c, 'echo post >> /shared/order; touch "
          "/shared/posted']}}, preStop: {exec: {command: [sh, -c, 'echo pre >> /shared/order']}}}, "
          "command: [bash, -c, \"trap 'echo main >> /shared/order; exit 0' TERM; until [ -e "
          "/shared/posted ]; do sleep 0.05; done; while :; do sleep 0.05; done\"]}]}");
  wait_until("it is ready", [&] { return is_ready("crew"); });
  EXPECT_TRUE(status("crew")["initContainerStatuses"][0]["started"].as_bool());
  api_.remove_gracefully(path_of("crew"), 60);
  wait_until("it is gone", [&] { return api_.get(path_of("crew")).is_null(); });
  EXPECT_EQ(shared_file("order"), "post\npre\nmain\nside\n");
  EXPECT_EQ(api_.erased(path_of("crew"))["status"]["phase"].as_string(), "Succeeded");
}

TEST_F(PodFeaturesTest, ASidecarDoesNotKeepAPodFromCompleting) {
  create_pod("batch",
             "{restartPolicy: Never, initContainers: [{name: side, image: busybox, restartPolicy: "
             "Always, command: [sleep, '1000']}], containers: [{name: main, image: busybox, "
             "command: [echo, done]}]}");
  wait_for_phase("batch", "Succeeded");
  EXPECT_TRUE(status("batch")["initContainerStatuses"][0]["state"].contains("terminated"));
}

TEST_F(PodFeaturesTest, AFailedPostStartHookEndsTheContainer) {
  create_script("unhooked", "sleep 1000",
                "container: {lifecycle: {postStart: {exec: {command: [sh, -c, 'exit 3']}}}}");
  wait_for_phase("unhooked", "Failed");
  EXPECT_TRUE(has_event("FailedPostStartHook", "PostStartHook failed"));
  EXPECT_TRUE(has_event("Killing", "FailedPostStartHook"));
}

TEST_F(PodFeaturesTest, TellsTheTerminationMessageAndFallsBackToTheLog) {
  create_script("said", "echo why > /dev/termination-log; exit 4",
                "container: {terminationMessagePath: /dev/termination-log}");
  create_script("silent", "echo to stdout; echo to stderr >&2; exit 5",
                "container: {terminationMessagePath: /var/tmp/said, terminationMessagePolicy: "
                "FallbackToLogsOnError}");
  create_script("fine", "echo nothing to report",
                "container: {terminationMessagePath: /dev/termination-log, "
                "terminationMessagePolicy: FallbackToLogsOnError}");
  wait_for_phase("said", "Failed");
  wait_for_phase("silent", "Failed");
  wait_for_phase("fine", "Succeeded");
  EXPECT_EQ(container("said").at("state.terminated.message").as_string(), "why\n");
  const std::string silent = container("silent").at("state.terminated.message").as_string();
  EXPECT_NE(silent.find("to stdout\n"), std::string::npos) << silent;
  EXPECT_NE(silent.find("to stderr\n"), std::string::npos) << silent;
  EXPECT_FALSE(container("fine").at("state.terminated").contains("message"));
  const std::string log =
      *world().files.read(ContainerPaths(PodPaths(node(), "uid-silent").attempt("main", 0)).log());
  EXPECT_NE(log.find(" stdout F to stdout\n"), std::string::npos) << log;
  EXPECT_NE(log.find(" stderr F to stderr\n"), std::string::npos) << log;
}

TEST_F(PodFeaturesTest, FollowsALogThroughItsRotations) {
  kill_agent();
  log_limits_ = {.max_bytes = 2000, .max_files = 2};
  start_agent();
  create_script("wordy",
                "for n in 1 2 3 4; do for i in $(seq 50); do echo \"line $n $i\"; done; until [ -e "
                "/shared/$n ]; do sleep 0.02; done; done",
                shared() + "container: {" + kMount + "}");
  wait_until("it runs", [&] {
    return !agent_->workers().empty() && agent_->workers()[0]->attempt("main", false).has_value();
  });
  KubeletApi front(world(), [&] { return agent_->workers(); }, [] { return Json(); });
  client::InProcessTransport server(
      [&front](net::Request request, net::ResponseSinkPtr sink) {
        front.handle(std::move(request), std::move(sink));
      },
      net::Identity{kApiServerIdentity, {}}, world().timers);
  std::string followed, expected;
  bool is_over = false;
  std::unique_ptr<net::Exchange> exchange;
  for (int n = 1; n <= 4; ++n) {
    std::string block;
    for (int i = 1; i <= 50; ++i) {
      block += "line " + std::to_string(n) + " " + std::to_string(i) + "\n";
    }
    if (n == 1) {  // what was rotated away before is not shown, as kubectl knows it
      exchange =
          server.send({.method = "GET", .target = "/containerLogs/default/wordy/main?follow=true"},
                      {.on_head = [](const net::ResponseHead&) {},
                       .on_data = [&](std::string_view bytes) { followed += bytes; },
                       .on_end = [&](base::Status) { is_over = true; }});
      wait_until("the first block's end", [&] { return followed.ends_with("line 1 50\n"); });
      followed = block;
    }
    expected += block;
    wait_until("block " + std::to_string(n), [&] { return followed == expected; });
    touch(std::to_string(n));
  }
  wait_until("the log ended", [&] { return is_over; });
  EXPECT_EQ(followed, expected);
  EXPECT_GE(rotated_logs(world().files, *agent_->workers()[0]->attempt("main", false)).back(), 3);
}

/// The pod says in its log what it reads, each time that it is another text. As programs do that
/// need all files of one moment: all by one target of ..data, which is still the same afterwards.
constexpr const char* kTellChanges =
    "last=; while :; do at=$(readlink /conf/..data); now=$(cat /conf/$at/* 2>/dev/null); "
    "if [ \"$at\" = \"$(readlink /conf/..data)\" ] && [ \"$now\" != \"$last\" ]; "
    "then echo \"[$now]\"; last=$now; fi; sleep 0.02; done";

TEST_F(PodFeaturesTest, ShowsChangedConfigMapsSecretsAndLabelsInRunningContainers) {
  const std::string settings = "/api/v1/namespaces/default/configmaps/settings";
  const std::string key = "/api/v1/namespaces/default/secrets/key";
  const auto object = [](const char* kind, const char* name, Json data) {
    return Json::object(
        {{"apiVersion", "v1"},
         {"kind", kind},
         {"metadata", Json::object({{"name", name}, {"namespace", "default"}, {"uid", name}})},
         {"data", std::move(data)}});
  };
  api_.put(settings, object("ConfigMap", "settings", Json::object({{"color", "red"}})));
  create_script("reader", kTellChanges,
                "volumes: [{name: c, projected: {sources: [{configMap: {name: settings}}, "
                "{secret: {name: key, optional: true}}, {downwardAPI: {items: [{path: who, "
                "fieldRef: {fieldPath: \"metadata.labels['app']\"}}]}}]}}], container: "
                "{volumeMounts: [{name: c, mountPath: /conf}]}");
  wait_until("it reads", [&] { return output("reader").find("[redreader]\n") == 0; });
  // One step: never one file new and another old.
  api_.put(settings,
           object("ConfigMap", "settings", Json::object({{"color", "blue"}, {"shape", "round"}})));
  wait_until("it reads the change",
             [&] { return output("reader") == "[redreader]\n[blueroundreader]\n"; });
  api_.put(key, object("Secret", "key", Json::object({{"token", "czNjcmV0"}})));
  wait_until("an optional object appears", [&] {
    return output("reader").ends_with(
        "[blueroundreader]\n[blueround"
        "s3cretreader]\n");
  });
  Json pod = api_.get(path_of("reader"));
  pod.child("metadata").child("labels").set("app", "other");
  api_.put(path_of("reader"), pod);
  wait_until("its own label",
             [&] { return output("reader").ends_with("[bluerounds3cretother]\n"); });

  kill_agent();
  api_.put(settings, object("ConfigMap", "settings", Json::object({{"color", "green"}})));
  start_agent();
  wait_until("what changed while no agent looked",
             [&] { return output("reader").ends_with("[greens3cretother]\n"); });
  api_.erase(settings);
  wait_until("it is told that the object is gone", [&] {
    return has_event("FailedMount",
                     "MountVolume.SetUp failed for volume c: configmap \"settings\" not found");
  });
  EXPECT_TRUE(output("reader").ends_with("[greens3cretother]\n")) << "the old content stays";
  EXPECT_EQ(phase("reader"), "Running");
}

TEST_F(PodFeaturesTest, AMemoryVolumeIsSharedLimitedAndGivenBack) {
  const std::string mounts = "volumeMounts: [{name: m, mountPath: /mem}]";
  create_pod(
      "memory",
      "{restartPolicy: Never, volumes: [{name: m, emptyDir: {medium: Memory, sizeLimit: "
      "1Mi}}], initContainers: [{name: first, image: busybox, " +
          mounts +
          ", command: [sh, -c, 'stat -f -c %T /mem; echo kept > /mem/note']}], containers: "
          "[{name: main, image: busybox, " +
          mounts +
          ", securityContext: {runAsUser: 1000}, command: [sh, -c, 'cat /mem/note; stat -f "
          "-c %T /mem; head -c 2000000 /dev/zero > /mem/big; ls -l /mem/big; sleep 1000']}]}");
  const std::string volume = PodPaths(node(), "uid-memory").volume("m");
  const auto is_mounted = [&] {
    return world().files.read("/proc/mounts")->find(" " + volume + " tmpfs ") != std::string::npos;
  };
  wait_until("it has written",
             [&] { return output("memory").find("/mem/big\n") != std::string::npos; });
  const std::string said = output("memory");
  EXPECT_EQ(said.find("kept\ntmpfs\n"), 0u) << said;
  EXPECT_NE(said.find("No space left on device"), std::string::npos) << said;
  EXPECT_TRUE(is_mounted());
  kill_agent();
  start_agent();
  EXPECT_TRUE(world().files.exists(volume + "/note"));
  api_.remove_gracefully(path_of("memory"), 1);
  wait_until("it is gone", [&] { return api_.get(path_of("memory")).is_null(); });
  wait_until("its directory is gone",
             [&] { return !world().files.exists(PodPaths(node(), "uid-memory").directory); });
  EXPECT_FALSE(is_mounted());
}

TEST_F(PodFeaturesTest, MountsSubPathsAndFollowsNoLinkOutOfTheVolume) {
  create_script(
      "sub",
      "cat /etc/app.conf; echo one > /a/f; ls -d /whole/x/y-sub; cat /whole/x/y-sub/f; "
      "stat -c %a /a",
      "volumes: [{name: e, emptyDir: {}}, {name: c, downwardAPI: {items: [{path: "
      "deep/name, fieldRef: {fieldPath: metadata.name}}]}}], container: {env: [{name: ME, "
      "value: sub}], volumeMounts: [{name: e, mountPath: /a, subPathExpr: 'x/y-$(ME)'}, "
      "{name: e, mountPath: /whole}, {name: c, mountPath: /etc/app.conf, subPath: "
      "deep/name}]}");
  wait_for_phase("sub", "Succeeded");
  EXPECT_EQ(output("sub"), "sub/whole/x/y-sub\none\n777\n");

  create_pod(
      "thief",
      "{restartPolicy: Never, volumes: [{name: e, emptyDir: {}}], initContainers: [{name: "
      "i, image: busybox, volumeMounts: [{name: e, mountPath: /e}], command: [sh, -c, 'ln -s "
      "/ /e/out; ln -s . /e/in; mkdir /e/real']}], containers: [{name: main, image: busybox, "
      "command: ['true'], volumeMounts: [{name: e, mountPath: /in, subPath: in/real}, "
      "{name: e, mountPath: /host, subPath: out/root}]}]}");
  wait_until("it is refused", [&] {
    return container("thief").at("state.waiting.reason").as_string() ==
           "CreateContainerConfigError";
  });
  EXPECT_EQ(container("thief").at("state.waiting.message").as_string(),
            "subPath \"out/root\" leaves its volume");
}

TEST_F(PodFeaturesTest, HoldsContainersToTheirLimitsAndTellsWhoRanOutOfMemory) {
  const std::string path = "/api/v1/nodes/node-0";
  wait_until("the node tells of limits",
             [&] { return api::find_condition(api_.get(path), kLimitsCondition) != nullptr; });
  if (!api::is_condition_true(api_.get(path), kLimitsCondition)) {
    GTEST_SKIP() << (*api::find_condition(api_.get(path), kLimitsCondition))["message"].as_string();
  }
  create_script("greedy", "x=a; while :; do x=$x$x; done",
                "container: {resources: {limits: {memory: 48Mi}}}");
  create_script("bounded", "cat /proc/self/cgroup; sleep 1000",
                "container: {resources: {requests: {cpu: 100m}, limits: {cpu: 500m, memory: "
                "48Mi}}}");
  wait_for_phase("greedy", "Failed");
  EXPECT_EQ(container("greedy").at("state.terminated.reason").as_string(), "OOMKilled");
  EXPECT_EQ(container("greedy").at("state.terminated.exitCode").as_int(), 137);
  wait_until("it has printed", [&] { return !output("bounded").empty(); });
  EXPECT_NE(output("bounded").find("poduid-bounded/main-0"), std::string::npos)
      << output("bounded");
  const auto order =
      read_order(world().files, ContainerPaths(PodPaths(node(), "uid-bounded").attempt("main", 0)));
  ASSERT_TRUE(order.ok());
  ASSERT_FALSE(order->cgroups.empty());
  const CgroupUsage usage = read_cgroup_usage(world().files, order->cgroups);
  EXPECT_GT(usage.cpu_ns.value_or(0), 0);
  EXPECT_GT(usage.working_set_bytes.value_or(0), 0);
  EXPECT_FALSE(has_oom_kill(world().files, order->cgroups));
  api_.remove_gracefully(path_of("bounded"), 1);
  wait_until("its directory is gone",
             [&] { return !world().files.exists(PodPaths(node(), "uid-bounded").directory); });
  for (const std::string& group : order->cgroups) {
    EXPECT_FALSE(world().files.exists(group)) << group;
    EXPECT_FALSE(world().files.exists(group.substr(0, group.rfind('/')))) << group;
  }
}

TEST_F(PodFeaturesTest, TellsWhatContainersUse) {
  create_script("busy", "while :; do :; done");
  create_script("calm", "x=$(head -c 20000000 /dev/zero | tr '\\0' a); sleep 1000; echo $?");
  wait_for_phase("busy", "Running");
  wait_for_phase("calm", "Running");
  UsageMeter meter(world(), "node-0", int64_t{4} << 30, [&] {
    std::vector<MeteredContainer> out;
    for (const PodWorker* worker : agent_->workers()) {
      out.push_back({api::name_of(worker->pod()), "default", api::uid_of(worker->pod()),
                     worker->start_time(), "main", *worker->attempt("main", false)});
    }
    return out;
  });
  Json summary;
  const auto of = [&](const std::string& pod) {
    for (const Json& entry : summary["pods"].items()) {
      if (entry.at("podRef.name").as_string() == pod) return entry["containers"][0];
    }
    return Json();
  };
  wait_until("both are known", [&] {
    summary = meter.summary();
    return of("busy").at("cpu.usageNanoCores").as_int() > 50'000'000 &&
           of("calm").at("memory.workingSetBytes").as_int() > 20'000'000;
  });
  EXPECT_LT(of("busy").at("memory.workingSetBytes").as_int(), 20'000'000);
  EXPECT_GE(summary.at("node.cpu.usageNanoCores").as_int(),
            of("busy").at("cpu.usageNanoCores").as_int());
  EXPECT_LT(summary.at("node.memory.availableBytes").as_int(), (int64_t{4} << 30) - 20'000'000);
  // The same by the processes alone, for machines without control groups.
  const auto running =
      read_running(world().files, ContainerPaths(PodPaths(node(), "uid-calm").attempt("main", 0)));
  ASSERT_TRUE(running);
  EXPECT_GT(*read_process_usage(world().files, running->init_pid).memory_bytes, 20'000'000);
}

TEST_F(PodFeaturesTest, APodIsEndedAtItsDeadline) {
  create_script("late", "sleep 1000", "activeDeadlineSeconds: 1");
  wait_for_phase("late", "Failed");
  EXPECT_EQ(status("late")["reason"].as_string(), "DeadlineExceeded");
  EXPECT_EQ(container("late").at("state.terminated.exitCode").as_int(), 143);
}

}  // namespace
}  // namespace pelton::agent
