// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_inputs.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "agent/sandbox_command.h"
#include "api/yaml.h"

namespace pelton::agent {
namespace {

using base::Json;

Json yaml(const std::string& text) {
  const auto value = api::parse_yaml(text);
  EXPECT_TRUE(value.ok()) << value.status().to_string();
  return *value;
}

PodInputs inputs() {
  PodInputs made{.node_name = "node-1", .host_address = "127.0.0.1", .pod_address = "10.64.2.3"};
  made.config_maps["settings"] = yaml("{data: {color: red, run.sh: 'echo hi'}}");
  made.secrets["key"] = yaml("{data: {token: c2VjcmV0}}");
  made.node_cpu = api::Quantity::of(4);
  made.node_memory = api::Quantity::of_bytes(int64_t{4} << 30);
  return made;
}

const char* const kPod = R"yaml(
metadata: {name: web-0, namespace: default, uid: u-1, labels: {app: web}}
spec:
  containers:
  - name: main
    command: [/bin/echo, "$(COLOR) $$(COLOR) $(UNKNOWN) $"]
    args: ["$(WHO)"]
    envFrom:
    - {configMapRef: {name: settings}, prefix: S_}
    - {secretRef: {name: none, optional: true}}
    env:
    - {name: WHO, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: COLOR, valueFrom: {configMapKeyRef: {name: settings, key: color}}}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: key, key: token}}}
    - {name: LATER, value: "$(COLOR)-$(WHO)"}
    - {name: NONE, valueFrom: {secretKeyRef: {name: nope, key: x, optional: true}}}
    - {name: CPUS, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: MEM, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    resources: {limits: {memory: 100M}}
  volumes:
  - {name: scratch, emptyDir: {}}
  - name: conf
    configMap:
      {name: settings, defaultMode: 0600, items: [{key: run.sh, path: bin/run, mode: 0755}]}
  - name: all
    projected:
      sources:
      - {configMap: {name: settings}}
      - {secret: {name: key}}
      - {downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: shared, hostPath: {path: /srv/data/, type: DirectoryOrCreate}}
)yaml";

TEST(PodInputs, BuildsTheEnvironmentFromEverySource) {
  const Json pod = yaml(kPod);
  const Json& container = pod.at("spec.containers").items()[0];
  const auto env = build_environment(pod, container, inputs(), {{"PATH", "/bin"}});
  ASSERT_TRUE(env.ok()) << env.status().to_string();
  const std::vector<std::pair<std::string, std::string>> expected = {
      {"PATH", "/bin"}, {"S_color", "red"},  {"S_run.sh", "echo hi"},
      {"WHO", "web-0"}, {"APP", "web"},      {"IP", "10.64.2.3"},
      {"COLOR", "red"}, {"TOKEN", "secret"}, {"LATER", "red-web-0"},
      {"CPUS", "4"},    {"MEM", "96"}};
  EXPECT_EQ(*env, expected);
  EXPECT_EQ(build_argv(container, *env),
            (std::vector<std::string>{"/bin/echo", "red $(COLOR) $(UNKNOWN) $", "web-0"}));
}

TEST(PodInputs, NamesWhatIsMissing) {
  const Json pod = yaml(kPod);
  PodInputs without = inputs();
  without.config_maps.clear();
  Json container = pod.at("spec.containers").items()[0];
  auto env = build_environment(pod, container, without, {});
  EXPECT_EQ(env.status().message(), "configmap \"settings\" not found");
  container.erase("envFrom");
  env = build_environment(pod, container, without, {});
  EXPECT_EQ(env.status().message(), "container main, env COLOR: configmap \"settings\" not found");
  const auto volumes = plan_volumes(pod, without, "/data");
  EXPECT_EQ(volumes.status().message(), "volume conf: configmap \"settings\" not found");
}

TEST(PodInputs, PlansVolumesWithPathsAndModes) {
  const Json pod = yaml(kPod);
  const auto volumes = plan_volumes(pod, inputs(), "/data");
  ASSERT_TRUE(volumes.ok()) << volumes.status().to_string();
  ASSERT_EQ(volumes->size(), 4u);
  EXPECT_TRUE((*volumes)[0].files.empty());
  EXPECT_EQ((*volumes)[0].kind, VolumePlan::Kind::Directory);
  EXPECT_EQ((*volumes)[1].files, (std::vector<VolumeFile>{{"bin/run", "echo hi", 0755}}));
  EXPECT_EQ((*volumes)[2].files, (std::vector<VolumeFile>{{"color", "red", 0644},
                                                          {"run.sh", "echo hi", 0644},
                                                          {"token", "secret", 0644},
                                                          {"labels", "app=\"web\"", 0644}}));
  EXPECT_EQ((*volumes)[3].host_path, "/srv/data");
}

TEST(PodInputs, RefusesVolumesThatWouldShowTheDataDirectory) {
  for (const char* path : {"/data/c1", "/data", "/", "/data/c1/nodes", "/data/../data/c1"}) {
    const Json pod =
        yaml(std::string("{spec: {volumes: [{name: v, hostPath: {path: ") + path + "}}]}}");
    EXPECT_FALSE(plan_volumes(pod, {}, "/data/c1").ok()) << path;
  }
  const Json sibling = yaml("{spec: {volumes: [{name: v, hostPath: {path: /data/c10}}]}}");
  EXPECT_TRUE(plan_volumes(sibling, {}, "/data/c1").ok());
  const Json escape = yaml(
      "{spec: {volumes: [{name: v, configMap: {name: settings, items: [{key: color, path: "
      "../x}]}}]}}");
  EXPECT_FALSE(plan_volumes(escape, inputs(), "/data").ok());
  const Json claim = yaml("{spec: {volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]}}");
  EXPECT_EQ(plan_volumes(claim, {}, "/data").status().code(), base::Code::Unimplemented);
}

