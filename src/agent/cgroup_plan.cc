// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroup_plan.h"

#include <algorithm>

#include "agent/pod_limits.h"
#include "api/pod_resources.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr int64_t kPeriodUs = 100'000;
constexpr int64_t kLeastQuotaUs = 1'000;
constexpr int64_t kLeastShares = 2, kMostShares = 262'144;

int64_t shares_of(int64_t milli) {
  return std::clamp(milli * 1024 / 1000, kLeastShares, kMostShares);
}

int64_t quota_of(int64_t milli) {
  return std::max(milli * kPeriodUs / 1000, kLeastQuotaUs);
}

/// Version 2's 1..10000 for version 1's 2..262144.
int64_t weight_of(int64_t shares) {
  return 1 + (shares - kLeastShares) * 9999 / (kMostShares - kLeastShares);
}

/// "/a\040b" -> "/a b", as the kernel writes paths in mountinfo.
std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Mounted {
  std::string root, directory;
  std::string type;                           ///< "cgroup" or "cgroup2"
  std::vector<std::string_view> controllers;  ///< of version 1
};

std::vector<Mounted> cgroup_mounts(std::string_view mountinfo) {
  std::vector<Mounted> out;
  for (const std::string_view line : base::split(mountinfo, '\n')) {
    const auto words = base::split(line, ' ');
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const std::string type(dash[1]);
    if (type != "cgroup" && type != "cgroup2") continue;
    out.push_back({unescaped(words[3]), unescaped(words[4]), type, base::split(dash[3], ',')});
  }
  return out;
}

/// Our own group's path in the tree that has the controller ("" is version 2's); nullopt where
/// there is no such tree.
std::optional<std::string> own_path(std::string_view self_cgroup, std::string_view controller) {
  for (const std::string_view line : base::split(self_cgroup, '\n')) {
    const size_t first = line.find(':');
    const size_t second = first == line.npos ? first : line.find(':', first + 1);
    if (second == line.npos) continue;
    const std::string_view all = line.substr(first + 1, second - first - 1);
    const auto names = base::split(all, ',');
    const bool is_named = std::find(names.begin(), names.end(), controller) != names.end();
    if (all.empty() ? !controller.empty() : !is_named) continue;
    return std::string(line.substr(second + 1));
  }
  return std::nullopt;
}

std::string directory_in(const Mounted& mount, const std::string& path) {
  std::string below = path;
  if (mount.root != "/") {
    // Where only a part of the tree is mounted (a container), that part is all there is.
    below = path.starts_with(mount.root) ? path.substr(mount.root.size()) : "";
  }
  while (below.ends_with('/')) below.pop_back();
  return mount.directory + below;
}

/// The value of "NAME VALUE" in a file of such lines.
std::optional<int64_t> line_value(std::string_view text, std::string_view name) {
  for (const std::string_view line : base::split(text, '\n')) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ' ') continue;
    const auto value = base::parse_int(base::trim(line.substr(name.size() + 1)));
    if (value.ok()) return *value;
  }
  return std::nullopt;
}

}  // namespace

CgroupLimits container_limits(const Json& container) {
  const int64_t cpu = container_amount(container, "limits", "cpu");
  const int64_t memory = container_amount(container, "limits", "memory");
  const int64_t asked = container_amount(container, "requests", "cpu");
  CgroupLimits limits{.cpu_shares = shares_of(asked > 0 ? asked : cpu)};
  if (cpu > 0) limits.cpu_quota_us = quota_of(cpu);
  if (memory > 0) limits.memory_bytes = memory;
  return limits;
}

CgroupLimits pod_limits(const Json& pod) {
  const api::Amounts asked = api::requests_of(pod);
  const auto cpu_asked = asked.find("cpu");
  CgroupLimits limits{.cpu_shares = shares_of(cpu_asked == asked.end() ? 0 : cpu_asked->second)};
  const PodLimit cpu = pod_limit(pod, "cpu"), memory = pod_limit(pod, "memory");
  if (cpu.is_complete && cpu.amount > 0) limits.cpu_quota_us = quota_of(cpu.amount);
  if (memory.is_complete && memory.amount > 0) limits.memory_bytes = memory.amount;
  return limits;
}

