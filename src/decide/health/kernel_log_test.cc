// SPDX-License-Identifier: Apache-2.0
// Lines as kernels and drivers write them.
#include "decide/health/kernel_log.h"

#include <gtest/gtest.h>

namespace pelton::decide::health {
namespace {

using base::Instant;

const Instant kBooted = Instant::from_unix_seconds(1'000'000);
const Instant kNow = Instant::from_unix_seconds(2'000'000);

struct Row {
  const char* line;
  const char* cause;  ///< "" where it says nothing
  Severity severity = Severity::Note;
  const char* device = "";
  int pid = 0;
};

const Row kRows[] = {
    {"NVRM: Xid (PCI:0000:3b:00): 79, pid=1234, name=python, GPU has fallen off the bus.", "Xid79",
     Severity::Fatal, "0000:3b:00", 1234},
    {"NVRM: Xid (PCI:0000:01:00): 31, pid=77, Ch 00000008, intr 10000000. MMU Fault", "Xid31",
     Severity::Application, "0000:01:00", 77},
    {"NVRM: Xid (PCI:0000:db:00): 48, pid='<unknown>', name=<unknown>, DBE detected", "Xid48",
     Severity::Fatal, "0000:db:00"},
    {"NVRM: Xid (PCI:0000:db:00): 999, something new", "Xid999", Severity::Degraded, "0000:db:00"},
    {"Memory cgroup out of memory: Killed process 4711 (python3) total-vm:9000kB, anon-rss:1kB",
     "OOMKilled", Severity::Application, "", 4711},
    {"Out of memory: Killed process 12 (java) total-vm:9000kB", "OOMKilled", Severity::Degraded, "",
     12},
    {"mce: [Hardware Error]: CPU 3: Machine Check Exception: 5 Bank 4: be00000000800400",
     "MachineCheck", Severity::Fatal},
    {"mce: [Hardware Error]: Machine check events logged", "MachineCheck", Severity::Degraded},
    {"EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0)",
     "MemoryErrorCorrected", Severity::Note, "MC0"},
    {"EDAC MC1: 1 UE memory read error on unknown memory", "MemoryError", Severity::Fatal, "MC1"},
    {"Memory failure: 0x12345: recovery action for dirty LRU page: Recovered", "MemoryError",
     Severity::Fatal},
    {"mlx5_core 0000:3b:00.0 ens1f0np0: Link down", "LinkDown", Severity::Degraded, "ens1f0np0"},
    {"e1000e 0000:00:1f.6 eno1: NIC Link is Down", "LinkDown", Severity::Degraded, "eno1"},
    {"blk_update_request: I/O error, dev sda, sector 2048 op 0x0:(READ) flags 0x0", "IOError",
     Severity::Degraded, "sda"},
    {"Buffer I/O error on dev dm-1, logical block 0, lost async page write", "IOError",
     Severity::Degraded, "dm-1"},
    {"nvme nvme0: I/O 12 QID 3 timeout, aborting", "IOError", Severity::Degraded, "nvme0"},
    {"EXT4-fs (nvme0n1p2): Remounting filesystem read-only", "FilesystemReadOnly", Severity::Fatal,
     "nvme0n1p2"},
    {"XFS (sdb1): Filesystem has been shut down due to log error (0x2).", "FilesystemReadOnly",
     Severity::Fatal, "sdb1"},
    {"pcieport 0000:00:01.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0", "PCIeError",
     Severity::Fatal, "0000:00:01.0"},
    {"INFO: task python:4242 blocked for more than 120 seconds.", "TaskBlocked",
     Severity::Degraded},
    {"watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [python:99]", "ProcessorStuck",
     Severity::Fatal},
    {"CPU3: Core temperature above threshold, cpu clock throttled (total events = 1)", "Throttled",
     Severity::Degraded},
    {"mlx5_core 0000:3b:00.0 ens1f0np0: Link up", ""},
    {"EXT4-fs (sda1): mounted filesystem with ordered data mode", ""},
    {"usb 1-1: new high-speed USB device", ""},
    {"NVRM: Xid (PCI:0000:3b:00", ""},
    {"NVRM: Xid (PCI:0000:3b:00): , pid=1", ""},
    {"NVRM: loading NVIDIA UNIX x86_64 Kernel Module  535.104.05", ""},
    {"", ""},
};

TEST(KernelLog, KnowsWhatDriversSay) {
  for (const Row& row : kRows) {
    const auto finding = read_kernel_line(row.line, "node-7", kBooted, kNow);
    if (*row.cause == '\0') {
      EXPECT_FALSE(finding) << row.line << " was " << finding->cause;
      continue;
    }
    ASSERT_TRUE(finding) << row.line;
    EXPECT_EQ(finding->cause, row.cause) << row.line;
    EXPECT_EQ(finding->severity, row.severity) << row.line << severity_name(finding->severity);
    EXPECT_EQ(finding->device, row.device) << row.line;
    EXPECT_EQ(finding->pid.value_or(0), row.pid) << row.line;
    EXPECT_EQ(finding->node, "node-7");
    EXPECT_EQ(finding->at, kNow);
    EXPECT_NE(finding->detail.find(row.line), std::string::npos);
  }
}

TEST(KernelLog, TakesTheTimeFromTheHeaderOfARecord) {
  const auto finding = read_kernel_line(
      "3,1234,5000000,-;NVRM: Xid (PCI:0000:3b:00): 94, pid=5\n SUBSYSTEM=pci\n DEVICE=+pci:x", "n",
      kBooted, kNow);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->at, kBooted + base::Duration::seconds(5));
  EXPECT_EQ(finding->detail,
            "contained ECC error: only the program that met it is affected: "
            "NVRM: Xid (PCI:0000:3b:00): 94, pid=5");
}

}  // namespace
}  // namespace pelton::decide::health
