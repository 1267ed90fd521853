// SPDX-License-Identifier: Apache-2.0
// The one file that includes CLI11.
#include "cli/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace pelton::cli {

struct Options::Impl {
  CLI::App app;
  std::string name;
};

Options::Options(std::string name, std::string summary, std::string examples)
    : impl_(std::make_unique<Impl>()) {
  impl_->name = name;
  impl_->app.name(std::move(name));
  impl_->app.description(std::move(summary));
  impl_->app.footer("\nExamples:\n" + examples);
  impl_->app.option_defaults()->always_capture_default();
}

Options::~Options() = default;

void Options::text(const std::string& flag, std::string& value, const std::string& help) {
  impl_->app.add_option(flag, value, help);
}

void Options::number(const std::string& flag, int64_t& value, const std::string& help) {
  impl_->app.add_option(flag, value, help);
}

void Options::toggle(const std::string& flag, bool& value, const std::string& help) {
  impl_->app.add_flag(flag, value, help);
}

void Options::texts(const std::string& flag, std::vector<std::string>& values,
                    const std::string& help) {
  impl_->app.add_option(flag, values, help);
}

void Options::positional(const std::string& name, std::string& value, const std::string& help) {
  impl_->app.add_option(name, value, help)->required();
}

std::optional<int> Options::parse(int argc, char** argv) {
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
