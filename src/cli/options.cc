// SPDX-License-Identifier: Apache-2.0
// The one file that includes CLI11.
#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "base/strings.h"

namespace pelton::cli {

struct Options::Impl {
  CLI::App app;
  std::string name;
  Arguments arguments;

  /// `flag` as CLI11 takes it: "-n,--namespace".
  Argument& add_flag(const std::string& flag, const std::string& help) {
    Argument argument{.description = help};
    for (const std::string_view name_of_it : base::split(flag, ',')) {
      argument.names.emplace_back(name_of_it);
    }
    arguments.flags.push_back(std::move(argument));
    return arguments.flags.back();
  }
};

bool is_completing(int argc, char** argv) {
  return argc > 0 && std::string_view(argv[0]) == kCompleting;
}

std::vector<std::string> words_after_verb(int argc, char** argv) {
  return argc > 1 ? std::vector<std::string>(argv + 1, argv + argc) : std::vector<std::string>();
}

Options::Options(std::string name, std::string summary, std::string examples)
    : impl_(std::make_unique<Impl>()) {
  impl_->name = name;
  impl_->app.name(std::move(name));
  impl_->app.description(std::move(summary));
  impl_->app.footer("\nExamples:\n" + examples);
  impl_->app.option_defaults()->always_capture_default();
  impl_->add_flag("-h,--help", "options and examples").takes_value = false;
}

Options::~Options() = default;

void Options::text(const std::string& flag, std::string& value, const std::string& help,
                   Values values) {
  impl_->app.add_option(flag, value, help);
  Argument& argument = impl_->add_flag(flag, help);
  argument.values = std::move(values);
  argument.set = [&value](const std::string& given) { value = given; };
}

void Options::number(const std::string& flag, int64_t& value, const std::string& help) {
  impl_->app.add_option(flag, value, help);
  impl_->add_flag(flag, help);
}

void Options::toggle(const std::string& flag, bool& value, const std::string& help) {
  impl_->app.add_flag(flag, value, help);
  Argument& argument = impl_->add_flag(flag, help);
  argument.takes_value = false;
  argument.set = [&value](const std::string&) { value = true; };
}

void Options::texts(const std::string& flag, std::vector<std::string>& values,
                    const std::string& help, Values each) {
  impl_->app.add_option(flag, values, help);
  Argument& argument = impl_->add_flag(flag, help);
  argument.is_repeatable = true;
  argument.values = std::move(each);
  argument.set = [&values](const std::string& given) { values.push_back(given); };
}

void Options::positional(const std::string& name, std::string& value, const std::string& help,
                         Values values) {
  add_positional(name, value, help, std::move(values), true);
}

void Options::optional_positional(const std::string& name, std::string& value,
                                  const std::string& help, Values values) {
  add_positional(name, value, help, std::move(values), false);
}

void Options::add_positional(const std::string& name, std::string& value, const std::string& help,
                             Values values, bool is_required) {
  impl_->app.add_option(name, value, help)->required(is_required);
  impl_->arguments.positionals.push_back(
      {.description = help, .values = std::move(values), .set = [&value](const std::string& given) {
         value = given;
       }});
}

Completions Options::complete(const std::vector<std::string>& words) const {
  return cli::complete(impl_->arguments, words);
}

std::optional<int> Options::parse(int argc, char** argv) {
  if (is_completing(argc, argv)) {
    fmt::print("{}", to_text(complete(words_after_verb(argc, argv))));
    return 0;
  }
  try {
    impl_->app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", impl_->app.help());
    return 0;
  } catch (const CLI::ParseError& error) {
    fmt::print(stderr, "{}: {}\nRun '{} --help' for options and examples.\n", impl_->name,
               error.what(), impl_->name);
    return 2;
  }
  return std::nullopt;
}

}  // namespace pelton::cli
