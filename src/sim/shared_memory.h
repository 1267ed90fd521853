// SPDX-License-Identifier: Apache-2.0
// Memory that is a file of a simulated disk. What is written to a region is in the file at once,
// and is not durable: keep such files where a crash takes everything (SimDisk::set_volatile).
#pragma once
#include <memory>
#include <string>

#include "world/shared_memory.h"

namespace pelton::sim {

class SimDisk;
class SimProcess;

class SimSharedMemory final : public world::SharedMemory {
 public:
  SimSharedMemory(SimDisk& disk, SimProcess& process) : disk_(disk), process_(process) {}
  base::Result<std::unique_ptr<world::Region>> map(const std::string& path, size_t size) override;
  base::Result<std::unique_ptr<world::Region>> map_read_only(const std::string& path) override;
  uint64_t names_of(const std::string& path) override;

 private:
  SimDisk& disk_;
  SimProcess& process_;
};

}  // namespace pelton::sim
