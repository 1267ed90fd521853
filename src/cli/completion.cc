// SPDX-License-Identifier: Apache-2.0
#include "cli/completion.h"

#include <algorithm>
#include <set>
#include <utility>

namespace pelton::cli {
namespace {

const Argument* find_flag(const Arguments& arguments, std::string_view name) {
  for (const Argument& flag : arguments.flags) {
    if (std::find(flag.names.begin(), flag.names.end(), name) != flag.names.end()) return &flag;
  }
  return nullptr;
}

void tell(const Argument& argument, const std::string& value) {
  if (argument.set) argument.set(value);
}

Completions values_of(const Argument& argument, std::string_view word, std::string_view lead) {
  if (argument.values.kind() != Values::Kind::Listed) {
    return {{}, argument.values.kind()};
  }
  return matching(argument.values.ask(), word, lead);
}

/// The words before the one that is typed, read as far as they make sense.
class Reader {
 public:
  explicit Reader(const Arguments& arguments) : arguments_(arguments) {}

  void read(const std::string& word) {
    if (open_) {
      tell(*std::exchange(open_, nullptr), word);
    } else if (flags_ended_ || !word.starts_with('-') || word == "-") {
      if (positional_ < arguments_.positionals.size()) {
        tell(arguments_.positionals[positional_], word);
      }
      ++positional_;
      if (arguments_.takes_command) flags_ended_ = true;
    } else if (word == "--") {
      flags_ended_ = true;
      if (arguments_.takes_command) ++positional_;
    } else {
      read_flag(word);
    }
  }

  Completions offer(const std::string& word) const {
    if (open_) return values_of(*open_, word, "");
    if (!flags_ended_ && word.starts_with('-')) {
      const size_t equals = word.find('=');
      if (equals == std::string::npos) return flags(word);
      const Argument* flag = find_flag(arguments_, std::string_view(word).substr(0, equals));
      if (!flag || !flag->takes_value) return {};
      return values_of(*flag, std::string_view(word).substr(equals + 1),
                       word.substr(0, equals + 1));
    }
    if (arguments_.takes_command) return {{}, Values::Kind::Files};
    if (positional_ < arguments_.positionals.size()) {
      return values_of(arguments_.positionals[positional_], word, "");
    }
    return word.empty() && !flags_ended_ ? flags("--") : Completions{};
  }

 private:
  void read_flag(const std::string& word) {
    const size_t equals = word.find('=');
    const Argument* flag = find_flag(arguments_, std::string_view(word).substr(0, equals));
    if (!flag) return;
    given_.insert(flag);
    if (!flag->takes_value) {
      tell(*flag, "");
    } else if (equals != std::string::npos) {
      tell(*flag, word.substr(equals + 1));
    } else {
      open_ = flag;
    }
  }

  Completions flags(std::string_view word) const {
    std::vector<Candidate> all;
    for (const Argument& flag : arguments_.flags) {
      if (given_.contains(&flag) && !flag.is_repeatable) continue;
      for (const std::string& name : flag.names) all.push_back({name, flag.description});
    }
    return matching(all, word);
  }

  const Arguments& arguments_;
  const Argument* open_ = nullptr;  ///< a flag that waits for its value
  std::set<const Argument*> given_;
  size_t positional_ = 0;  ///< the one that comes next
  bool flags_ended_ = false;
};

bool is_plain(const std::string& text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) == 0x7f;
  });
}

}  // namespace

Values Values::one_of(std::vector<std::string> words) {
  return asked([words = std::move(words)] {
    std::vector<Candidate> all;
    for (const std::string& word : words) all.push_back({word, ""});
    return all;
  });
}

Completions complete(const Arguments& arguments, const std::vector<std::string>& words) {
  if (words.empty()) return {};
  Reader reader(arguments);
  for (size_t i = 0; i + 1 < words.size(); ++i) reader.read(words[i]);
  return reader.offer(words.back());
}

Completions matching(const std::vector<Candidate>& all, std::string_view word,
                     std::string_view lead) {
  Completions result;
  for (const Candidate& candidate : all) {
    if (!candidate.word.starts_with(word)) continue;
    result.candidates.push_back({std::string(lead) + candidate.word, candidate.description});
  }
  return result;
}

std::string to_text(const Completions& completions) {
  std::string text;
  for (const Candidate& candidate : completions.candidates) {
    if (!is_plain(candidate.word) || !is_plain(candidate.description)) continue;
    text += candidate.word;
    if (!candidate.description.empty()) text += "\t" + candidate.description;
    text += "\n";
  }
  switch (completions.kind) {
    case Values::Kind::Files:
      return text + ":0\n";
    case Values::Kind::Directories:
      return text + ":16\n";
    case Values::Kind::Anything:
    case Values::Kind::Listed:
      break;
  }
  return text + ":4\n";
}

}  // namespace pelton::cli
