// SPDX-License-Identifier: Apache-2.0
// What the parts of one node agent share.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/address_pool.h"
#include "agent/cgroups.h"
#include "agent/cluster_network.h"
#include "agent/container_record.h"
#include "agent/device_ledger.h"
#include "agent/event_recorder.h"
#include "agent/job_memory.h"
#include "agent/node_health.h"
#include "agent/object_watches.h"
#include "agent/park.h"
#include "agent/pod_lifecycle.h"
#include "agent/sandbox_command.h"
#include "agent/slots.h"
#include "client/client.h"
#include "world/world.h"

namespace pelton::agent {

struct AgentOptions {
  Machine machine;                ///< the node's name, number, size, labels
  std::vector<ImageRule> images;  ///< the park's
  std::string data_directory;     ///< absolute; the node's state is in nodes/NAME below it
  std::string executable;         ///< the pelton program, absolute: shims, and `pelton run` in pods
  std::string host_address = "127.0.0.1";
  base::Duration lease_period = base::Duration::seconds(2);
  /// Pods and containers that are being started, or pods torn down, at once.
  size_t parallel_starts = 8;
  LifecycleOptions lifecycle;
  LogLimits log_limits;
  HealthSources health;

  std::string node_directory() const { return data_directory + "/nodes/" + machine.node_name; }
};

struct AgentContext {
  world::World world;
  client::Client& client;
  const AgentOptions& options;
  ClusterNetwork network;
  SandboxTools tools;
  RootTree host_root;
  std::map<std::string, RootTree> image_roots;  ///< of rootfs images, by directory
  DeviceLedger devices;
  AddressPool addresses;
  EventRecorder events;
  ObjectWatches objects;
  Cgroups cgroups;
  Slots starts;  ///< AgentOptions::parallel_starts
  std::unique_ptr<JobMemory> job_memory;
};

}  // namespace pelton::agent
