// SPDX-License-Identifier: Apache-2.0
#include "decide/health/kernel_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/strings.h"

namespace pelton::decide::health {
namespace {

struct Xid {
  int number;
  Severity severity;
  const char* meaning;
};

/// Numbers, names and recommended actions as in NVIDIA's catalogue; sorted.
constexpr Xid kXids[] = {
    {8, Severity::Application, "GPU stopped processing"},
    {13, Severity::Application, "graphics engine exception"},
    {31, Severity::Application, "GPU memory page fault"},
    {32, Severity::Degraded, "invalid or corrupted push buffer stream"},
    {38, Severity::Degraded, "driver firmware error"},
    {43, Severity::Application, "GPU stopped processing"},
    {44, Severity::Degraded, "graphics engine fault during context switch"},
    {45, Severity::Note, "preemptive cleanup, due to previous errors"},
    {46, Severity::Fatal, "GPU stopped processing"},
    {48, Severity::Fatal, "double bit ECC error"},
    {61, Severity::Fatal, "internal micro-controller breakpoint or warning"},
    {62, Severity::Fatal, "internal micro-controller halt"},
    {63, Severity::Note, "ECC page retirement or row remapping recorded"},
    {64, Severity::Fatal, "ECC page retirement or row remapping failed"},
    {68, Severity::Application, "video processor exception"},
    {69, Severity::Application, "graphics engine class error"},
    {74, Severity::Fatal, "NVLink error"},
    {79, Severity::Fatal, "GPU has fallen off the bus"},
    {92, Severity::Degraded, "high single-bit ECC error rate"},
    {94, Severity::Application, "contained ECC error: only the program that met it is affected"},
    {95, Severity::Fatal, "uncontained ECC error"},
    {109, Severity::Fatal, "context switch timeout"},
    {110, Severity::Fatal, "security fault"},
    {119, Severity::Fatal, "GSP RPC timeout"},
    {120, Severity::Fatal, "GSP error"},
    {121, Severity::Degraded, "C2C link corrected error"},
    {122, Severity::Degraded, "SPI PMU RPC read failure"},
    {123, Severity::Degraded, "SPI PMU RPC write failure"},
    {136, Severity::Fatal, "link training failed"},
    {137, Severity::Application, "NVLink FLA privilege error"},
    {140, Severity::Fatal, "unrecovered ECC error"},
    {143, Severity::Fatal, "GPU initialization failure"},
    {144, Severity::Fatal, "NVLink SAW error"},
    {145, Severity::Fatal, "NVLink RLW error"},
    {146, Severity::Fatal, "NVLink TLW error"},
    {147, Severity::Fatal, "NVLink TREX error"},
    {148, Severity::Fatal, "NVLink NVLPW_CTRL error"},
    {149, Severity::Fatal, "NVLink NETIR error"},
    {150, Severity::Fatal, "NVLink MSE error"},
    {154, Severity::Note, "GPU recovery action changed"},
};

/// A kind of line that is known by its words (in lower case).
struct Words {
  const char* first;
  const char* second;  ///< "" where one is enough
  const char* cause;
  Severity severity;
  const char* meaning;
  const char* device_after;  ///< the device is the word behind this; "": the one before the colon
};

constexpr Words kWords[] = {
    {"edac", " ue ", "MemoryError", Severity::Fatal, "uncorrected memory error", "edac "},
    {"edac", " ce ", "MemoryErrorCorrected", Severity::Note, "corrected memory error", "edac "},
    {"memory failure:", "", "MemoryError", Severity::Fatal, "a page of memory is broken", nullptr},
    {"machine check events logged", "", "MachineCheck", Severity::Degraded,
     "the processor recorded a hardware error", nullptr},
    {"hardware error", "machine check", "MachineCheck", Severity::Fatal,
     "the processor met a hardware error", nullptr},
    {"hardware error", "uncorrected", "MachineCheck", Severity::Fatal,
     "the processor met a hardware error", nullptr},
    {"aer:", "uncorrect", "PCIeError", Severity::Fatal, "uncorrected PCIe error", ""},
    {"remounting filesystem read-only", "", "FilesystemReadOnly", Severity::Fatal,
     "the file system was made read-only after an error", "("},
    {"filesystem has been shut down", "", "FilesystemReadOnly", Severity::Fatal,
     "the file system stopped after an error", "("},
    {"btrfs", "forced readonly", "FilesystemReadOnly", Severity::Fatal,
     "the file system was made read-only after an error", "device "},
    {"i/o error", "dev ", "IOError", Severity::Degraded, "a disk could not read or write", "dev "},
    {"nvme", "timeout", "IOError", Severity::Degraded, "a disk does not answer", "nvme "},
    {"nvme", "controller is down", "IOError", Severity::Fatal, "a disk is gone", "nvme "},
    {"blocked for more than", "seconds", "TaskBlocked", Severity::Degraded,
     "a process waits for a disk or a file server", nullptr},
    {"soft lockup", "", "ProcessorStuck", Severity::Fatal, "a processor makes no progress",
     nullptr},
    {"hard lockup", "", "ProcessorStuck", Severity::Fatal, "a processor makes no progress",
     nullptr},
    {"temperature above threshold", "", "Throttled", Severity::Degraded,
     "too hot: the processor runs slower", nullptr},
    {"link is down", "", "LinkDown", Severity::Degraded, "a network link is down", ""},
    {"link down", "", "LinkDown", Severity::Degraded, "a network link is down", ""},
};

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-' || c == '.' ||
         c == ':' || c == '@';
}

/// The name that begins at `from`.
std::string_view name_at(std::string_view text, size_t from) {
  size_t end = from;
  while (end < text.size() && is_name_character(text[end])) ++end;
  std::string_view name = text.substr(from, end - from);
  while (!name.empty() && (name.back() == ':' || name.back() == '.')) name.remove_suffix(1);
  return name;
}

/// The last word before the first ": ": "mlx5_core 0000:3b:00.0 eth0: Link down" -> "eth0".
std::string_view name_before_colon(std::string_view text) {
  const size_t colon = text.find(": ");
  if (colon == std::string_view::npos) return {};
  const size_t space = text.substr(0, colon).rfind(' ');
  return text.substr(space == std::string_view::npos ? 0 : space + 1,
                     colon - (space == std::string_view::npos ? 0 : space + 1));
}

/// The number right behind `marker`.
std::optional<int> number_after(std::string_view text, std::string_view marker) {
  const size_t at = text.find(marker);
  if (at == std::string_view::npos) return std::nullopt;
  size_t end = at + marker.size();
  while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
  const auto number = base::parse_int(text.substr(at + marker.size(), end - at - marker.size()));
  if (!number.ok() || *number > INT32_MAX) return std::nullopt;
  return static_cast<int>(*number);
}

std::optional<NodeFinding> read_xid(std::string_view message) {
  constexpr std::string_view kLead = "NVRM: Xid (";
  const size_t lead = message.find(kLead);
  if (lead == std::string_view::npos) return std::nullopt;
  const size_t close = message.find("): ", lead);
  if (close == std::string_view::npos) return std::nullopt;
  const auto number = number_after(message.substr(close), "): ");
  if (!number) return std::nullopt;
  NodeFinding finding;
  finding.cause = fmt::format("Xid{}", *number);
  std::string_view device = message.substr(lead + kLead.size(), close - lead - kLead.size());
  if (device.substr(0, 4) == "PCI:") device.remove_prefix(4);
  finding.device = device;
  finding.pid = number_after(message, "pid=");
  const auto* known = std::lower_bound(std::begin(kXids), std::end(kXids), *number,
                                       [](const Xid& xid, int n) { return xid.number < n; });
  const bool is_known = known != std::end(kXids) && known->number == *number;
  finding.severity = is_known ? known->severity : Severity::Degraded;
  finding.detail = is_known ? known->meaning : "an Xid that is not in our table";
  return finding;
}

std::optional<NodeFinding> read_oom_kill(std::string_view message) {
  const size_t out = message.find("ut of memory: Killed process ");
  if (out == std::string_view::npos) return std::nullopt;
  NodeFinding finding;
  finding.cause = "OOMKilled";
  finding.pid = number_after(message, "Killed process ");
  const bool is_limit = message.find("Memory cgroup out of memory") != std::string_view::npos;
  finding.severity = is_limit ? Severity::Application : Severity::Degraded;
  finding.detail = is_limit ? "a process was killed at its container's memory limit"
                            : "a process was killed because the node is out of memory";
  return finding;
}

std::optional<NodeFinding> read_words(std::string_view message) {
  const std::string lower = base::to_lower(message);
  for (const Words& words : kWords) {
    const size_t first = lower.find(words.first);
    if (first == std::string::npos || lower.find(words.second) == std::string::npos) continue;
    NodeFinding finding;
    finding.cause = words.cause;
    finding.severity = words.severity;
    finding.detail = words.meaning;
    if (words.device_after && *words.device_after == '\0') {
      finding.device = name_before_colon(message);
    } else if (words.device_after) {
      const std::string_view marker = words.device_after;
      const size_t at = lower.find(marker);
      if (at != std::string::npos) finding.device = name_at(message, at + marker.size());
    }
    return finding;
  }
  return std::nullopt;
}

/// Takes the header "priority,sequence,microseconds,flags;" off the line: the microseconds.
std::optional<int64_t> take_header(std::string_view& line) {
  const size_t semicolon = line.find(';');
  if (semicolon == std::string_view::npos) return std::nullopt;
  const auto fields = base::split(line.substr(0, semicolon), ',');
  if (fields.size() < 4) return std::nullopt;
  const auto microseconds = base::parse_int(fields[2]);
  if (!base::parse_int(fields[0]).ok() || !microseconds.ok() || *microseconds < 0 ||
      *microseconds > INT64_MAX / 4000) {
    return std::nullopt;
  }
  line.remove_prefix(semicolon + 1);
  return *microseconds;
}

}  // namespace

const char* severity_name(Severity severity) {
  constexpr const char* kNames[] = {"Note", "Application", "Degraded", "Fatal"};
  return kNames[static_cast<size_t>(severity)];
}

std::optional<NodeFinding> read_kernel_line(std::string_view line, std::string_view node,
                                            base::Instant booted, base::Instant now) {
  const auto microseconds = take_header(line);
  // Further lines of a record are its properties (" SUBSYSTEM=pci").
  line = base::trim(line.substr(0, line.find('\n')));
  auto finding = read_xid(line);
  if (!finding) finding = read_oom_kill(line);
  if (!finding) finding = read_words(line);
  if (!finding) return std::nullopt;
  finding->node = node;
  finding->at = microseconds ? booted + base::Duration::microseconds(*microseconds) : now;
  finding->detail += fmt::format(": {}", line.substr(0, 300));
  return finding;
}

}  // namespace pelton::decide::health
