// SPDX-License-Identifier: Apache-2.0
// Which container has which virtual device. Pure.
//
// Devices of one resource are numbered from 0. A container gets whole devices, exclusively, for as
// long as its pod is on the node; the ids stand in the pod's record on disk, so that an agent that
// was killed knows them again. A request that does not fit fails the pod
// (UnexpectedAdmissionError), as a kubelet does when the scheduler's view was stale.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::agent {

/// container name -> resource name -> device ids in ascending order
using DeviceAssignment = std::map<std::string, std::map<std::string, std::vector<int>>>;

class DeviceLedger {
 public:
  /// resource name -> number of devices
  explicit DeviceLedger(std::map<std::string, int64_t> inventory);

  /// Takes devices for every container of the pod (its limits), or none at all. A pod that has its
  /// devices already gets the same. ResourceExhausted names container, resource, asked and free.
  base::Result<DeviceAssignment> admit(const std::string& pod_uid, const base::Json& pod);
  /// Takes these devices for the pod, as recorded. FailedPrecondition where another pod has one.
  base::Status adopt(const std::string& pod_uid, const DeviceAssignment& assignment);
  void release(const std::string& pod_uid);

 private:
  std::map<std::string, std::vector<std::string>> owners_;  ///< resource -> pod uid per id, "" free
  std::map<std::string, DeviceAssignment> pods_;
};

base::Json device_assignment_to_json(const DeviceAssignment& assignment);
DeviceAssignment device_assignment_from_json(const base::Json& json);

/// What a container is told: PELTON_VIRTUAL_DEVICES="google.com/tpu=0,1", TPU_VISIBLE_CHIPS="0,1"
/// for google.com/tpu, CUDA_VISIBLE_DEVICES="0,1" for nvidia.com/gpu. Empty without devices.
std::map<std::string, std::string> device_environment(
    const std::map<std::string, std::vector<int>>& devices);

}  // namespace pelton::agent
