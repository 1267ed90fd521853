// SPDX-License-Identifier: Apache-2.0
#include "agent/node_object.h"

#include "agent/address_pool.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr int64_t kMaxPods = 110;

std::string architecture_of_build() {
#if defined(__aarch64__)
  return "arm64";
#else
  return "amd64";
#endif
}

Json capacity_of(const Machine& machine) {
  Json capacity = Json::object({{"cpu", machine.type.cpu.to_string()},
                                {"memory", machine.type.memory.to_string()},
                                {"pods", std::to_string(kMaxPods)}});
  for (const auto& [resource, count] : machine.type.accelerators) {
    capacity.set(resource, std::to_string(count));
  }
  return capacity;
}

}  // namespace

Json build_node(const Machine& machine) {
  Json labels = Json::object();
  for (const auto& [key, value] : machine.labels) labels.set(key, value);
  labels.set("kubernetes.io/hostname", machine.node_name);
  labels.set("kubernetes.io/arch", architecture_of_build());
  labels.set("kubernetes.io/os", "linux");
  labels.set("node.kubernetes.io/instance-type", machine.type.name);
  if (!machine.zone.empty()) labels.set("topology.kubernetes.io/zone", machine.zone);
  if (!machine.type.accelerators.empty()) labels.set(kVirtualAcceleratorLabel, "true");
  const std::string cidr = pod_cidr(machine.index);
  return Json::object(
      {{"apiVersion", "v1"},
       {"kind", "Node"},
       {"metadata", Json::object({{"name", machine.node_name}, {"labels", std::move(labels)}})},
       {"spec", Json::object({{"podCIDR", cidr},
                              {"podCIDRs", Json::array({cidr})},
                              {"providerID", "pelton://local/" + machine.node_name}})}});
}

Json build_offer(const Machine& machine) {
  Json node = build_node(machine);
  node.make("status.allocatable") = capacity_of(machine);
  return node;
}

Json build_node_status(const Machine& machine, const NodeFacts& facts,
                       const std::optional<api::Condition>& fault, const Json& before,
                       base::Instant now) {
  Json capacity = capacity_of(machine);
  Json holder = Json::object();
  Json& status = holder.set("status", Json::object());
  if (!before["conditions"].is_null()) status.set("conditions", before["conditions"]);
  const bool is_limiting = facts.limits_problem.empty();
  for (const api::Condition& condition :
       {api::Condition{
            kLimitsCondition, is_limiting ? "True" : "False",
            is_limiting ? "ControlGroups" : "ControlGroupsUnavailable",
            is_limiting
                ? "limits of cpu and memory are enforced by control groups, " + facts.limits_home
                : "limits of cpu and memory are not enforced: " + facts.limits_problem},
        api::Condition{"MemoryPressure", "False", "KubeletHasSufficientMemory",
                       "kubelet has sufficient memory available"},
        api::Condition{"DiskPressure", "False", "KubeletHasNoDiskPressure",
                       "kubelet has no disk pressure"},
        api::Condition{"PIDPressure", "False", "KubeletHasSufficientPID",
                       "kubelet has sufficient PID available"},
        api::Condition{"Ready", "True", "KubeletReady", "kubelet is posting ready status"}}) {
    api::set_condition(holder, condition, now);
  }
  const bool is_same_boot = before.at("nodeInfo.bootID").as_string() == facts.boot_id;
  const bool has_fault = is_same_boot && api::is_condition_true(holder, kDeviceFault);
  if (fault) {
    api::set_condition(holder, *fault, now);
  } else if (!has_fault) {
    api::set_condition(holder,
                       {kDeviceFault, "False", "NoFault", "the kernel has reported no fault"}, now);
  }
  Json out = *holder.find("status");
  for (Json& condition : out.find_mutable("conditions")->mutable_items()) {
    condition.set("lastHeartbeatTime", base::format_time(now));
  }
  out.set("capacity", capacity);
  out.set("allocatable", std::move(capacity));
  out.set("addresses",
          Json::array({Json::object({{"type", "InternalIP"}, {"address", facts.host_address}}),
                       Json::object({{"type", "Hostname"}, {"address", machine.node_name}})}));
  out.set("daemonEndpoints",
          Json::object({{"kubeletEndpoint", Json::object({{"Port", facts.kubelet_port}})}}));
  out.set("nodeInfo", Json::object({{"architecture", architecture_of_build()},
                                    {"operatingSystem", "linux"},
                                    {"kernelVersion", facts.kernel_version},
                                    {"osImage", facts.os_image},
                                    {"machineID", facts.machine_id},
                                    {"systemUUID", facts.machine_id},
                                    {"bootID", facts.boot_id},
                                    {"containerRuntimeVersion", "pelton://0.1.0"},
                                    {"kubeletVersion", "v1.37.0-pelton"},
                                    {"kubeProxyVersion", ""}}));
  return out;
}

Json build_lease(const std::string& node_name, base::Duration duration, base::Instant now) {
  return Json::object(
      {{"apiVersion", "coordination.k8s.io/v1"},
       {"kind", "Lease"},
       {"metadata", Json::object({{"name", node_name}, {"namespace", kLeaseNamespace}})},
       {"spec", Json::object({{"holderIdentity", node_name},
                              {"leaseDurationSeconds", duration.ms() / 1000},
                              {"renewTime", base::format_micro_time(now)}})}});
}

}  // namespace pelton::agent
