// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_volumes.h"

#include <algorithm>

#include "agent/atomic_volume.h"
#include "agent/fetch_inputs.h"
#include "agent/memory_volumes.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr uint32_t kModeOpen = 0777;
constexpr uint32_t kModeDirectory = 0755;
constexpr uint32_t kModeText = 0644;

bool is_below(const std::string& path, const std::string& root) {
  return path == root || path.starts_with(root == "/" ? root : root + "/");
}

/// Where the path leads, links followed as far as it is there. Forbidden: to the data directory.
base::Result<std::string> real_host_path(world::Files& files, const std::string& path,
                                         const std::string& data_directory) {
  std::string there = path;
  while (there.size() > 1 && !files.exists(there)) {
    there.resize(std::max<size_t>(there.rfind('/'), 1));
  }
  PELTON_ASSIGN(std::string real, files.real_path(there));
  if (there.size() < path.size()) {
    if (real == "/") real.clear();
    real += (there == "/" ? "/" : "") + path.substr(there.size());
  }
  std::string hidden = data_directory;
  if (files.exists(hidden)) {
    PELTON_ASSIGN(hidden, files.real_path(hidden));
  }
  if (!is_below(real, hidden) && !is_below(hidden, real)) return real;
  return base::Status(base::Code::Forbidden, "hostPath " + path + " leads to " + real +
                                                 " and would show the cluster's data directory " +
                                                 hidden + "; use another directory");
}

base::Status make_host_path(world::Files& files, const VolumePlan& plan,
                            const std::string& data_directory) {
  // Before anything is made, so that nothing is made there.
  PELTON_ASSIGN(const std::string path, real_host_path(files, plan.host_path, data_directory));
  const bool is_there = files.exists(path);
  if (plan.host_path_type == "DirectoryOrCreate") {
    if (is_there) return base::ok();
    PELTON_TRY(files.make_directories(path));
    return files.set_mode(path, kModeDirectory);
  }
  if (plan.host_path_type == "FileOrCreate") {
    if (is_there) return base::ok();
    PELTON_TRY(files.replace(path, ""));
    return files.set_mode(path, kModeText);
  }
  if (is_there) return base::ok();
  return base::not_found("hostPath " + plan.host_path +
                         " is not there; make it, or use type: DirectoryOrCreate");
}

}  // namespace

base::Result<std::string> resolve_sub_path(world::Files& files, const std::string& root,
                                           const std::string& sub_path, uint32_t mode) {
  const base::Status leaves =
      base::invalid_argument("subPath \"" + sub_path + "\" leaves its volume");
  if (sub_path.starts_with('/')) return leaves;
  PELTON_ASSIGN(const std::string real_root, files.real_path(root));
  std::string path = real_root;
  for (const std::string_view part : base::split(sub_path, '/')) {
    if (part == "..") return leaves;
    if (part.empty() || part == ".") continue;
    const std::string next = path + "/" + std::string(part);
    if (!files.exists(next)) {
      // A link that leads nowhere is there all the same: then this fails.
      PELTON_TRY(files.make_directories(next));
      PELTON_TRY(files.set_mode(next, mode));
    }
    PELTON_ASSIGN(path, files.real_path(next));
    if (!is_below(path, real_root)) return leaves;
  }
  return path;
}

PodVolumes::PodVolumes(AgentContext& context, const PodPaths& paths, const PodRecord& record)
    : context_(context), paths_(paths), record_(record) {}

void PodVolumes::make(const PodInputs& inputs, std::function<void(base::Status)> done) {
  std::vector<VolumePlan> plans;
  const base::Status status = write(inputs, plans);
  if (!status.ok()) return done(status);
  std::vector<MemoryMount> mounts;
  for (const VolumePlan& plan : plans) {
    if (plan.kind != VolumePlan::Kind::Memory) continue;
    mounts.push_back({paths_.volume(plan.name), plan.memory_bytes});
  }
  mount_memory_volumes(context_.world.processes, mounts,
                       [done = std::move(done), alive = std::weak_ptr(alive_)](base::Status made) {
                         if (!alive.expired()) done(std::move(made));
                       });
}

base::Status PodVolumes::write(const PodInputs& inputs, std::vector<VolumePlan>& plans) {
  world::Files& files = context_.world.files;
  PELTON_ASSIGN(plans, plan_volumes(record_.pod, inputs, context_.options.data_directory));
  for (const VolumePlan& plan : plans) {
    base::Status status;
    const std::string root = paths_.volume(plan.name);
    switch (plan.kind) {
      case VolumePlan::Kind::HostPath:
        status = make_host_path(files, plan, context_.options.data_directory);
        break;
      case VolumePlan::Kind::Content:
        status = write_atomic_volume(files, root, plan.files, context_.world.clock.now()).status();
        break;
      case VolumePlan::Kind::Directory:
      case VolumePlan::Kind::Memory:
        status = files.make_directories(root);
        if (status.ok()) status = files.set_mode(root, kModeOpen);
        break;
    }
    if (!status.ok()) return std::move(status).with("volume " + plan.name);
  }
  note_shown(inputs);
  return base::ok();
}

