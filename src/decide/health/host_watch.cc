// SPDX-License-Identifier: Apache-2.0
#include "decide/health/host_watch.h"

#include <fmt/format.h>

#include <algorithm>

namespace pelton::decide::health {
namespace {

constexpr uint64_t kMuch = uint64_t{1} << 30;  ///< is enough, however large the disk
/// Daemons that keep time slew, or step at least so much.
constexpr base::Duration kStep = base::Duration::milliseconds(500);

}  // namespace

std::vector<NodeFinding> HostWatch::look(const HostReading& reading, std::string_view node) {
  std::vector<NodeFinding> findings;
  const auto add = [&](const char* cause, std::string device, std::string detail) {
    NodeFinding& finding = findings.emplace_back();
    finding.node = node;
    finding.cause = cause;
    finding.severity = Severity::Degraded;
    finding.device = std::move(device);
    finding.detail = std::move(detail);
    finding.at = reading.wall;
  };
  for (const HostReading::Disk& disk : reading.disks) {
    const uint64_t least = std::min(disk.total_bytes / 100, kMuch);
    if (disk.free_bytes >= 2 * least) full_.erase(disk.path);
    if (disk.free_bytes >= least || !full_.insert(disk.path).second) continue;
    add("DiskFull", disk.path,
        fmt::format("{} MiB of {} MiB are left on the disk of {}: logs, pods and checkpoints there "
                    "fail next; make room",
                    disk.free_bytes >> 20, disk.total_bytes >> 20, disk.path));
  }
  const base::Duration offset = (reading.wall - base::Instant()) - reading.elapsed;
  const base::Duration step = offset_ ? offset - *offset_ : base::Duration();
  offset_ = offset;
  if (step >= kStep || step <= base::Duration() - kStep) {
    add("ClockStep", "",
        fmt::format("the node's clock was set {} by {:.1f} s: times in its logs and Events jump",
                    step > base::Duration() ? "forward" : "back",
                    std::abs(static_cast<double>(step.ms())) / 1e3));
  }
  return findings;
}

}  // namespace pelton::decide::health
