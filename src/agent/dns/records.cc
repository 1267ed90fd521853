// SPDX-License-Identifier: Apache-2.0
#include "agent/dns/records.h"

#include <algorithm>

#include "agent/pod_etc.h"
#include "api/object.h"

namespace pelton::agent::dns {
namespace {

using base::Json;

constexpr std::string_view kServiceNameLabel = "kubernetes.io/service-name";

bool is_ready(const Json& endpoint) {
  return endpoint.at("conditions.ready").as_bool(true);
}

}  // namespace

Records build_records(const std::vector<const Json*>& services,
                      const std::vector<const Json*>& endpoint_slices) {
  std::set<std::pair<std::string, std::string>> known;
  for (const Json* service : services) {
    known.emplace(api::namespace_of(*service), api::name_of(*service));
  }
  Records records;
  for (const Json* slice : endpoint_slices) {
    const std::string& space = api::namespace_of(*slice);
    const std::string& service = api::label_of(*slice, kServiceNameLabel);
    if (!known.contains({space, service})) continue;
    const std::string domain = service + "." + space + ".svc." + kClusterDomain;
    for (const Json& endpoint : (*slice)["endpoints"].items()) {
      if (!is_ready(endpoint)) continue;
      const std::string& hostname = endpoint["hostname"].as_string();
      for (const Json& address : endpoint["addresses"].items()) {
        auto& names = records[address.as_string()];
        names.insert(domain);
        if (!hostname.empty()) names.insert(hostname + "." + domain);
      }
    }
  }
  return records;
}

std::string hosts_file(const Records& records) {
  std::string out;
  for (const auto& [address, names] : records) {
    out += address;
    // The longest first: it is the one that the address resolves back to.
    std::vector<std::string> ordered(names.begin(), names.end());
    std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
      return a.size() != b.size() ? a.size() > b.size() : a < b;
    });
    for (const std::string& name : ordered) out += " " + name;
    out += "\n";
  }
  return out;
}

}  // namespace pelton::agent::dns
