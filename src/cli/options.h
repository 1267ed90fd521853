// SPDX-License-Identifier: Apache-2.0
// Command-line options of one verb: what users expect of them (--name VALUE, --name=VALUE, --help
// with examples), over CLI11, which stays in one file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pelton::cli {

class Options {
 public:
  /// `name` as typed ("pelton up"), `summary` one sentence, `examples` whole command lines with a
  /// comment each, shown by --help.
  Options(std::string name, std::string summary, std::string examples);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Each binds an option to a variable that outlives parse(); its present value is the default.
  void text(const std::string& flag, std::string& value, const std::string& help);
  void number(const std::string& flag, int64_t& value, const std::string& help);
  void toggle(const std::string& flag, bool& value, const std::string& help);
  void texts(const std::string& flag, std::vector<std::string>& values, const std::string& help);
  /// A required positional.
  void positional(const std::string& name, std::string& value, const std::string& help);

  /// Returns nothing where the command is to run, else the exit code: 0 after --help (printed), 2
  /// after a mistake (the message on stderr names the option and points to --help).
  std::optional<int> parse(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pelton::cli