std::vector<std::string> CgroupHome::parents() const {
  std::vector<std::string> out;
  for (const auto& [controller, directory] : directories) {
    if (std::find(out.begin(), out.end(), directory) == out.end()) out.push_back(directory);
  }
  return out;
}

base::Result<CgroupHome> find_cgroup_home(std::string_view self_cgroup,
                                          std::string_view mountinfo) {
  CgroupHome home{.version = 1};
  const auto mounts = cgroup_mounts(mountinfo);
  bool has_cpu = false, has_memory = false;
  for (const char* controller : {"cpu", "cpuacct", "memory"}) {
    const auto path = own_path(self_cgroup, controller);
    for (const Mounted& mount : mounts) {
      const auto& names = mount.controllers;
      if (!path || mount.type != "cgroup" ||
          std::find(names.begin(), names.end(), controller) == names.end()) {
        continue;
      }
      home.directories.emplace_back(controller, directory_in(mount, *path));
      has_cpu = has_cpu || std::string_view(controller) == "cpu";
      has_memory = has_memory || std::string_view(controller) == "memory";
      break;
    }
  }
  if (has_cpu && has_memory) return home;
  const auto path = own_path(self_cgroup, "");
  for (const Mounted& mount : mounts) {
    if (!path || mount.type != "cgroup2") continue;
    return CgroupHome{
        .version = 2, .directories = {{"", directory_in(mount, *path)}}, .top = mount.directory};
  }
  return base::Status(base::Code::Unimplemented,
                      "no control groups with cpu and memory are mounted here; mount cgroup2 at "
                      "/sys/fs/cgroup");
}

std::vector<CgroupSetting> cgroup_settings(int version, std::string_view controller,
                                           const CgroupLimits& limits) {
  std::vector<CgroupSetting> out;
  const std::string quota = limits.cpu_quota_us ? std::to_string(*limits.cpu_quota_us) : "";
  const std::string memory = limits.memory_bytes ? std::to_string(*limits.memory_bytes) : "";
  if (version == 2) {
    out.push_back({"cpu.weight", std::to_string(weight_of(limits.cpu_shares))});
    if (!quota.empty()) out.push_back({"cpu.max", quota + " " + std::to_string(kPeriodUs)});
    if (!memory.empty()) {
      out.push_back({"memory.max", memory});
      out.push_back({"memory.swap.max", "0", true});
    }
    // A container that has lost some of its processes is none: all of it ends.
    out.push_back({"memory.oom.group", "1", true});
    return out;
  }
  if (controller == "cpu") {
    out.push_back({"cpu.shares", std::to_string(limits.cpu_shares)});
    if (!quota.empty()) {
      out.push_back({"cpu.cfs_period_us", std::to_string(kPeriodUs)});
      out.push_back({"cpu.cfs_quota_us", quota});
    }
  } else if (controller == "memory" && !memory.empty()) {
    out.push_back({"memory.limit_in_bytes", memory});
    out.push_back({"memory.memsw.limit_in_bytes", memory, true});
  }
  return out;
}

const std::vector<std::string>& cgroup_usage_files() {
  static const std::vector<std::string> names = {
      "cpuacct.usage", "cpu.stat", "memory.usage_in_bytes", "memory.current", "memory.stat"};
  return names;
}

void read_usage_file(std::string_view name, std::string_view text, CgroupUsage& usage) {
  if (name == "cpuacct.usage" || name == "memory.usage_in_bytes" || name == "memory.current") {
    const auto value = base::parse_int(base::trim(text));
    if (!value.ok()) return;
    (name == "cpuacct.usage" ? usage.cpu_ns : usage.memory_bytes) = *value;
  } else if (name == "cpu.stat") {
    // Version 1 has a file of that name too, without this line.
    if (const auto us = line_value(text, "usage_usec")) usage.cpu_ns = *us * 1000;
  } else if (name == "memory.stat") {
    auto rss = line_value(text, "total_rss");
    if (!rss) rss = line_value(text, "anon");
    usage.rss_bytes = rss;
    auto idle = line_value(text, "total_inactive_file");
    if (!idle) idle = line_value(text, "inactive_file");
    if (!usage.memory_bytes) return;
    usage.working_set_bytes = std::max<int64_t>(*usage.memory_bytes - idle.value_or(0), 0);
  }
}

int64_t read_oom_kills(std::string_view text) {
  return line_value(text, "oom_kill").value_or(0);
}

}  // namespace pelton::agent
