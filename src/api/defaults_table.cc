// SPDX-License-Identifier: Apache-2.0
#include "api/defaults_table.h"

namespace pelton::api {
namespace {

#define CORE "io.k8s.api.core.v1."
#define BATCH "io.k8s.api.batch.v1."
#define PELTON "dev.pelton.v1alpha1."
#define JOBSET "io.x-k8s.jobset.v1alpha2."

// Sorted by type: default_rows() is searched.
constexpr DefaultRow kRows[] = {
    {PELTON "RecoveryBudget", "generations", "60"},
    {PELTON "RecoveryBudget", "podReplacements", "20"},
    {PELTON "RecoveryBudget", "quarantines", "3"},
    {PELTON "RecoveryBudget", "windowSeconds", "600"},
    {PELTON "RecoveryPolicy", "spec", "{}"},
    {PELTON "RecoveryPolicySpec", "budget", "{}"},
    {PELTON "RecoveryPolicySpec", "memoryReplicas", "1"},
    {PELTON "RecoveryPolicySpec", "ranksPerReplica", "1"},
    {PELTON "RecoveryPolicySpec", "spares", "0"},
    {BATCH "JobCondition", "lastProbeTime", "null"},
    {BATCH "JobCondition", "lastTransitionTime", "null"},
    {BATCH "JobSpec", "completionMode", R"("NonIndexed")"},
    {BATCH "JobSpec", "manualSelector", "false"},
    {BATCH "JobSpec", "parallelism", "1"},
    {BATCH "JobSpec", "suspend", "false"},
    {BATCH "PodFailurePolicyOnPodConditionsPattern", "status", R"("True")"},
    {CORE "ConfigMapVolumeSource", "defaultMode", "420"},
    {CORE "Container", "terminationMessagePath", R"("/dev/termination-log")"},
    {CORE "Container", "terminationMessagePolicy", R"("File")"},
    {CORE "Container", "resources", "{}"},
    {CORE "ContainerPort", "protocol", R"("TCP")"},
    {CORE "DownwardAPIVolumeSource", "defaultMode", "420"},
    {CORE "EphemeralContainer", "terminationMessagePath", R"("/dev/termination-log")"},
    {CORE "EphemeralContainer", "terminationMessagePolicy", R"("File")"},
    {CORE "Event", "eventTime", "null"},
    {CORE "Event", "firstTimestamp", "null"},
    {CORE "Event", "lastTimestamp", "null"},
    {CORE "Event", "reportingComponent", R"("")"},
    {CORE "Event", "reportingInstance", R"("")"},
    {CORE "Event", "source", "{}"},
    {CORE "GRPCAction", "service", R"("")"},
    {CORE "HTTPGetAction", "path", R"("/")"},
    {CORE "HTTPGetAction", "scheme", R"("HTTP")"},
    {CORE "HostPathVolumeSource", "type", R"("")"},
    {CORE "Node", "spec", "{}"},
    {CORE "Node", "status", "{}"},
    {CORE "NodeCondition", "lastHeartbeatTime", "null"},
    {CORE "NodeCondition", "lastTransitionTime", "null"},
    {CORE "NodeStatus", "daemonEndpoints", R"({"kubeletEndpoint":{"Port":0}})"},
    {CORE "NodeStatus", "nodeInfo",
     R"({"architecture":"","bootID":"","containerRuntimeVersion":"","kernelVersion":"",)"
     R"("kubeProxyVersion":"","kubeletVersion":"","machineID":"","operatingSystem":"",)"
     R"("osImage":"","systemUUID":""})"},
    {CORE "ObjectFieldSelector", "apiVersion", R"("v1")"},
    {CORE "PersistentVolumeClaimSpec", "volumeMode", R"("Filesystem")"},
    {CORE "Pod", "spec", "{}"},
    {CORE "PodCondition", "lastProbeTime", "null"},
    {CORE "PodCondition", "lastTransitionTime", "null"},
    {CORE "PodSpec", "dnsPolicy", R"("ClusterFirst")"},
    {CORE "PodSpec", "restartPolicy", R"("Always")"},
    {CORE "PodSpec", "schedulerName", R"("default-scheduler")"},
    {CORE "PodSpec", "securityContext", "{}"},
    {CORE "PodSpec", "terminationGracePeriodSeconds", "30"},
    {CORE "Probe", "failureThreshold", "3"},
    {CORE "Probe", "periodSeconds", "10"},
    {CORE "Probe", "successThreshold", "1"},
    {CORE "Probe", "timeoutSeconds", "1"},
    {CORE "ProjectedVolumeSource", "defaultMode", "420"},
    {CORE "ResourceFieldSelector", "divisor", R"("0")"},
    {CORE "Secret", "type", R"("Opaque")"},
    {CORE "SecretVolumeSource", "defaultMode", "420"},
    {CORE "ServiceAccountTokenProjection", "expirationSeconds", "3600"},
    {CORE "ServicePort", "protocol", R"("TCP")"},
    {CORE "ServiceSpec", "sessionAffinity", R"("None")"},
    {CORE "ServiceSpec", "type", R"("ClusterIP")"},
    {"io.k8s.api.coordination.v1.Lease", "spec", "{}"},
    {"io.k8s.api.discovery.v1.Endpoint", "conditions", "{}"},
    {"io.k8s.api.discovery.v1.EndpointPort", "name", R"("")"},
    {"io.k8s.api.discovery.v1.EndpointPort", "protocol", R"("TCP")"},
    {"io.k8s.api.events.v1.Event", "deprecatedFirstTimestamp", "null"},
    {"io.k8s.api.events.v1.Event", "deprecatedLastTimestamp", "null"},
    {"io.k8s.api.events.v1.Event", "deprecatedSource", "{}"},
    {"io.k8s.api.events.v1.Event", "eventTime", "null"},
    {JOBSET "Coordinator", "jobIndex", "0"},
    {JOBSET "Coordinator", "podIndex", "0"},
    {JOBSET "FailurePolicy", "maxRestarts", "0"},
    {JOBSET "FailurePolicy", "restartStrategy", R"("Recreate")"},
    {JOBSET "Network", "enableDNSHostnames", "true"},
    {JOBSET "Network", "publishNotReadyAddresses", "true"},
    {JOBSET "ReplicatedJob", "groupName", R"("default")"},
    {JOBSET "ReplicatedJob", "replicas", "1"},
    {JOBSET "StartupPolicy", "startupPolicyOrder", R"("AnyOrder")"},
    {JOBSET "SuccessPolicy", "operator", R"("All")"},
    {JOBSET "VolumeClaimPolicy", "retentionPolicy", R"({"whenDeleted":"Delete"})"},
    {JOBSET "VolumeClaimRetentionPolicy", "whenDeleted", R"("Delete")"},
    {"io.k8s.api.rbac.v1.ClusterRole", "rules", "null"},
    {"io.k8s.api.rbac.v1.Role", "rules", "null"},
};

}  // namespace

std::span<const DefaultRow> default_rows() {
  return kRows;
}

}  // namespace pelton::api