TEST(PodInputs, SizesMemoryByTheLeastOfSizeLimitThePodsLimitsAndTheNode) {
  const auto bytes_of = [](const std::string& empty_dir, const std::string& containers) {
    const Json pod =
        yaml("{spec: {volumes: [{name: m, emptyDir: " + empty_dir + "}], " + containers + "}}");
    const auto plans = plan_volumes(pod, inputs(), "/data");
    EXPECT_TRUE(plans.ok()) << plans.status().to_string();
    EXPECT_EQ(plans->at(0).kind, VolumePlan::Kind::Memory);
    return plans->at(0).memory_bytes;
  };
  const std::string unlimited = "containers: [{name: a}]";
  const std::string limited =
      "containers: [{name: a, resources: {limits: {memory: 300Mi}}}, {name: b, resources: "
      "{limits: {memory: 200Mi}}}], initContainers: [{name: i, resources: {limits: {memory: "
      "400Mi}}}]";
  EXPECT_EQ(bytes_of("{medium: Memory}", unlimited), int64_t{4} << 30);
  EXPECT_EQ(bytes_of("{medium: Memory}", limited), int64_t{500} << 20);
  EXPECT_EQ(bytes_of("{medium: Memory, sizeLimit: 64Mi}", limited), int64_t{64} << 20);
  EXPECT_EQ(bytes_of("{medium: Memory, sizeLimit: 1Gi}", limited), int64_t{500} << 20);
  const Json huge = yaml("{spec: {volumes: [{name: m, emptyDir: {medium: HugePages}}]}}");
  EXPECT_EQ(plan_volumes(huge, inputs(), "/data").status().code(), base::Code::Unimplemented);
}

TEST(PodInputs, SaysWhyATokenIsNotProjected) {
  const Json pod = yaml(
      "{spec: {volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: "
      "token}}]}}]}}");
  const auto plans = plan_volumes(pod, inputs(), "/data");
  EXPECT_EQ(plans.status().code(), base::Code::Unimplemented);
  EXPECT_NE(plans.status().message().find("volume t: a projected serviceAccountToken is not"),
            std::string::npos)
      << plans.status().message();
}

TEST(PodInputs, TellsWhatVolumesShowFromWhatOnlyTheEnvironmentNames) {
  EXPECT_EQ(mounted_objects(yaml(kPod)).secrets, (std::set<std::string>{"key"}));
  EXPECT_TRUE(shows_metadata(yaml(kPod)));
  EXPECT_FALSE(shows_metadata(yaml("{spec: {volumes: [{name: c, configMap: {name: x}}]}}")));
}

TEST(PodInputs, FindsEveryReferencedObject) {
  const auto found = referenced_objects(yaml(kPod));
  EXPECT_EQ(found.config_maps, (std::set<std::string>{"settings"}));
  EXPECT_EQ(found.secrets, (std::set<std::string>{"key", "none", "nope"}));
}

bool has_sequence(const std::vector<std::string>& args, const std::vector<std::string>& wanted) {
  return std::search(args.begin(), args.end(), wanted.begin(), wanted.end()) != args.end();
}

TEST(SandboxCommand, TakesReadOnlyDirectoriesApartForMountPointsThatAreMissing) {
  const SandboxSpec spec{.namespaces = {"/n", "/u", "/i"},
                         .root = {.directories = {"etc", "usr"}, .links = {{"bin", "usr/bin"}}},
                         .hidden = {"/usr/local/pelton-data", "/srv/data"},
                         .mounts = {{.from = "/v/inner", .to = "/etc/app/inner"},
                                    {.from = "/v/conf", .to = "/etc/app", .is_read_only = true},
                                    {.from = "/v/data", .to = "/data"}},
                         .working_directory = "/data",
                         .argv = {"sh", "-c", "true"}};
  const PathFacts facts{
      .exists = [](const std::string& path) { return path == "/etc" || path == "/usr"; },
      .names = [](const std::string&) { return std::vector<std::string>{"mtab", "passwd"}; }};
  const auto args = build_sandbox_command({}, spec, facts);
  EXPECT_TRUE(has_sequence(args, {"--tmpfs", "/etc", "--ro-bind-try", "/etc/passwd", "/etc/passwd",
                                  "--ro-bind-try", "/usr", "/usr"}));
  EXPECT_TRUE(has_sequence(args, {"--tmpfs", "/usr/local/pelton-data"}));
  EXPECT_FALSE(has_sequence(args, {"--tmpfs", "/srv/data"})) << "not visible in the first place";
  EXPECT_TRUE(has_sequence(args, {"--bind", "/v/data", "/data", "--ro-bind", "/v/conf", "/etc/app",
                                  "--bind", "/v/inner", "/etc/app/inner"}))
      << "outer mount points first";
  EXPECT_TRUE(has_sequence(args, {"/usr/bin/nice", "-n", "5", "/usr/bin/nsenter", "--net=/n"}));
  EXPECT_TRUE(has_sequence(args, {"--ro-bind", "/proc/sys", "/proc/sys"}));
  EXPECT_TRUE(has_sequence(args, {"--chdir", "/data", "--", "sh", "-c", "true"}));
}

}  // namespace
}  // namespace pelton::agent
