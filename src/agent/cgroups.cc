// SPDX-License-Identifier: Apache-2.0
#include "agent/cgroups.h"

#include <algorithm>

#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr uint32_t kModeDirectory = 0755;
constexpr const char* kSubtree = "cgroup.subtree_control";

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

Cgroups::Cgroups(world::Files& files, const std::string& name) : files_(files), name_(name) {
  const auto own = files.read("/proc/self/cgroup");
  const auto mounts = files.read("/proc/self/mountinfo");
  auto home = own.ok() && mounts.ok() ? find_cgroup_home(*own, *mounts)
                                      : base::not_found("/proc shows no control groups");
  if (home.ok()) {
    home_ = std::move(home).value();
    open();
  } else {
    problem_ = home.status().message();
  }
}

Cgroups::Cgroups(world::Files& files, CgroupHome home, const std::string& name)
    : files_(files), home_(std::move(home)), name_(name) {
  open();
}

void Cgroups::open() {
  base::Status status = open_node_groups();
  if (!status.ok() && !home_.top.empty() && home_.directories[0].second != home_.top) {
    home_.directories[0].second = home_.top;
    status = open_node_groups();
  }
  if (!status.ok()) problem_ = status.message();
}

std::string Cgroups::description() const {
  std::string out = "version " + std::to_string(home_.version) + ":";
  for (const std::string& parent : home_.parents()) out += " " + parent + "/" + name_;
  return out;
}

std::vector<std::string> Cgroups::controllers_of(const std::string& parent) const {
  std::vector<std::string> out;
  for (const auto& [controller, directory] : home_.directories) {
    if (directory == parent) out.push_back(controller);
  }
  return out;
}

base::Status Cgroups::write(const std::string& directory, const CgroupSetting& setting) {
  const std::string path = directory + "/" + setting.file;
  if (setting.is_optional && !files_.exists(path)) return base::ok();
  auto file = files_.open(path, world::OpenMode::ReadWrite);
  const base::Status status = file.ok() ? (*file)->write_at(0, setting.text) : file.status();
  return setting.is_optional ? base::ok() : status;
}

/// The node's group, and in it whatever the groups below need.
base::Status Cgroups::open_node_groups() {
  constexpr const char* kHelp =
      "; let the agent run as root in a control group that it may divide (with systemd: "
      "Delegate=yes, and the agent in a group of its own below)";
  for (const std::string& parent : home_.parents()) {
    const std::string group = parent + "/" + name_;
    base::Status status;
    if (home_.version == 2) status = write(parent, {kSubtree, "+cpu +memory"});
    if (status.ok()) status = files_.make_directories(group);
    if (status.ok() && home_.version == 2) status = write(group, {kSubtree, "+cpu +memory"});
    if (!status.ok()) return {status.code(), status.message() + kHelp};
  }
  return base::ok();
}

base::Status Cgroups::make_group(const std::string& parent, const std::string& path,
                                 const CgroupLimits& limits) {
  PELTON_TRY(files_.make_directories(path));
  PELTON_TRY(files_.set_mode(path, kModeDirectory));
  for (const std::string& controller : controllers_of(parent)) {
    for (const CgroupSetting& setting : cgroup_settings(home_.version, controller, limits)) {
      PELTON_TRY(write(path, setting));
    }
  }
  return base::ok();
}

base::Result<std::vector<std::string>> Cgroups::make(const Json& pod, const Json& container,
                                                     int attempt) {
  std::vector<std::string> groups;
  if (!is_available()) return groups;
  for (const std::string& parent : home_.parents()) {
    const std::string of_pod = parent + "/" + name_ + "/pod" + api::uid_of(pod);
    PELTON_TRY(make_group(parent, of_pod, pod_limits(pod)));
    if (home_.version == 2) PELTON_TRY(write(of_pod, {kSubtree, "+cpu +memory"}));
    groups.push_back(of_pod + "/" + container["name"].as_string() + "-" + std::to_string(attempt));
    PELTON_TRY(make_group(parent, groups.back(), container_limits(container)));
  }
  return groups;
}

void remove_cgroups(world::Files& files, const std::vector<std::string>& directories) {
  for (const std::string& directory : directories) {
    files.remove(directory).ignore("still populated, or gone: looked at again with the pod's end");
    files.remove(parent_of(directory)).ignore("other containers of the pod");
  }
}

CgroupUsage read_cgroup_usage(world::Files& files, const std::vector<std::string>& directories) {
  CgroupUsage usage;
  for (const std::string& directory : directories) {
    for (const std::string& name : cgroup_usage_files()) {
      const auto text = files.read(directory + "/" + name);
      if (text.ok()) read_usage_file(name, *text, usage);
    }
  }
  return usage;
}

bool has_oom_kill(world::Files& files, const std::vector<std::string>& directories) {
  return std::any_of(directories.begin(), directories.end(), [&](const std::string& directory) {
    for (const char* name : {"/memory.oom_control", "/memory.events"}) {
      const auto text = files.read(directory + name);
      if (text.ok() && read_oom_kills(*text) > 0) return true;
    }
    return false;
  });
}

}  // namespace pelton::agent
