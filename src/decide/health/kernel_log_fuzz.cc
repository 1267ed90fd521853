// SPDX-License-Identifier: Apache-2.0
// Anything with a device can write into the kernel's log.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "decide/health/kernel_log.h"

namespace health = pelton::decide::health;
using pelton::base::Instant;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  const auto finding = health::read_kernel_line(line, "node-0", Instant(), Instant::max());
  if (!finding) return 0;
  if (finding->cause.empty() || finding->detail.empty() || finding->node != "node-0") std::abort();
  if (finding->device.size() > size || finding->detail.find('\n') != std::string::npos)
    std::abort();
  return 0;
}
