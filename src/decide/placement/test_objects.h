// SPDX-License-Identifier: Apache-2.0
// A cluster as objects, for the tests of placement.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <string>

#include "decide/placement/decide_placement.h"
#include "decide/placement/explain.h"

namespace pelton::decide::placement {

using base::Json;

inline Json parse(const std::string& text) {
  auto json = Json::parse(text);
  EXPECT_TRUE(json.ok()) << json.status().to_string() << "\n" << text;
  return json.ok() ? *json : Json();
}

/// Builds objects and keeps them alive.
class Cluster {
 public:
  Json& node(const std::string& name, const std::string& allocatable) {
    return nodes_.emplace_back(parse(R"({"apiVersion":"v1","kind":"Node","metadata":{"name":")" +
                                     name + R"(","labels":{"kubernetes.io/hostname":")" + name +
                                     R"("}},"status":{"allocatable":)" + allocatable + "}}"));
  }
  Json& pod(const std::string& name, const std::string& requests = "{}",
            const std::string& node = "") {
    Json& pod = pods_.emplace_back(parse(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"default","name":")" + name +
        R"(","uid":"uid-)" + name +
        R"(","creationTimestamp":"2026-01-01T00:00:00Z"},"spec":{"containers":[{"name":"c",)" +
        R"("resources":{"requests":)" + requests + "}}]}}"));
    if (!node.empty()) pod.child("spec").set("nodeName", node);
    return pod;
  }
  Json& jobset(const std::string& name, const std::string& replicated_jobs) {
    return jobsets_.emplace_back(parse(
        R"({"kind":"JobSet","metadata":{"namespace":"default","name":")" + name +
        R"(","uid":"js-)" + name + R"("},"spec":{"replicatedJobs":)" + replicated_jobs + "}}"));
  }
  Json& job(const std::string& jobset, const std::string& replicated, int index, int parallelism,
            int attempt = 0) {
    const std::string name = jobset + "-" + replicated + "-" + std::to_string(index);
    Json& job = jobs_.emplace_back(parse(
        R"({"kind":"Job","metadata":{"namespace":"default","name":")" + name + R"(","uid":"job-)" +
        name + R"("},"spec":{"parallelism":)" + std::to_string(parallelism) + "}}"));
    label(job, jobset, replicated, attempt);
    return job;
  }
  /// A pod of that Job.
  Json& member(const Json& job, int index, const std::string& requests,
               const std::string& node = "") {
    const std::string job_name = job["metadata"]["name"].as_string();
    Json& made = pod(job_name + "-" + std::to_string(index), requests, node);
    made.child("metadata").set("labels", job["metadata"]["labels"]);
    made.child("metadata")
        .set("ownerReferences", Json::array({Json::object({{"kind", "Job"},
                                                           {"name", job_name},
                                                           {"uid", job["metadata"]["uid"]},
                                                           {"controller", true}})}));
    return made;
  }
  bool has_pod(const std::string& name) const {
    return std::any_of(pods_.begin(), pods_.end(), [&](const Json& pod) {
      return pod["metadata"]["name"].as_string() == name;
    });
  }
  Json& find_node(const std::string& name) {
    for (Json& node : nodes_) {
      if (node["metadata"]["name"].as_string() == name) return node;
    }
    ADD_FAILURE() << "no node " << name;
    return nodes_.front();
  }
  Json& find_pod(const std::string& name) {
    for (Json& pod : pods_) {
      if (pod["metadata"]["name"].as_string() == name) return pod;
    }
    ADD_FAILURE() << "no pod " << name;
    return pods_.front();
  }
  Objects list(const std::list<Json>& objects) const {
    Objects out;
    for (const Json& object : objects) out.push_back(&object);
    return out;
  }
  Json& namespace_(const std::string& name, const std::string& labels) {
    return namespaces_.emplace_back(parse(R"({"kind":"Namespace","metadata":{"name":")" + name +
                                          R"(","labels":)" + labels + "}}"));
  }
  World world() const {
    return {list(nodes_), list(pods_), list(jobs_), list(jobsets_), list(namespaces_)};
  }
  Observed observed() const { return observe(world()); }
  Decision decide() const { return decide_placement(observed()); }
  PodExplanation explain(const std::string& name) const {
    auto out = explain_pod(world(), "default", name);
    EXPECT_TRUE(out.ok()) << out.status().to_string();
    return out.ok() ? *out : PodExplanation();
  }

 private:
  void label(Json& object, const std::string& jobset, const std::string& replicated, int attempt) {
    object.child("metadata")
        .set("labels", Json::object({{kJobSetUidLabel, "js-" + jobset},
                                     {kJobSetNameLabel, jobset},
                                     {kReplicatedJobLabel, replicated},
                                     {kRestartAttemptLabel, std::to_string(attempt)}}));
  }
  std::list<Json> nodes_, pods_, jobs_, jobsets_, namespaces_;
};

inline constexpr const char* kTpuHost =
    R"({"cpu":"4","memory":"8Gi","pods":"10","google.com/tpu":"1"})";
inline constexpr const char* kOneTpu = R"({"cpu":"1","google.com/tpu":"1"})";

/// Pod -> node.
inline std::map<std::string, std::string> bindings_of(const Decision& decision) {
  std::map<std::string, std::string> out;
  for (const Placement& placement : decision.placements) {
    for (const Binding& b : placement.bindings) out[b.pod_name] = b.node_name;
  }
  return out;
}

inline std::string message_for(const Decision& decision, const std::string& pod) {
  for (const Unplaced& unplaced : decision.unplaced) {
    if (unplaced.pod_name == pod) return unplaced.why.message();
  }
  return "(placed)";
}

using Bindings = std::map<std::string, std::string>;

}  // namespace pelton::decide::placement
