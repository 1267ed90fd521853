// SPDX-License-Identifier: Apache-2.0
#include "api/columns.h"

#include <gtest/gtest.h>

#include "api/object.h"
#include "api/openapi.h"
#include "api/yaml.h"

namespace pelton::api {
namespace {

using base::Json;

// The cells that `kubectl get` shows (with "|" between), an hour after everything began.
std::string row(const char* yaml, bool is_wide = false) {
  const Json object = parse_yaml(yaml).value();
  const ResourceInfo* info = Registry::builtin().find_kind(gvk_of(object));
  const auto columns = columns_of(*info);
  const auto cells = cells_of(*info, object, base::parse_time("2026-01-01T01:00:00Z").value());
  EXPECT_EQ(columns.size(), cells.size());
  std::string out;
  for (size_t i = 0; i < cells.size(); ++i) {
    if (columns[i].priority > 0 && !is_wide) continue;
    if (!out.empty()) out += "|";
    out += cells[i].is_string() ? cells[i].as_string() : cells[i].dump();
  }
  return out;
}

std::string pod(const char* status, const char* metadata = "") {
  return row((std::string("apiVersion: v1\nkind: Pod\nmetadata: {name: p, creationTimestamp: "
                          "'2026-01-01T00:00:00Z', ") +
              metadata +
              "}\nspec: {containers: [{name: a}, {name: b}], initContainers: [{name: i}]}\n" +
              "status: " + status)
                 .c_str());
}

TEST(Columns, SayAPodsStateInOneWord) {
  EXPECT_EQ(pod("{phase: Pending}"), "p|0/2|Pending|0|60m");
  EXPECT_EQ(
      pod("{phase: Running, containerStatuses: [{ready: true, restartCount: 2, state: {running: "
          "{}},"
          "lastState: {terminated: {finishedAt: '2026-01-01T00:59:00Z'}}}, {ready: true, state: "
          "{running: {}}}]}"),
      "p|2/2|Running|2 (60s ago)|60m");
  EXPECT_EQ(
      pod("{phase: Pending, containerStatuses: [{state: {waiting: {reason: ErrImagePull}}}]}"),
      "p|0/2|ErrImagePull|0|60m");
  EXPECT_EQ(
      pod("{phase: Succeeded, containerStatuses: [{state: {terminated: {reason: Completed}}}]}"),
      "p|0/2|Completed|0|60m");
  EXPECT_EQ(pod("{phase: Failed, containerStatuses: [{state: {terminated: {exitCode: 3}}}]}"),
            "p|0/2|ExitCode:3|0|60m");
  EXPECT_EQ(pod("{phase: Pending, initContainerStatuses: [{state: {running: {}}}]}"),
            "p|0/2|Init:0/1|0|60m");
  EXPECT_EQ(pod("{phase: Running}", "deletionTimestamp: '2026-01-01T00:00:30Z'"),
            "p|0/2|Terminating|0|60m");
  EXPECT_EQ(pod("{phase: Failed, reason: Evicted}"), "p|0/2|Evicted|0|60m");
}

TEST(Columns, ShowTheOtherKinds) {
  EXPECT_EQ(
      row("{apiVersion: batch/v1, kind: Job, metadata: {name: j, creationTimestamp: "
          "'2026-01-01T00:00:00Z'}, spec: {completions: 4}, status: {succeeded: 1, startTime: "
          "'2026-01-01T00:00:00Z', completionTime: '2026-01-01T00:00:09Z', conditions: [{type: "
          "Complete, status: 'True'}]}}"),
      "j|Complete|1/4|9s|60m");
  EXPECT_EQ(
      row("{apiVersion: jobset.x-k8s.io/v1alpha2, kind: JobSet, metadata: {name: s}, spec: "
          "{suspend: "
          "false}, status: {restarts: 2, terminalState: Completed, conditions: [{type: Completed, "
          "status: 'True'}]}}"),
      "s|Completed|2|True|false|<unknown>");
  EXPECT_EQ(
      row("{apiVersion: pelton.dev/v1alpha1, kind: RecoveryPolicy, metadata: {name: p}, status: "
          "{jobSets: [{name: train, uid: u, fullWorldSize: 8, generation: {number: 3, phase: "
          "Running, members: [{ranks: 4}, {ranks: 2}]}, lastDecision: {rung: Shrink}}]}}"),
      "p|train|3 Running|6/8|Shrink|<unknown>");
  EXPECT_EQ(row("{apiVersion: v1, kind: Node, metadata: {name: n1, labels: "
                "{node-role.kubernetes.io/w: ''}}, "
                "spec: {unschedulable: true}, status: {nodeInfo: {kubeletVersion: v1}, conditions: "
                "[{type: "
                "Ready, status: 'True'}]}}"),
            "n1|Ready,SchedulingDisabled|w|<unknown>|v1");
  EXPECT_EQ(
      row("{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ClusterIP, clusterIP: "
          "None, ports: [{port: 80, protocol: TCP}], selector: {a: b}}}",
          true),
      "s|ClusterIP|None|<none>|80/TCP|<unknown>|a=b");
  EXPECT_EQ(row("{apiVersion: v1, kind: Event, metadata: {name: e}, type: Normal, reason: R, "
                "message: 'm ', "
                "involvedObject: {kind: Pod, name: p}, lastTimestamp: '2026-01-01T00:59:30Z'}"),
            "30s|Normal|R|pod/p|m");
  EXPECT_EQ(row("{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {a: b}}"),
            "c|1|<unknown>");
}

TEST(OpenApi, DescribesWhatKubectlNeeds) {
  const Json doc = openapi_v3(Registry::builtin(), {"", "v1"});
  const Json& pod = doc["components"]["schemas"]["io.k8s.api.core.v1.Pod"];
  EXPECT_EQ(pod["x-kubernetes-group-version-kind"].dump(),
            R"([{"group":"","kind":"Pod","version":"v1"}])");
  const Json& containers =
      doc["components"]["schemas"]["io.k8s.api.core.v1.PodSpec"]["properties"]["containers"];
  EXPECT_EQ(containers["x-kubernetes-patch-merge-key"].as_string(), "name");
  EXPECT_EQ(containers["x-kubernetes-patch-strategy"].as_string(), "merge");
  const Json& patch = doc["paths"]["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"];
  EXPECT_EQ(patch["x-kubernetes-group-version-kind"]["kind"].as_string(), "Pod");
  EXPECT_TRUE(patch["requestBody"]["content"].contains("application/strategic-merge-patch+json"));
  const std::string text = patch["parameters"].dump();
  EXPECT_NE(text.find("fieldValidation"), std::string::npos);
}

TEST(OpenApi, HasNoReferenceIntoNothing) {
  for (const GroupVersion& group_version : Registry::builtin().group_versions()) {
    const Json doc = openapi_v3(Registry::builtin(), group_version);
    const std::string text = doc.dump();
    const std::string_view marker = "\"#/components/schemas/";
    for (size_t at = text.find(marker); at != std::string::npos; at = text.find(marker, at + 1)) {
      const size_t begin = at + marker.size();
      const std::string name = text.substr(begin, text.find('"', begin) - begin);
      ASSERT_TRUE(doc["components"]["schemas"].contains(name)) << name;
    }
  }
}

TEST(Registry, FindsResourcesBothWays) {
  const Registry& registry = Registry::builtin();
  for (const ResourceInfo* found : registry.resources()) {
    const ResourceInfo& info = *found;
    EXPECT_EQ(registry.find(info.group, info.version, info.plural), &info);
    EXPECT_EQ(registry.find_kind(info.api_version(), info.kind), &info);
    EXPECT_NE(info.storage, nullptr);
  }
  EXPECT_EQ(registry.find("", "v1", "unicorns"), nullptr);
  EXPECT_EQ(registry.find("batch", "v1", "jobs")->qualified_kind(), "Job.batch");
  EXPECT_EQ(registry.find("", "v1", "nodes")->store_key("", "n"), "/core/nodes//n");
}

TEST(Object, SetsConditionsAndKeepsTransitionTimes) {
  Json object = Json::object();
  const auto t1 = base::Instant::from_unix_seconds(1), t2 = base::Instant::from_unix_seconds(2);
  EXPECT_TRUE(set_condition(object, {"Ready", "False", "A", "a"}, t1));
  EXPECT_TRUE(set_condition(object, {"Ready", "False", "B", "b"}, t2));
  EXPECT_EQ((*find_condition(object, "Ready"))["lastTransitionTime"].as_string(),
            base::format_time(t1));
  EXPECT_FALSE(set_condition(object, {"Ready", "False", "B", "b"}, t2));
  EXPECT_TRUE(set_condition(object, {"Ready", "True", "C", ""}, t2));
  EXPECT_EQ((*find_condition(object, "Ready"))["lastTransitionTime"].as_string(),
            base::format_time(t2));
  EXPECT_TRUE(is_condition_true(object, "Ready"));
}

}  // namespace
}  // namespace pelton::api
