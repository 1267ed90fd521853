// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "api/object.h"
#include "base/strings.h"
#include "decide/placement/unschedulable.h"
#include "decide/recovery/observed.h"
#include "decide/workload/job/pods.h"
#include "decide/workload/jobset/children.h"
#include "decide/workload/node_lifecycle/taints.h"

namespace pelton::decide::recovery {
namespace {

using base::Json;

/// Taints by which those who take machines away say so.
constexpr std::array<std::string_view, 5> kNoticeTaints = {
    "cloud.google.com/impending-node-termination", "ToBeDeletedByClusterAutoscaler",
    "karpenter.sh/disrupted", "aws-node-termination-handler/spot-itn",
    "node.kubernetes.io/out-of-service"};

int64_t number_of(const std::string& text) {
  const base::Result<int64_t> value = base::parse_int(text);
  return value.ok() ? *value : 0;
}

/// The time that the text begins with, where it does.
std::optional<base::Instant> leading_time(const std::string& text) {
  const base::Result<base::Instant> time =
      base::parse_time(std::string_view(text).substr(0, text.find(' ')));
  if (!time.ok()) return std::nullopt;
  return *time;
}

std::string address_of(const Json& pod) {
  const std::string& ip = pod["status"]["podIP"].as_string();
  if (!ip.empty()) return ip;
  const std::string& hostname = pod["spec"]["hostname"].as_string();
  const std::string& subdomain = pod["spec"]["subdomain"].as_string();
  return hostname.empty() || subdomain.empty() ? "" : hostname + "." + subdomain;
}

}  // namespace

PodFacts observe_pod(const Json& pod) {
  PodFacts facts;
  facts.name = api::name_of(pod);
  facts.uid = api::uid_of(pod);
  facts.node = pod["spec"]["nodeName"].as_string();
  facts.address = address_of(pod);
  facts.created = api::creation_time_of(pod);
  constexpr int64_t kPodsOfAJob = 1'000'000;
  facts.order = number_of(api::label_of(pod, workload::kJobGlobalIndex)) * kPodsOfAJob +
                number_of(api::annotation_of(pod, workload::kCompletionIndex));
  const std::string& phase = pod["status"]["phase"].as_string();
  facts.has_ended = phase == "Succeeded" || phase == "Failed";
  facts.is_leaving = api::is_being_deleted(pod);
  if (facts.node.empty()) facts.expected_node = pod["status"]["nominatedNodeName"].as_string();
  facts.is_unschedulable = facts.expected_node.empty() && placement::is_unschedulable(pod);
  facts.has_joined = api::find_condition(pod, kWorkersCondition) != nullptr;
  facts.report = report_in(pod);
  if (const Json* target = api::find_condition(pod, "DisruptionTarget");
      target != nullptr && (*target)["status"].as_string() == "True") {
    facts.notice =
        Notice{(*target)["reason"].as_string(), leading_time((*target)["message"].as_string())};
  }
  return facts;
}

NodeFacts observe_node(const Json* node) {
  NodeFacts facts;
  facts.is_unreachable = node == nullptr;
  if (node == nullptr) return facts;
  facts.rack = api::label_of(*node, kRackLabel);
  const Json* ready = api::find_condition(*node, "Ready");
  if (ready != nullptr && (*ready)["status"].as_string() == "Unknown") facts.is_unreachable = true;
  for (const Json& taint : (*node)["spec"]["taints"].items()) {
    const std::string& key = taint["key"].as_string();
    if (key == workload::kUnreachable) facts.is_unreachable = true;
    if (key == kQuarantineTaint) facts.is_quarantined = true;
    if (std::find(kNoticeTaints.begin(), kNoticeTaints.end(), key) != kNoticeTaints.end()) {
      facts.notice = Notice{key, std::nullopt};
    }
  }
  if (api::is_condition_true(*node, kDeviceFault)) {
    facts.notice = Notice{(*api::find_condition(*node, kDeviceFault))["reason"].as_string(), {}};
  }
  if (api::is_condition_true(*node, kTerminationNotice)) {
    const Json& condition = *api::find_condition(*node, kTerminationNotice);
    facts.notice =
        Notice{condition["reason"].as_string(), leading_time(condition["message"].as_string())};
  }
  if (api::is_being_deleted(*node) && !facts.notice) facts.notice = Notice{"NodeDeleted", {}};
  return facts;
}

void observe_lease(const Json* lease, NodeFacts& facts) {
  if (lease == nullptr) return;
  const Json& spec = (*lease)["spec"];
  const base::Result<base::Instant> renewed = base::parse_time(spec["renewTime"].as_string());
  const int64_t seconds = spec["leaseDurationSeconds"].as_int();
  if (!renewed.ok() || seconds <= 0) return;
  facts.heard = *renewed;
  facts.lease = base::Duration::seconds(seconds);
}

void observe_jobset(const Json& jobset, Observed& observed) {
  observed.is_suspended = jobset["spec"]["suspend"].as_bool();
  observed.has_ended = api::is_condition_true(jobset, "Completed") ||
                       api::is_condition_true(jobset, "Failed") || api::is_being_deleted(jobset);
  observed.attempt = jobset["status"]["restarts"].as_int();
  observed.wanted_pods = 0;
  for (const Json& replicated_job : jobset["spec"]["replicatedJobs"].items()) {
    const Json& job = replicated_job["template"]["spec"];
    observed.wanted_pods +=
        static_cast<int>(workload::replicas_of(replicated_job) * job["parallelism"].as_int(1));
    if (job.at("template.spec.restartPolicy").as_string() == "Never") continue;
    const std::string why =
        "replicated job " + replicated_job["name"].as_string() +
        " has restartPolicy OnFailure, under which a replaced pod counts as a failure of its Job: "
        "set restartPolicy: Never";
    observed.off.emplace(Rung::RestartPod, why);
  }
  observed.record.name = api::name_of(jobset);
  observed.record.uid = api::uid_of(jobset);
}

}  // namespace pelton::decide::recovery
