// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_etc.h"

#include <vector>

#include "agent/address_pool.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

void append_strings(std::vector<std::string>& out, const Json& list) {
  for (const Json& item : list.items()) out.push_back(item.as_string());
}

}  // namespace

std::string pod_hostname(const Json& pod) {
  const std::string& given = pod.at("spec.hostname").as_string();
  std::string name = given.empty() ? api::name_of(pod) : given;
  name.resize(std::min<size_t>(name.size(), 63));
  while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
  return name;
}

PodEtc build_pod_etc(const Json& pod, const std::string& address) {
  PodEtc etc;
  const std::string hostname = pod_hostname(pod);
  const std::string& subdomain = pod.at("spec.subdomain").as_string();
  const std::string services = api::namespace_of(pod) + ".svc." + kClusterDomain;
  etc.hostname = hostname + "\n";
  etc.hosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" + address + "\t";
  if (!subdomain.empty()) etc.hosts += hostname + "." + subdomain + "." + services + "\t";
  etc.hosts += hostname + "\n";
  for (const Json& alias : pod.at("spec.hostAliases").items()) {
    std::vector<std::string> names;
    append_strings(names, alias["hostnames"]);
    etc.hosts += alias["ip"].as_string() + "\t" + base::join(names, "\t") + "\n";
  }

  std::vector<std::string> servers, searches, options;
  if (pod.at("spec.dnsPolicy").as_string() != "None") {
    servers = {kGatewayAddress};
    searches = {services, std::string("svc.") + kClusterDomain, kClusterDomain};
    options = {"ndots:5"};
  }
  append_strings(servers, pod.at("spec.dnsConfig.nameservers"));
  append_strings(searches, pod.at("spec.dnsConfig.searches"));
  for (const Json& option : pod.at("spec.dnsConfig.options").items()) {
    const std::string& value = option["value"].as_string();
    options.push_back(option["name"].as_string() + (value.empty() ? "" : ":" + value));
  }
  if (!searches.empty()) etc.resolv_conf += "search " + base::join(searches, " ") + "\n";
  for (const std::string& server : servers) etc.resolv_conf += "nameserver " + server + "\n";
  if (!options.empty()) etc.resolv_conf += "options " + base::join(options, " ") + "\n";
  return etc;
}

}  // namespace pelton::agent
