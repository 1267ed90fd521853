// SPDX-License-Identifier: Apache-2.0
// Command-line options of one verb: what users expect of them (--name VALUE, --name=VALUE, --help
// with examples, completion in the shell), over CLI11, which stays in one file.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/completion.h"

namespace pelton::cli {

/// In argv[0], in the verb's place: the words after it are to be completed, and nothing is to run.
inline constexpr const char* kCompleting = "__complete";
/// Whether argv is such a line, and the words after argv[0].
bool is_completing(int argc, char** argv);
std::vector<std::string> words_after_verb(int argc, char** argv);

class Options {
 public:
  /// `name` as typed ("pelton up"), `summary` one sentence, `examples` whole command lines with a
  /// comment each, shown by --help.
  Options(std::string name, std::string summary, std::string examples);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  // Each binds an option to a variable that outlives parse(); its present value is the default.
  // `values` says what the shell may offer; it may look at the variables of other options.
  void text(const std::string& flag, std::string& value, const std::string& help,
            Values values = {});
  void number(const std::string& flag, int64_t& value, const std::string& help);
  void toggle(const std::string& flag, bool& value, const std::string& help);
  void texts(const std::string& flag, std::vector<std::string>& values, const std::string& help,
             Values each = {});
  /// A required positional.
  void positional(const std::string& name, std::string& value, const std::string& help,
                  Values values = {});
  void optional_positional(const std::string& name, std::string& value, const std::string& help,
                           Values values = {});

  /// Returns nothing where the command is to run, else the exit code: 0 after --help or completions
  /// (printed), 2 after a mistake (the message on stderr names the option and points to --help).
  std::optional<int> parse(int argc, char** argv);
  /// What the shell may offer for the last of these words after the verb.
  Completions complete(const std::vector<std::string>& words) const;

 private:
  void add_positional(const std::string& name, std::string& value, const std::string& help,
                      Values values, bool is_required);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pelton::cli
