// SPDX-License-Identifier: Apache-2.0
// How much the containers of a node use: looked at every few seconds, told as a kubelet's
// /stats/summary tells it.
//
// A rate needs two looks; a container's first is its start. So `kubectl top` has numbers a second
// after a pod has started, and afterwards for the last ten seconds or so.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/cgroup_plan.h"
#include "agent/container_record.h"
#include "base/json.h"
#include "base/time.h"
#include "world/timers.h"
#include "world/world.h"

namespace pelton::agent {

/// A container that runs.
struct MeteredContainer {
  std::string pod_name, namespace_name, pod_uid;
  base::Instant pod_started_at;
  std::string name;
  ContainerPaths paths;  ///< of the running attempt
};

/// What one container was seen to use.
struct UsageSample {
  base::Instant at;
  int64_t cpu_ns = 0;
  int64_t memory_bytes = 0, working_set_bytes = 0, rss_bytes = 0;
};

/// Nanocores between two looks; nullopt where they are too near for a number that means anything.
std::optional<int64_t> nano_cores(const UsageSample& before, const UsageSample& now);

class UsageMeter {
 public:
  using Containers = std::function<std::vector<MeteredContainer>()>;
  /// `containers` gives those that run now.
  UsageMeter(world::World world, std::string node_name, int64_t node_memory_bytes,
             Containers containers);
  /// Looks from now on, every `period`.
  void start(base::Duration period = base::Duration::seconds(10));

  /// As GET /stats/summary answers: node, and pods with their containers. Looks first where the
  /// last look is old. Beside a kubelet's fields cpu has `windowNanoSeconds`: the time that its
  /// usageNanoCores are of.
  base::Json summary();

 private:
  struct Entry {
    MeteredContainer container;
    base::Instant started_at;
    std::vector<std::string> cgroups;
    int init_pid = 0;
    UsageSample last;
    std::optional<int64_t> rate;  ///< nanocores
    base::Duration window;        ///< over which
    bool is_seen = false;
  };
  void look();
  std::optional<Entry> begin(const MeteredContainer& container);
  void measure(Entry& entry, base::Instant now);

  world::World world_;
  std::string node_name_;
  int64_t node_memory_bytes_;
  Containers containers_;
  base::Instant started_at_, looked_at_;
  world::Timer timer_;
  base::Duration period_;
  std::map<std::string, Entry> entries_;  ///< by the directory of the attempt
  int64_t node_cpu_ns_ = 0;               ///< of all containers since start, the ended too
};

}  // namespace pelton::agent
