// SPDX-License-Identifier: Apache-2.0
// What nvidia-smi, NVIDIA's own reader of NVML, says about the health of a node's GPUs, a line per
// GPU again and again. Errors that the driver finds by itself stand in the kernel's log as Xids
// (kernel_log.h), so here is what can be asked for only: memory errors that were not corrected
// since the driver was loaded, and devices that do not answer any more.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "decide/health/kernel_log.h"

namespace pelton::decide::health {

/// The command whose lines GpuWatch reads: `program` prints them every ten seconds, for ever.
std::vector<std::string> gpu_command(const std::string& program);

class GpuWatch {
 public:
  /// Nothing where the line is of no GPU, or says that all is well. What was counted before the
  /// first line is nobody's news.
  std::optional<NodeFinding> on_line(std::string_view line, std::string_view node,
                                     base::Instant now);

 private:
  std::map<std::string, int64_t> uncorrected_;  ///< memory errors, by the GPU's uuid
};

}  // namespace pelton::decide::health
