// SPDX-License-Identifier: Apache-2.0
#include "launch/park_command.h"

#include <algorithm>
#include <string_view>

namespace pelton::launch {
namespace {

constexpr std::string_view kHarmless = "bBdOPqRsuvx";  // one-letter flags without a value
constexpr std::string_view kWithValue = "WX";

/// "python", "python3", "python3.11", with a directory or not.
bool is_python(std::string_view word) {
  const std::string_view name = word.substr(word.rfind('/') + 1);
  if (!name.starts_with("python")) return false;
  const std::string_view version = name.substr(6);
  return std::all_of(version.begin(), version.end(),
                     [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

enum class FlagKind { Harmless, TakesNext, Module, Other };

FlagKind kind_of(std::string_view flag) {
  if (flag == "-m") return FlagKind::Module;
  if (flag.size() < 2 || flag[1] == '-') return FlagKind::Other;
  for (size_t i = 1; i < flag.size(); ++i) {
    if (kWithValue.find(flag[i]) != std::string_view::npos) {
      return i + 1 == flag.size() ? FlagKind::TakesNext : FlagKind::Harmless;
    }
    if (kHarmless.find(flag[i]) == std::string_view::npos) return FlagKind::Other;
  }
  return FlagKind::Harmless;
}

}  // namespace

std::optional<PythonCommand> python_command_of(const std::vector<std::string>& command) {
  if (command.empty() || !is_python(command[0])) return std::nullopt;
  PythonCommand found;
  found.interpreter = {command[0]};
  size_t next = 1;
  for (; next < command.size() && command[next].starts_with('-'); ++next) {
    const FlagKind kind = kind_of(command[next]);
    if (kind == FlagKind::Other) return std::nullopt;
    if (kind == FlagKind::Module) {
      found.is_module = true;
      ++next;
      break;
    }
    found.interpreter.push_back(command[next]);
    if (kind == FlagKind::TakesNext && ++next < command.size()) {
      found.interpreter.push_back(command[next]);
    }
  }
  if (next >= command.size()) return std::nullopt;
  found.argv.assign(command.begin() + static_cast<std::ptrdiff_t>(next), command.end());
  return found;
}

std::vector<std::string> park_command(const PythonCommand& command, const std::string& socket,
                                      int spares) {
  std::vector<std::string> words = command.interpreter;
  for (const char* word : {"-m", "pelton.park", "--socket"}) words.emplace_back(word);
  words.push_back(socket);
  words.push_back("--spares=" + std::to_string(spares));
  words.emplace_back("--");
  if (command.is_module) words.emplace_back("-m");
  words.push_back(command.argv[0]);
  return words;
}

}  // namespace pelton::launch
