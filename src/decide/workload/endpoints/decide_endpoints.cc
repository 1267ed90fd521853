// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/endpoints/decide_endpoints.h"

#include <algorithm>
#include <map>

#include "api/names.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

constexpr size_t kEndpointsPerSlice = 100;
constexpr std::string_view kServiceName = "kubernetes.io/service-name";

bool is_headless(const Json& service) {
  return service["spec"]["clusterIP"].as_string() == "None";
}

/// The port number that a Service port leads to in this pod; 0 where the pod has no such port.
int64_t target_port(const Json& port, const Json& pod) {
  const Json& target = port["targetPort"];
  if (target.is_int()) return target.as_int();
  if (!target.is_string()) return port["port"].as_int();
  for (const Json& container : pod["spec"]["containers"].items()) {
    for (const Json& offered : container["ports"].items()) {
      if (offered["name"].as_string() == target.as_string()) {
        return offered["containerPort"].as_int();
      }
    }
  }
  return 0;
}

Json ports_of(const Json& service, const std::vector<const Json*>& pods) {
  Json ports = Json::array();
  for (const Json& port : service["spec"]["ports"].items()) {
    int64_t number = 0;
    for (const Json* pod : pods) {
      number = target_port(port, *pod);
      if (number != 0) break;
    }
    if (number == 0) continue;
    const std::string& protocol = port["protocol"].as_string();
    ports.push_back(Json::object({{"name", port["name"].as_string()},
                                  {"port", number},
                                  {"protocol", protocol.empty() ? "TCP" : protocol}}));
  }
  return ports;
}

Json endpoint_of(const Json& service, const Json& pod) {
  const bool is_ready = api::is_condition_true(pod, "Ready");
  const bool is_terminating = api::is_being_deleted(pod);
  const bool publishes_all = service["spec"]["publishNotReadyAddresses"].as_bool();
  Json endpoint = Json::object(
      {{"addresses", Json::array({pod["status"]["podIP"]})},
       {"conditions", Json::object({{"ready", publishes_all || (is_ready && !is_terminating)},
                                    {"serving", is_ready},
                                    {"terminating", is_terminating}})},
       {"targetRef", Json::object({{"kind", "Pod"},
                                   {"namespace", api::namespace_of(pod)},
                                   {"name", api::name_of(pod)},
                                   {"uid", api::uid_of(pod)}})}});
  const Json& spec = pod["spec"];
  if (!spec["nodeName"].as_string().empty()) endpoint.set("nodeName", spec["nodeName"]);
  if (!spec["hostname"].as_string().empty() &&
      spec["subdomain"].as_string() == api::name_of(service)) {
    endpoint.set("hostname", spec["hostname"]);
  }
  return endpoint;
}

bool has_endpoint(const Json& pod) {
  const std::string& phase = pod["status"]["phase"].as_string();
  return phase != "Succeeded" && phase != "Failed" && !pod["status"]["podIP"].as_string().empty();
}

std::string slice_name(const Json& service, size_t number) {
  const uint64_t hash = base::hash64(api::uid_of(service) + "/" + std::to_string(number));
  return api::generate_name(api::name_of(service) + "-", hash);
}

Json make_slice(const Json& service, size_t number, Json endpoints, Json ports) {
  Json labels = api::labels_of(service);
  labels.set(kServiceName, api::name_of(service));
  labels.set("endpointslice.kubernetes.io/managed-by", "endpointslice-controller.k8s.io");
  if (is_headless(service)) labels.set("service.kubernetes.io/headless", "");
  return Json::object(
      {{"apiVersion", "discovery.k8s.io/v1"},
       {"kind", "EndpointSlice"},
       {"addressType", "IPv4"},
       {"metadata", Json::object({{"name", slice_name(service, number)},
                                  {"namespace", api::namespace_of(service)},
                                  {"labels", std::move(labels)},
                                  {"ownerReferences",
                                   Json::array({api::make_controller_reference(service)})}})},
       {"endpoints", std::move(endpoints)},
       {"ports", std::move(ports)}});
}

std::vector<Json> wanted_slices(const EndpointsObserved& observed) {
  const Json& service = *observed.service;
  std::vector<const Json*> pods;
  for (const Json* pod : observed.pods) {
    if (has_endpoint(*pod)) pods.push_back(pod);
  }
  std::sort(pods.begin(), pods.end(),
            [](const Json* a, const Json* b) { return api::name_of(*a) < api::name_of(*b); });
  const Json ports = ports_of(service, pods);
  std::vector<Json> slices;
  size_t at = 0;
  do {
    Json endpoints = Json::array();
    for (const size_t end = std::min(at + kEndpointsPerSlice, pods.size()); at < end; ++at) {
      endpoints.push_back(endpoint_of(service, *pods[at]));
    }
    slices.push_back(make_slice(service, slices.size(), std::move(endpoints), ports));
  } while (at < pods.size());
  return slices;
}

/// What we decide about a slice; the server adds the rest.
bool is_same(const Json& have, const Json& want) {
  const auto list = [](const Json& slice, const char* name) { return slice[name].items(); };
  return list(have, "endpoints") == list(want, "endpoints") &&
         list(have, "ports") == list(want, "ports") && api::labels_of(have) == api::labels_of(want);
}

}  // namespace

bool has_selected_endpoints(const Json& service) {
  return !service["spec"]["selector"].empty() &&
         service["spec"]["type"].as_string() != "ExternalName";
}

Decision decide_endpoints(const EndpointsObserved& observed) {
  Decision out;
  const Json& service = *observed.service;
  if (api::is_being_deleted(service) || !has_selected_endpoints(service)) return out;
  std::map<std::string, const Json*> have;
  for (const Json* slice : observed.slices) have[api::name_of(*slice)] = slice;
  for (Json& want : wanted_slices(observed)) {
    auto found = have.find(api::name_of(want));
    if (found == have.end()) {
      out.create(std::move(want), "the Service needs a slice");
      continue;
    }
    const Json& old = *found->second;
    if (!api::is_being_deleted(old) && !is_same(old, want)) {
      Json next = old;
      next.set("endpoints", want["endpoints"]);
      next.set("ports", want["ports"]);
      next.child("metadata").set("labels", api::labels_of(want));
      out.update(std::move(next), "its pods have changed");
    }
    have.erase(found);
  }
  for (const auto& [name, slice] : have) {
    if (!api::is_being_deleted(*slice)) out.remove(*slice, "fewer slices are needed");
  }
  return out;
}

}  // namespace pelton::decide::workload
