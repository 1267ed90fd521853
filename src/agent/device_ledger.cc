// SPDX-License-Identifier: Apache-2.0
#include "agent/device_ledger.h"

#include "api/quantity.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

std::string join_ids(const std::vector<int>& ids) {
  std::vector<std::string> texts;
  for (const int id : ids) texts.push_back(std::to_string(id));
  return base::join(texts, ",");
}

}  // namespace

DeviceLedger::DeviceLedger(std::map<std::string, int64_t> inventory) {
  for (const auto& [resource, count] : inventory) {
    owners_[resource].resize(static_cast<size_t>(count));
  }
}

base::Result<DeviceAssignment> DeviceLedger::admit(const std::string& pod_uid,
                                                   const base::Json& pod) {
  if (const auto known = pods_.find(pod_uid); known != pods_.end()) return known->second;
  auto owners = owners_;
  DeviceAssignment assignment;
  for (const base::Json& container : pod.at("spec.containers").items()) {
    const std::string& name = container["name"].as_string();
    for (const auto& [resource, limit] : container.at("resources.limits").members()) {
      if (resource.find('/') == std::string::npos) continue;
      const int64_t wanted = api::Quantity::or_zero(limit).value();
      auto& ids = owners[resource];
      std::vector<int> taken;
      for (size_t id = 0; id < ids.size() && static_cast<int64_t>(taken.size()) < wanted; ++id) {
        if (!ids[id].empty()) continue;
        ids[id] = pod_uid;
        taken.push_back(static_cast<int>(id));
      }
      if (static_cast<int64_t>(taken.size()) < wanted) {
        return base::Status(base::Code::ResourceExhausted, "UnexpectedAdmissionError",
                            "container " + name + " asks for " + std::to_string(wanted) + " " +
                                resource + ", and " + std::to_string(taken.size()) +
                                " of this node's " + std::to_string(ids.size()) + " are free");
      }
      if (!taken.empty()) assignment[name][resource] = std::move(taken);
    }
  }
  owners_ = std::move(owners);
  pods_[pod_uid] = assignment;
  return assignment;
}

base::Status DeviceLedger::adopt(const std::string& pod_uid, const DeviceAssignment& assignment) {
  auto owners = owners_;
  for (const auto& [container, resources] : assignment) {
    for (const auto& [resource, taken] : resources) {
      auto& ids = owners[resource];
      for (const int id : taken) {
        // The park may have shrunk under a running pod: nobody else is given that device.
        if (static_cast<size_t>(id) >= ids.size()) continue;
        std::string& owner = ids[static_cast<size_t>(id)];
        if (!owner.empty() && owner != pod_uid) {
          return {base::Code::FailedPrecondition,
                  "device " + std::to_string(id) + " of " + resource + " belongs to pod " + owner};
        }
        owner = pod_uid;
      }
    }
  }
  owners_ = std::move(owners);
  pods_[pod_uid] = assignment;
  return base::ok();
}

void DeviceLedger::release(const std::string& pod_uid) {
  if (pods_.erase(pod_uid) == 0) return;
  for (auto& [resource, ids] : owners_) {
    for (std::string& owner : ids) {
      if (owner == pod_uid) owner.clear();
    }
  }
}

base::Json device_assignment_to_json(const DeviceAssignment& assignment) {
  base::Json out = base::Json::object();
  for (const auto& [container, resources] : assignment) {
    base::Json& entry = out.set(container, base::Json::object());
    for (const auto& [resource, ids] : resources) {
      base::Json& list = entry.set(resource, base::Json::array());
      for (const int id : ids) list.push_back(id);
    }
  }
  return out;
}

DeviceAssignment device_assignment_from_json(const base::Json& json) {
  DeviceAssignment out;
  for (const auto& [container, resources] : json.members()) {
    for (const auto& [resource, ids] : resources.members()) {
      auto& list = out[container][resource];
      for (const base::Json& id : ids.items()) list.push_back(static_cast<int>(id.as_int()));
    }
  }
  return out;
}

std::map<std::string, std::string> device_environment(
    const std::map<std::string, std::vector<int>>& devices) {
  std::map<std::string, std::string> env;
  std::vector<std::string> all;
  for (const auto& [resource, ids] : devices) {
    all.push_back(resource + "=" + join_ids(ids));
    if (resource == "google.com/tpu") env["TPU_VISIBLE_CHIPS"] = join_ids(ids);
    if (resource == "nvidia.com/gpu") env["CUDA_VISIBLE_DEVICES"] = join_ids(ids);
  }
  if (!all.empty()) env["PELTON_VIRTUAL_DEVICES"] = base::join(all, ";");
  return env;
}

}  // namespace pelton::agent