void PodVolumes::note_shown(const PodInputs& inputs) {
  const auto note = [&](const char* kind, const std::set<std::string>& names,
                        const std::map<std::string, Json>& objects) {
    for (const std::string& name : names) {
      const auto it = objects.find(name);
      shown_[{kind, api::namespace_of(record_.pod), name}] =
          it == objects.end() ? 0 : client::revision_of(it->second);
    }
  };
  const ReferencedObjects mounted = mounted_objects(record_.pod);
  note("ConfigMap", mounted.config_maps, inputs.config_maps);
  note("Secret", mounted.secrets, inputs.secrets);
}

void PodVolumes::follow(std::function<void(const base::Status&)> failed) {
  failed_ = std::move(failed);
  const ReferencedObjects mounted = mounted_objects(record_.pod);
  const auto watch = [this](const char* kind, const std::set<std::string>& names) {
    for (const std::string& name : names) {
      const client::ObjectKey key{kind, api::namespace_of(record_.pod), name};
      watches_.push_back(context_.objects.watch(key, [this, key](const Json* object) {
        const uint64_t revision = object == nullptr ? 0 : client::revision_of(*object);
        const auto it = shown_.find(key);
        if (it == shown_.end() || it->second != revision) show();
      }));
    }
  };
  watches_.clear();
  watch("ConfigMap", mounted.config_maps);
  watch("Secret", mounted.secrets);
}

void PodVolumes::refresh() {
  if (failed_ && shows_metadata(record_.pod)) show();
}

/// One at a time; what changes meanwhile is looked at afterwards.
void PodVolumes::show() {
  if (!failed_) return;
  is_outdated_ = true;
  if (is_showing_) return;
  is_showing_ = true;
  is_outdated_ = false;
  fetch_pod_inputs(
      context_, record_, [this, alive = std::weak_ptr(alive_)](base::Result<PodInputs> inputs) {
        if (alive.expired()) return;
        is_showing_ = false;
        if (!failed_) return;
        std::vector<VolumePlan> plans;
        const base::Status status = inputs.ok() ? write(*inputs, plans) : inputs.status();
        if (!status.ok()) failed_(status);
        if (is_outdated_) show();
      });
}

void PodVolumes::release(std::function<void(base::Status)> done) {
  failed_ = nullptr;
  watches_.clear();
  std::vector<std::string> mounted;
  for (const Json& volume : record_.pod.at("spec.volumes").items()) {
    if (volume.at("emptyDir.medium").as_string() != "Memory") continue;
    mounted.push_back(paths_.volume(volume["name"].as_string()));
  }
  unmount_memory_volumes(context_.world.processes, mounted,
                         [done = std::move(done), alive = std::weak_ptr(alive_)](base::Status s) {
                           if (!alive.expired()) done(std::move(s));
                         });
}

base::Status PodVolumes::add_mounts(const Json& container, const Environment& env,
                                    std::vector<Mount>& mounts) {
  world::Files& files = context_.world.files;
  PELTON_ASSIGN(const auto plans, plan_mounts(record_.pod, context_.options.data_directory));
  for (const Json& mount : container["volumeMounts"].items()) {
    const std::string& name = mount["name"].as_string();
    const VolumePlan* plan = nullptr;
    for (const VolumePlan& candidate : plans) {
      if (candidate.name == name) plan = &candidate;
    }
    if (plan == nullptr) return base::not_found("the pod has no volume \"" + name + "\"");
    const bool is_host_path = plan->kind == VolumePlan::Kind::HostPath;
    std::string from = paths_.volume(plan->name);
    if (is_host_path) {
      // What is mounted is what was looked at: a link may be another by the time it is followed.
      PELTON_ASSIGN(from, real_host_path(files, plan->host_path, context_.options.data_directory));
    }
    const std::string& expression = mount["subPathExpr"].as_string();
    const std::string sub_path =
        expression.empty() ? mount["subPath"].as_string() : expand_variables(expression, env);
    if (!sub_path.empty()) {
      PELTON_ASSIGN(
          from, resolve_sub_path(files, from, sub_path, is_host_path ? kModeDirectory : kModeOpen));
    }
    std::string to = mount["mountPath"].as_string();
    while (to.size() > 1 && to.ends_with('/')) to.pop_back();
    mounts.push_back({.from = std::move(from),
                      .to = std::move(to),
                      .is_read_only = plan->is_read_only() || mount["readOnly"].as_bool()});
  }
  return base::ok();
}

}  // namespace pelton::agent
