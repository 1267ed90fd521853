// SPDX-License-Identifier: Apache-2.0
#include "decide/health/gpu_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"

namespace pelton::decide::health {
namespace {

constexpr size_t kUuid = 0, kBus = 1, kUncorrected = 2, kFields = 3;

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find(',', begin), line.size());
    fields.push_back(trimmed(line.substr(begin, end - begin)));
    begin = end + 1;
  }
  return fields;
}

/// What stands in the place of a value, or of the line, where the device does not answer.
const char* failure_in(std::string_view line) {
  const std::string text = base::to_lower(line);
  if (text.find("gpu is lost") != std::string::npos) return "DeviceLost";
  const bool needs_reset = text.find("requires reset") != std::string::npos ||
                           text.find("reset required") != std::string::npos;
  return needs_reset ? "DeviceFailed" : nullptr;
}

}  // namespace

std::vector<std::string> gpu_command(const std::string& program) {
  return {program, "--query-gpu=uuid,pci.bus_id,ecc.errors.uncorrected.volatile.total",
          "--format=csv,noheader,nounits", "--loop=10"};
}

std::optional<NodeFinding> GpuWatch::on_line(std::string_view line, std::string_view node,
                                             base::Instant now) {
  const auto fields = fields_of(line);
  const bool is_row = fields.size() == kFields && fields[kUuid].starts_with("GPU-");
  NodeFinding finding;
  finding.node = node;
  finding.at = now;
  if (is_row) finding.device = fields[kBus];
  if (const char* failure = failure_in(line)) {
    finding.cause = failure;
    finding.severity = Severity::Fatal;
    finding.detail = fmt::format(
        "a GPU does not answer until the node is reset: nvidia-smi says "
        "\"{}\"",
        trimmed(line));
    return finding;
  }
  if (!is_row) return std::nullopt;
  int64_t errors = 0;
  const std::string_view text = fields[kUncorrected];
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), errors);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;  // "[N/A]"
  const auto [known, is_first] = uncorrected_.try_emplace(std::string(fields[kUuid]), errors);
  const int64_t more = errors - known->second;
  known->second = errors;
  if (is_first || more <= 0) return std::nullopt;  // fewer: the driver was loaded again
  finding.cause = "EccUncorrected";
  finding.severity = Severity::Degraded;
  finding.detail = fmt::format(
      "{} more memory errors that could not be corrected, {} since the "
      "driver was loaded: what used that memory computes wrong or ends",
      more, errors);
  return finding;
}

}  // namespace pelton::decide::health
