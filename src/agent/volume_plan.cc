// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_volumes.h"
#include "agent/pod_inputs.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

bool is_within(const std::string& path, const std::string& directory) {
  return path == directory || (path.starts_with(directory) &&
                               (directory.ends_with('/') || path[directory.size()] == '/'));
}

base::Status check_relative(const std::string& path) {
  if (path.empty() || path.starts_with('/')) {
    return base::invalid_argument("path \"" + path + "\" must be relative");
  }
  if (path.starts_with("..")) {  // ours are: agent/atomic_volume.h
    return base::invalid_argument("path \"" + path + "\" must not start with '..'");
  }
  for (const std::string_view part : base::split(path, '/')) {
    if (part == "..") return base::invalid_argument("path \"" + path + "\" must not contain '..'");
  }
  return base::ok();
}

base::Result<std::string> decode(const Json& value, bool is_base64) {
  if (!is_base64) return value.as_string();
  return base::base64_decode(value.as_string());
}

/// The files of a configMap or secret source: all keys, or those that `items` names.
base::Status add_keys(const Json& source, bool is_secret, uint32_t default_mode,
                      const PodInputs& inputs, std::vector<VolumeFile>& files) {
  const Json* secret_name = source.find("secretName");
  const std::string& name = (secret_name != nullptr ? *secret_name : source["name"]).as_string();
  const std::string what = std::string(is_secret ? "secret" : "configmap") + " \"" + name + "\"";
  const bool is_optional = source["optional"].as_bool();
  const auto& objects = is_secret ? inputs.secrets : inputs.config_maps;
  const auto object = objects.find(name);
  if (object == objects.end()) {
    return is_optional ? base::ok() : base::not_found(what + " not found");
  }
  const Json& data = object->second["data"];
  const Json& binary = object->second["binaryData"];
  const Json& items = source["items"];
  if (items.is_null()) {
    for (const Json* part : {&data, &binary}) {
      for (const auto& [key, value] : part->members()) {
        PELTON_ASSIGN(std::string bytes, decode(value, is_secret || part == &binary));
        files.push_back({key, std::move(bytes), default_mode});
      }
    }
    return base::ok();
  }
  for (const Json& item : items.items()) {
    const std::string& key = item["key"].as_string();
    const Json* value = data.find(key);
    const bool is_binary = value == nullptr;
    if (is_binary) value = binary.find(key);
    if (value == nullptr) {
      if (is_optional) continue;
      return base::not_found(what + " has no key \"" + key + "\"");
    }
    PELTON_TRY(check_relative(item["path"].as_string()));
    PELTON_ASSIGN(std::string bytes, decode(*value, is_secret || is_binary));
    files.push_back({item["path"].as_string(), std::move(bytes),
                     static_cast<uint32_t>(item["mode"].as_int(default_mode))});
  }
  return base::ok();
}

base::Status add_downward(const Json& pod, const Json& source, uint32_t default_mode,
                          const PodInputs& inputs, std::vector<VolumeFile>& files) {
  for (const Json& item : source["items"].items()) {
    PELTON_TRY(check_relative(item["path"].as_string()));
    std::string text;
    if (const Json* ref = item.find("fieldRef")) {
      PELTON_ASSIGN(text, field_value(pod, (*ref)["fieldPath"].as_string(), inputs));
    } else {
      PELTON_ASSIGN(text, resource_value(pod, Json(), item["resourceFieldRef"], inputs));
    }
    files.push_back({item["path"].as_string(), std::move(text),
                     static_cast<uint32_t>(item["mode"].as_int(default_mode))});
  }
  return base::ok();
}

/// A source of a volume or of a projection; false where it is none of these.
base::Result<bool> add_source(const Json& pod, const Json& volume, uint32_t mode,
                              const PodInputs& inputs, std::vector<VolumeFile>& files) {
  if (const Json* source = volume.find("configMap")) {
    PELTON_TRY(add_keys(*source, false, mode, inputs, files));
  } else if (const Json* secret = volume.find("secret")) {
    PELTON_TRY(add_keys(*secret, true, mode, inputs, files));
  } else if (const Json* downward = volume.find("downwardAPI")) {
    PELTON_TRY(add_downward(pod, *downward, mode, inputs, files));
  } else {
    return false;
  }
  return true;
}

