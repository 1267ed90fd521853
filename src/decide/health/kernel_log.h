// SPDX-License-Identifier: Apache-2.0
// What a line of the kernel's log says about the health of a node: GPUs (NVIDIA's Xid errors),
// memory, disks, file systems, links.
//
// The lines are those of /dev/kmsg ("3,1234,5678901,-;NVRM: Xid …"), with or without their header.
// The meanings of Xid numbers are facts from NVIDIA's public catalogue
// (docs.nvidia.com/deploy/xid-errors).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"

namespace pelton::decide::health {

enum class Severity : uint8_t {
  Note,         ///< known, and nothing to do: corrected, or a consequence of something else
  Application,  ///< most often the program's own fault: beginning again on the same node is right
  Degraded,     ///< works, worse or not for long: a candidate for repair
  Fatal,        ///< the device or the node is of no use until it is reset or repaired
};
const char* severity_name(Severity severity);  ///< "Fatal"

struct NodeFinding {
  std::string node;
  /// One word for programs and budgets: "Xid79", "OOMKilled", "MachineCheck", "MemoryError",
  /// "MemoryErrorCorrected", "LinkDown", "IOError", "FilesystemReadOnly", "PCIeError",
  /// "TaskBlocked", "ProcessorStuck", "Throttled".
  std::string cause;
  Severity severity = Severity::Note;
  std::string device;      ///< "0000:3b:00", "nvme0n1", "eth0"; empty where the line names none
  std::optional<int> pid;  ///< whom it concerns, in the node's numbers
  std::string detail;      ///< for people, one line: what it means, and what the kernel said
  base::Instant at;
  bool operator==(const NodeFinding&) const = default;
};

/// Nothing where the line says nothing about health. `booted` is when the node's kernel began to
/// count; a line without a header is from `now`.
std::optional<NodeFinding> read_kernel_line(std::string_view line, std::string_view node,
                                            base::Instant booted, base::Instant now);

}  // namespace pelton::decide::health
