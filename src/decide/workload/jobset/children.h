// SPDX-License-Identifier: Apache-2.0
// A JobSet's children: their names, labels and templates. Pure.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"

namespace pelton::decide::workload {

inline constexpr std::string_view kJobSetName = "jobset.sigs.k8s.io/jobset-name";
inline constexpr std::string_view kJobSetUid = "jobset.sigs.k8s.io/jobset-uid";
inline constexpr std::string_view kReplicatedJobName = "jobset.sigs.k8s.io/replicatedjob-name";
inline constexpr std::string_view kReplicatedJobReplicas =
    "jobset.sigs.k8s.io/replicatedjob-replicas";
inline constexpr std::string_view kJobIndex = "jobset.sigs.k8s.io/job-index";
inline constexpr std::string_view kJobGlobalIndex = "jobset.sigs.k8s.io/job-global-index";
inline constexpr std::string_view kGlobalReplicas = "jobset.sigs.k8s.io/global-replicas";
inline constexpr std::string_view kGroupName = "jobset.sigs.k8s.io/group-name";
inline constexpr std::string_view kGroupReplicas = "jobset.sigs.k8s.io/group-replicas";
inline constexpr std::string_view kJobGroupIndex = "jobset.sigs.k8s.io/job-group-index";
inline constexpr std::string_view kJobKey = "jobset.sigs.k8s.io/job-key";
inline constexpr std::string_view kRestartAttempt = "jobset.sigs.k8s.io/restart-attempt";
/// On the JobSet or on a replicated job's template (which wins): handed down to Jobs and pods. Who
/// places the pods (decide/placement) gives each Job a domain of that node label for itself.
inline constexpr std::string_view kExclusiveTopology =
    "alpha.jobset.sigs.k8s.io/exclusive-topology";
/// Beside it: not so, but users label and taint nodes per Job.
inline constexpr std::string_view kNodeSelectorStrategy = "alpha.jobset.sigs.k8s.io/node-selector";
/// The label and the taint's key of those nodes.
inline constexpr std::string_view kNamespacedJob = "alpha.jobset.sigs.k8s.io/namespaced-job";
inline constexpr std::string_view kNoScheduleTaint = "alpha.jobset.sigs.k8s.io/no-schedule";
/// On a JobSet: the RecoveryPolicy by which it survives. Handed down to Jobs and pods, so that
/// their agents know.
inline constexpr std::string_view kRecoveryPolicy = "pelton.dev/recovery-policy";
inline constexpr std::string_view kCoordinator = "jobset.sigs.k8s.io/coordinator";

/// spec.replicatedJobs[].replicas; 1 where absent.
int64_t replicas_of(const base::Json& replicated_job);
/// Of all replicatedJobs.
int64_t total_replicas(const base::Json& jobset);
/// "<jobset>-<replicated job>-<index>".
std::string child_job_name(const base::Json& jobset, std::string_view replicated_job,
                           int64_t index);
/// network.subdomain, or the JobSet's name: also the headless Service's name.
std::string subdomain_of(const base::Json& jobset);
/// network.enableDNSHostnames; true where absent.
bool has_dns_hostnames(const base::Json& jobset);

/// The Job number `index` of the replicated job at `position` of spec.replicatedJobs, of the
/// present restart attempt.
base::Json make_child_job(const base::Json& jobset, size_t position, int64_t index);
base::Json make_headless_service(const base::Json& jobset);

/// Hex SHA-1 of "<namespace>/<job name>".
std::string job_key(std::string_view namespace_name, std::string_view job_name);

}  // namespace pelton::decide::workload
