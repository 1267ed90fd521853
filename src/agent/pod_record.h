// SPDX-License-Identifier: Apache-2.0
// A pod's directory on its node, and what is written there.
//
// NODE/pods/UID/
//   pod.json                    manifest, address, devices, start: written before anything is made
//   etc/                        hosts, hostname, resolv.conf
//   volumes/NAME/               emptyDir and content of configMap, secret, projected, downwardAPI
//   containers/NAME/ATTEMPT/    agent/container_record.h; `pid` is the main process's
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "agent/device_ledger.h"
#include "base/json.h"
#include "base/time.h"
#include "world/files.h"

namespace pelton::agent {

struct PodPaths {
  PodPaths(const std::string& node_directory, const std::string& uid)
      : directory(node_directory + "/pods/" + uid) {}
  std::string directory;
  std::string record() const { return directory + "/pod.json"; }
  std::string etc(const std::string& file) const { return directory + "/etc/" + file; }
  std::string volume(const std::string& name) const { return directory + "/volumes/" + name; }
  std::string container(const std::string& name) const { return directory + "/containers/" + name; }
  std::string attempt(const std::string& name, int number) const {
    return container(name) + "/" + std::to_string(number);
  }
};

struct PodRecord {
  base::Json pod;
  std::string address;
  DeviceAssignment devices;
  base::Instant start_time;
  bool is_released = false;  ///< address and devices are given back: nothing runs any more
  bool is_rejected = false;
  std::string rejection_reason, rejection_message;
};

base::Status write_pod_record(world::Files& files, const PodPaths& paths, const PodRecord& record);
base::Result<PodRecord> read_pod_record(world::Files& files, const PodPaths& paths);

/// Numbers of the attempts that have a directory, ascending.
std::vector<int> list_attempts(world::Files& files, const PodPaths& paths,
                               const std::string& container);

}  // namespace pelton::agent
