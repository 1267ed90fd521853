# SPDX-License-Identifier: Apache-2.0
"""Typed views: per type a class of accessors over a Json that it does not own."""
import re

from schema import CORE, JOBSET, META

BATCH = "io.k8s.api.batch.v1."
DISCOVERY = "io.k8s.api.discovery.v1."

# header -> (headers it needs, purpose, types). What is not named here reads as plain Json.
HEADERS = {
    "meta.h": ([], "Metadata, owners, conditions, selectors.", [
        META + t for t in ("OwnerReference", "ObjectMeta", "Condition", "LabelSelectorRequirement",
                           "LabelSelector")] + [CORE + "ObjectReference"]),
    "container.h": ([], "A container of a pod: what to run, with what around it.", [CORE + t for t in (
        "ObjectFieldSelector", "ResourceFieldSelector", "ConfigMapKeySelector", "SecretKeySelector",
        "EnvVarSource", "EnvVar", "ConfigMapEnvSource", "SecretEnvSource", "EnvFromSource",
        "ContainerPort", "ResourceRequirements", "VolumeMount", "ExecAction", "HTTPHeader",
        "HTTPGetAction", "TCPSocketAction", "GRPCAction", "Probe", "SleepAction",
        "LifecycleHandler", "Lifecycle", "Capabilities", "SecurityContext", "Container")]),
    "volume.h": (["container.h"], "Volumes of a pod.", [CORE + t for t in (
        "EmptyDirVolumeSource", "HostPathVolumeSource", "KeyToPath", "ConfigMapVolumeSource",
        "SecretVolumeSource", "DownwardAPIVolumeFile", "DownwardAPIVolumeSource",
        "ConfigMapProjection", "SecretProjection", "DownwardAPIProjection", "VolumeProjection",
        "ProjectedVolumeSource", "PersistentVolumeClaimVolumeSource", "Volume")]),
    "affinity.h": (["meta.h"], "Where a pod may run.", [CORE + t for t in (
        "Toleration", "NodeSelectorRequirement", "NodeSelectorTerm", "NodeSelector",
        "PreferredSchedulingTerm", "NodeAffinity", "PodAffinityTerm", "WeightedPodAffinityTerm",
        "PodAffinity", "PodAntiAffinity", "Affinity", "TopologySpreadConstraint",
        "PodSchedulingGate")]),
    "pod.h": (["meta.h", "container.h", "volume.h", "affinity.h"], "Pods.", [CORE + t for t in (
        "PodSecurityContext", "HostAlias", "PodDNSConfigOption", "PodDNSConfig", "PodSpec",
        "ContainerStateRunning", "ContainerStateTerminated", "ContainerStateWaiting",
        "ContainerState", "ContainerStatus", "PodCondition", "PodIP", "HostIP", "PodStatus",
        "PodTemplateSpec", "Pod")]),
    "node.h": (["meta.h"], "Nodes.", [CORE + t for t in (
        "Taint", "NodeSpec", "NodeAddress", "NodeCondition", "NodeSystemInfo", "DaemonEndpoint",
        "NodeDaemonEndpoints", "NodeStatus", "Node")]),
    "service.h": (["meta.h"], "Services and the endpoints behind them.", [CORE + t for t in (
        "ServicePort", "ServiceSpec", "Service")] + [DISCOVERY + t for t in (
            "EndpointConditions", "Endpoint", "EndpointPort", "EndpointSlice")]),
    "job.h": (["pod.h"], "Jobs.", [BATCH + t for t in (
        "PodFailurePolicyOnExitCodesRequirement", "PodFailurePolicyOnPodConditionsPattern",
        "PodFailurePolicyRule", "PodFailurePolicy", "SuccessPolicyRule", "SuccessPolicy",
        "JobSpec", "JobCondition", "UncountedTerminatedPods", "JobStatus", "JobTemplateSpec",
        "Job")]),
    "jobset.h": (["job.h"], "JobSets.", [JOBSET + t for t in (
        "Coordinator", "FailurePolicyRule", "FailurePolicy", "Network", "DependsOn",
        "ReplicatedJob", "StartupPolicy", "SuccessPolicy", "VolumeClaimRetentionPolicy",
        "VolumeClaimPolicy", "JobSetSpec", "ReplicatedJobStatus", "JobSetStatus", "JobSet")]),
    "event.h": (["meta.h"], "Events (core/v1).", [CORE + t for t in (
        "EventSource", "EventSeries", "Event")]),
    "config.h": (["meta.h"], "ConfigMaps, Secrets, Namespaces, ServiceAccounts, Leases.", [
        CORE + t for t in ("ConfigMap", "Secret", "NamespaceCondition", "NamespaceSpec",
                           "NamespaceStatus", "Namespace", "ServiceAccount")] + [
        "io.k8s.api.coordination.v1.LeaseSpec", "io.k8s.api.coordination.v1.Lease"]),
}

_RESERVED = {"namespace", "template", "operator", "default", "continue", "export", "json", "static"}
_SCALARS = {
    "String": ("const std::string&", ".as_string()"), "Bytes": ("const std::string&", ".as_string()"),
    "Time": ("const std::string&", ".as_string()"), "MicroTime": ("const std::string&", ".as_string()"),
    "Bool": ("bool", ".as_bool()"), "Int32": ("int64_t", ".as_int()"),
    "Int64": ("int64_t", ".as_int()"), "Double": ("double", ".as_double()"),
}


def _snake(name):
    name = re.sub(r"(IP|URL|ID)s$", lambda m: m.group(1).capitalize() + "s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower().replace("$", "")
    return name + "_" if name in _RESERVED else name


def class_name(type_name):
    short = type_name.rsplit(".", 1)[1]
    if type_name.startswith(JOBSET) and not short.startswith("JobSet"):
        short = "JobSet" + short
    return short + "View"


def _accessor(field, known):
    name, key = _snake(field["name"]), field["name"]
    value = f'at("{key}")'
    if field["shape"] == "List":
        if field["type"] in known:
            view = f"ListView<{class_name(field['type'])}>"
            result, body = view, f"{view}({value})"
        else:
            result, body = "const base::Json::Array&", value + ".items()"
    elif field["shape"] == "Map":
        result, body = "const base::Json&", value
    elif field["type"] in known:
        result = class_name(field["type"])
        body = f"{result}({value})"
    else:
        result, convert = _SCALARS.get(field["value"], ("const base::Json&", ""))
        body = value + convert
    return [f"  {result} {name}() const {{ return {body}; }}",
            f'  bool has_{name.rstrip("_")}() const {{ return json_->contains("{key}"); }}']


def headers(types, head):
    known = {t for _, _, names in HEADERS.values() for t in names}
    out = {}
    for header, (includes, purpose, names) in HEADERS.items():
        lines = [head.rstrip(), f"// {purpose}", "#pragma once"]
        lines += [f'#include "api/views/{i}"' for i in includes] + ['#include "api/views/view.h"']
        lines += ["", "namespace pelton::api {"]
        for name in names:
            lines += ["", f"class {class_name(name)} : public View {{", " public:",
                      "  using View::View;"]
            for field in types[name]:
                lines += _accessor(field, known)
            lines.append("};")
        lines += ["", "}  // namespace pelton::api", ""]
        out[header] = "\n".join(lines)
    return out
