// SPDX-License-Identifier: Apache-2.0
#include "agent/remote_command.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {

using base::Json;

const std::vector<std::string>& remote_protocols() {
  static const std::vector<std::string> names = {"v5.channel.k8s.io", "v4.channel.k8s.io"};
  return names;
}

std::optional<std::string> choose_protocol(const std::vector<std::string>& offered,
                                           const std::vector<std::string>& ours) {
  for (const std::string& name : ours) {
    if (std::find(offered.begin(), offered.end(), name) != offered.end()) return name;
  }
  return std::nullopt;
}

base::Result<RemoteOptions> read_remote_options(std::string_view target) {
  RemoteOptions options;
  const size_t mark = target.find('?');
  const std::string_view query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
  for (const std::string_view pair : base::split(query, '&')) {
    const size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = base::percent_decode(pair.substr(0, equals), true);
    const std::string value =
        base::percent_decode(pair.substr(std::min(equals + 1, pair.size())), true);
    const bool is_true = value == "1" || value == "true";
    if (name == "command") options.command.push_back(value);
    if (name == "input") options.has_stdin = is_true;
    if (name == "output") options.has_stdout = is_true;
    if (name == "error") options.has_stderr = is_true;
    if (name == "tty") options.is_tty = is_true;
  }
  if (options.is_tty && options.has_stderr) {
    return base::invalid_argument("tty and stderr cannot both be true: a terminal has one output");
  }
  if (!options.has_stdin && !options.has_stdout && !options.has_stderr) {
    return base::invalid_argument("you must specify at least 1 of stdin, stdout, stderr");
  }
  return options;
}

std::string remote_message(RemoteChannel channel, std::string_view bytes) {
  std::string message;
  message.reserve(bytes.size() + 1);
  message.push_back(static_cast<char>(channel));
  message.append(bytes);
  return message;
}

std::optional<world::TerminalSize> read_terminal_size(std::string_view text) {
  constexpr int64_t kMax = UINT16_MAX;
  const auto json = Json::parse(text);
  if (!json.ok()) return std::nullopt;
  const int64_t columns = (*json)["Width"].as_int(-1);
  const int64_t rows = (*json)["Height"].as_int(-1);
  if (columns < 0 || columns > kMax || rows < 0 || rows > kMax) return std::nullopt;
  return world::TerminalSize{static_cast<uint16_t>(columns), static_cast<uint16_t>(rows)};
}

Json exit_status(int code) {
  if (code == 0) {
    return Json::object({{"metadata", Json::object()}, {"status", "Success"}});
  }
  const std::string number = std::to_string(code);
  return Json::object(
      {{"metadata", Json::object()},
       {"status", "Failure"},
       {"message", "command terminated with non-zero exit code: exit status " + number},
       {"reason", "NonZeroExitCode"},
       {"details",
        Json::object({{"causes", Json::array({Json::object(
                                     {{"reason", "ExitCode"}, {"message", number}})})}})}});
}

Json failure_status(const std::string& message) {
  return Json::object(
      {{"metadata", Json::object()},
       {"status", "Failure"},
       {"message", "Internal error occurred: error executing command in container: " + message},
       {"reason", "InternalError"},
       {"details", Json::object({{"causes", Json::array({Json::object({{"message", message}})})}})},
       {"code", 500}});
}

}  // namespace pelton::agent
