// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "world/shared_memory.h"

namespace pelton::os {

/// mmap of files; any thread may use it.
class OsSharedMemory final : public world::SharedMemory {
 public:
  base::Result<std::unique_ptr<world::Region>> map(const std::string& path, size_t size) override;
  base::Result<std::unique_ptr<world::Region>> map_read_only(const std::string& path) override;
  uint64_t names_of(const std::string& path) override;
};

}  // namespace pelton::os
