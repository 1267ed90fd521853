// SPDX-License-Identifier: Apache-2.0
#include "agent/termination_message.h"

#include "agent/cri_log.h"
#include "agent/valid_text.h"

namespace pelton::agent {
namespace {

constexpr size_t kFallbackLines = 80;
constexpr size_t kFallbackBytes = 2048;

/// The first `size` bytes of a file; "" where there is none.
std::string head_of(world::Files& files, const std::string& path, size_t size) {
  auto file = files.open(path, world::OpenMode::Read);
  if (!file.ok()) return "";
  auto bytes = (*file)->read_at(0, size);
  return bytes.ok() ? std::move(bytes).value() : "";
}

}  // namespace

std::string fallback_message(std::string_view text) {
  if (text.size() > kFallbackBytes) text.remove_prefix(text.size() - kFallbackBytes);
  size_t lines = 0;
  for (size_t i = text.size(); i > 0; --i) {
    if (text[i - 1] != '\n' || i == text.size()) continue;
    if (++lines == kFallbackLines) return std::string(text.substr(i));
  }
  return std::string(text);
}

std::string read_termination_message(world::Files& files, const ContainerPaths& paths,
                                     const base::Json& container, int exit_code) {
  std::string message = head_of(files, paths.termination_message(), kMaxTerminationMessage);
  const bool is_falling_back =
      container["terminationMessagePolicy"].as_string() == "FallbackToLogsOnError";
  if (!message.empty() || !is_falling_back || exit_code == 0) return valid_text(message);
  const auto log = files.read(paths.log());
  if (!log.ok()) return "";
  return valid_text(fallback_message(CriLogReader({}).read(*log)));
}

}  // namespace pelton::agent
