// SPDX-License-Identifier: Apache-2.0
#include "apiserver/service_ips.h"

#include "api/object.h"
#include "apiserver/api_status.h"
#include "base/strings.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;

namespace {
constexpr uint32_t kWellKnown = 10;

base::Status refuse(const Json& service, const std::string& ip, const std::string& why) {
  StatusSubject s;
  s.resource = "services";
  s.kind = "Service";
  s.name = api::name_of(service);
  return invalid_field(s, "FieldValueInvalid", "spec.clusterIPs",
                       "Invalid value: [\"" + ip + "\"]: failed to allocate IP " + ip + ": " + why);
}

void set_ip(Json& service, const std::string& ip) {
  Json& spec = service.make("spec");
  spec.set("clusterIP", ip);
  spec.set("clusterIPs", Json::array({ip}));
}
}  // namespace

Result<uint32_t> parse_ipv4(std::string_view text) {
  const auto parts = base::split(text, '.');
  uint32_t ip = 0;
  if (parts.size() != 4) return base::invalid_argument("not an IPv4 address");
  for (std::string_view part : parts) {
    const Result<int64_t> number = base::parse_int(part);
    if (!number.ok() || *number < 0 || *number > 255 || part.size() > 3) {
      return base::invalid_argument("not an IPv4 address");
    }
    ip = ip << 8 | static_cast<uint32_t>(*number);
  }
  return ip;
}

std::string format_ipv4(uint32_t ip) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += std::to_string(ip >> shift & 255);
    if (shift > 0) out += '.';
  }
  return out;
}

Result<IpRange> IpRange::parse(std::string_view cidr) {
  const size_t slash = cidr.find('/');
  if (slash == std::string_view::npos) return base::invalid_argument("want ADDRESS/BITS");
  PELTON_ASSIGN(const uint32_t ip, parse_ipv4(cidr.substr(0, slash)));
  PELTON_ASSIGN(const int64_t bits, base::parse_int(cidr.substr(slash + 1)));
  if (bits < 8 || bits > 28) return base::invalid_argument("want 8 to 28 bits");
  const uint32_t count = 1U << (32 - bits);
  return IpRange{ip & ~(count - 1), count};
}

Result<std::string> assign_cluster_ip(Json& service, const IpRange& range,
                                      const std::set<std::string>& used) {
  const Json& spec = service["spec"];
  if (spec["type"].as_string() == "ExternalName") return std::string();
  std::string asked = spec["clusterIP"].as_string();
  if (asked.empty()) asked = spec["clusterIPs"][size_t{0}].as_string();
  if (asked == "None") {
    set_ip(service, asked);
    return std::string();
  }
  if (!asked.empty()) {
    const Result<uint32_t> ip = parse_ipv4(asked);
    if (!ip.ok()) return refuse(service, asked, "it is not an IPv4 address");
    if (!range.contains(*ip)) {
      return refuse(service, asked,
                    "the provided IP is not in the valid range, which is " +
                        format_ipv4(range.first) + " and " + std::to_string(range.count - 1) +
                        " addresses after it");
    }
    if (used.count(asked) != 0) return refuse(service, asked, "provided IP is already allocated");
    set_ip(service, asked);
    return asked;
  }
  for (uint32_t i = kWellKnown; i + 1 < range.count; ++i) {
    std::string ip = format_ipv4(range.first + i);
    if (used.count(ip) != 0) continue;
    set_ip(service, ip);
    return ip;
  }
  return base::Status(base::Code::Unavailable, "InternalError",
                      "failed to allocate a service IP: all " + std::to_string(range.count) +
                          " addresses are in use; delete a Service");
}

void keep_cluster_ip(const Json& before, Json& after) {
  const Json& old = before["spec"];
  if (after["spec"]["type"].as_string() == "ExternalName") return;
  for (const char* field : {"clusterIP", "clusterIPs"}) {
    if (after["spec"][field].is_null() && !old[field].is_null()) {
      after.make("spec").set(field, old[field]);
    }
  }
}

}  // namespace pelton::apiserver