base::Status plan_host_path(const Json& source, const std::string& data_directory,
                            VolumePlan& plan) {
  plan.kind = VolumePlan::Kind::HostPath;
  plan.host_path = source["path"].as_string();
  plan.host_path_type = source["type"].as_string();
  while (plan.host_path.size() > 1 && plan.host_path.ends_with('/')) plan.host_path.pop_back();
  if (!plan.host_path.starts_with('/')) {
    return base::invalid_argument("hostPath \"" + plan.host_path + "\" must be absolute");
  }
  for (const std::string_view part : base::split(plan.host_path, '/')) {
    if (part == "..") {
      return base::invalid_argument("hostPath \"" + plan.host_path + "\" must not contain '..'");
    }
  }
  if (is_within(data_directory, plan.host_path) || is_within(plan.host_path, data_directory)) {
    return {base::Code::Forbidden, "hostPath " + plan.host_path +
                                       " would show the cluster's data directory " +
                                       data_directory + "; use another directory"};
  }
  return base::ok();
}

/// Why a source of a projection is refused. A token that no server takes would be found out late,
/// by a program; so it is not faked.
std::string unknown_source(const Json& part) {
  if (part.contains("serviceAccountToken")) {
    return "a projected serviceAccountToken is not offered: this cluster's API server takes client "
           "certificates only, so that a token would open nothing; remove the source, or give the "
           "pod its credential in a secret";
  }
  const std::string name = part.empty() ? "an empty source" : part.members().front().name;
  return "the projected source " + name +
         " is not offered; there are configMap, secret and downwardAPI";
}

/// Without `inputs`: only what a mount needs.
base::Status plan_volume(const Json& pod, const Json& volume, const PodInputs* inputs,
                         const std::string& data_directory, VolumePlan& plan) {
  if (const Json* source = volume.find("emptyDir")) {
    const std::string& medium = (*source)["medium"].as_string();
    if (medium == "Memory") {
      plan.kind = VolumePlan::Kind::Memory;
      if (inputs) plan.memory_bytes = memory_volume_bytes(pod, *source, inputs->node_memory);
    } else if (!medium.empty()) {
      return {base::Code::Unimplemented,
              "medium " + medium + " is not offered; use Memory, or none for the disk"};
    }
    return base::ok();
  }
  if (const Json* source = volume.find("hostPath")) {
    return plan_host_path(*source, data_directory, plan);
  }
  plan.kind = VolumePlan::Kind::Content;
  for (const char* kind : {"configMap", "secret", "downwardAPI", "projected"}) {
    const Json* source = volume.find(kind);
    if (source == nullptr) continue;
    if (!inputs) return base::ok();
    const auto mode = static_cast<uint32_t>((*source)["defaultMode"].as_int(0644));
    if (std::string_view(kind) != "projected") {
      return add_source(pod, volume, mode, *inputs, plan.files).status();
    }
    for (const Json& part : (*source)["sources"].items()) {
      PELTON_ASSIGN(const bool is_known, add_source(pod, part, mode, *inputs, plan.files));
      if (!is_known) return {base::Code::Unimplemented, unknown_source(part)};
    }
    return base::ok();
  }
  for (const auto& [name, value] : volume.members()) {
    if (name == "name") continue;
    return {base::Code::Unimplemented,
            name +
                " is not offered; there are emptyDir, configMap, secret, projected, downwardAPI "
                "and hostPath"};
  }
  plan.kind = VolumePlan::Kind::Directory;  // no source at all is an emptyDir
  return base::ok();
}

base::Result<std::vector<VolumePlan>> plan_all(const Json& pod, const PodInputs* inputs,
                                               const std::string& data_directory) {
  std::vector<VolumePlan> plans;
  for (const Json& volume : pod.at("spec.volumes").items()) {
    VolumePlan plan{.name = volume["name"].as_string()};
    base::Status status = plan_volume(pod, volume, inputs, data_directory, plan);
    if (!status.ok()) return std::move(status).with("volume " + plan.name);
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace

base::Result<std::vector<VolumePlan>> plan_volumes(const Json& pod, const PodInputs& inputs,
                                                   const std::string& data_directory) {
  return plan_all(pod, &inputs, data_directory);
}

base::Result<std::vector<VolumePlan>> plan_mounts(const Json& pod,
                                                  const std::string& data_directory) {
  return plan_all(pod, nullptr, data_directory);
}

}  // namespace pelton::agent
