// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/observed_failures.h"

#include <fmt/format.h>

#include <vector>

#include "base/strings.h"

namespace pelton::decide::checkpoint {
namespace {

bool read(std::string_view text, int64_t& count) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto number = base::parse_int(text);
  if (!number.ok() || *number > kMostObserved) return false;
  count = *number;
  return true;
}

}  // namespace

std::string to_text(const ObservedFailures& failures) {
  if (failures == ObservedFailures()) return "";
  return fmt::format("{}:{}:{}", failures.node_seconds, failures.memory, failures.durable);
}

base::Result<ObservedFailures> parse_failures(std::string_view text) {
  ObservedFailures failures;
  if (text.empty()) return failures;
  const std::vector<std::string_view> parts = base::split(text, ':');
  if (parts.size() == 3 && read(parts[0], failures.node_seconds) &&
      read(parts[1], failures.memory) && read(parts[2], failures.durable)) {
    return failures;
  }
  return base::invalid_argument(fmt::format(
      "must be NODE-SECONDS:FAILURES:FAILURES, those that memory has survived and the others, such "
      "as 86400:3:1, and not \"{}\"",
      text));
}

}  // namespace pelton::decide::checkpoint
