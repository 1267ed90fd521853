// SPDX-License-Identifier: Apache-2.0
// What a shell may offer for the word that is being typed. Pure, apart from values that are asked
// for when they are needed (names of the running cluster).
//
// The scripts that `pelton completion` prints know no verb and no flag. They call
// `pelton __complete WORD…`, the last word being the one under the cursor, and get what
// to_text(Completions) makes. What there is follows from the options that the verbs declare
// (cli/options.h): an option is completed because it is parsed.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace pelton::cli {

struct Candidate {
  std::string word;
  std::string description;  ///< one line; may be empty
  bool operator==(const Candidate&) const = default;
};

/// What a value may be.
class Values {
 public:
  enum class Kind : uint8_t { Anything, Files, Directories, Listed };
  using Ask = std::function<std::vector<Candidate>()>;

  Values() = default;  ///< nothing that could be offered
  static Values files() { return Values(Kind::Files, nullptr); }
  static Values directories() { return Values(Kind::Directories, nullptr); }
  static Values one_of(std::vector<std::string> words);
  /// Asked only when such a value is being typed, after the options before it have been read. Must
  /// be quick, and give nothing where it fails.
  static Values asked(Ask ask) { return Values(Kind::Listed, std::move(ask)); }

  Kind kind() const { return kind_; }
  std::vector<Candidate> ask() const { return ask_ ? ask_() : std::vector<Candidate>(); }

 private:
  Values(Kind kind, Ask ask) : kind_(kind), ask_(std::move(ask)) {}
  Kind kind_ = Kind::Anything;
  Ask ask_;
};

/// One option or positional of a command.
struct Argument {
  std::vector<std::string> names;  ///< {"-n", "--namespace"}; of a positional, none
  std::string description;
  bool takes_value = true;
  bool is_repeatable = false;
  Values values;
  /// Told what stands on the line before the word that is typed ("" where it takes no value).
  std::function<void(const std::string& value)> set;
};

/// What a command takes.
struct Arguments {
  std::vector<Argument> flags;
  std::vector<Argument> positionals;
  bool takes_command = false;  ///< the first positional begins a command line: files from there on
};

struct Completions {
  std::vector<Candidate> candidates;  ///< each begins with the word that is typed
  Values::Kind kind = Values::Kind::Listed;
  bool operator==(const Completions&) const = default;
};

/// `words` are those after the verb; the last one (which may be "") is being typed. Flags are
/// offered where the word begins with '-', or where nothing else can stand.
Completions complete(const Arguments& arguments, const std::vector<std::string>& words);

/// Those that begin with `word`, with `lead` put before each.
Completions matching(const std::vector<Candidate>& all, std::string_view word,
                     std::string_view lead = "");

/// A line "WORD<tab>DESCRIPTION" per candidate, then a line with what the shell is to do: ":4"
/// offer these and nothing else, ":0" complete names of files, ":16" of directories. (The numbers
/// are those of other commands' completion, so that a shell's habits fit.) A candidate that a
/// terminal might take for a command is left out.
std::string to_text(const Completions& completions);

}  // namespace pelton::cli
