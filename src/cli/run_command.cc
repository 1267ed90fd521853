// SPDX-License-Identifier: Apache-2.0
#include "cli/run_command.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "cli/options.h"
#include "launch/launcher.h"
#include "launch/options.h"
#include "launch/plan.h"
#include "os/os_world.h"
#include "os/surroundings.h"

namespace pelton::cli {
namespace {

constexpr int kUsageError = 2;

int refuse(const base::Status& status) {
  std::fprintf(stderr, "pelton run: %s\n", status.message().c_str());
  return kUsageError;
}

/// torchrun's other spelling: --nproc_per_node is --nproc-per-node.
std::string with_dashes(std::string word) {
  if (!word.starts_with("--")) return word;
  const auto end =
      word.begin() + static_cast<std::ptrdiff_t>(std::min(word.find('='), word.size()));
  std::replace(word.begin(), end, '_', '-');
  return word;
}

Completions complete_run(std::vector<std::string> words) {
  Arguments arguments{.takes_command = true};
  for (const launch::FlagDescription& flag : launch::describe_flags()) {
    const bool is_advertised = !flag.help.empty();
    Argument argument{flag.names, is_advertised ? flag.help : "accepted for torchrun's sake"};
    argument.takes_value = !flag.value.empty();
    if (flag.value == "DIR") {
      argument.values = Values::directories();
    } else if (!flag.choices.empty()) {
      argument.values = Values::one_of(flag.choices);
    }
    arguments.flags.push_back(std::move(argument));
  }
  std::transform(words.begin(), words.end(), words.begin(), with_dashes);
  return complete(arguments, words);
}

}  // namespace

int run_run(int argc, char** argv) {
  if (is_completing(argc, argv)) {
    std::fputs(to_text(complete_run(words_after_verb(argc, argv))).c_str(), stdout);
    return 0;
  }
  launch::Surroundings around;
  around.environment = os::environment();
  const base::Result<launch::Options> options =
      launch::parse_options(std::vector<std::string>(argv + 1, argv + argc), around.environment);
  if (!options.ok()) return refuse(options.error());
  if (options->help) {
    std::fputs(launch::options_help().c_str(), stdout);
    return 0;
  }
  base::Result<std::unique_ptr<os::OsWorld>> made = os::make_world();
  if (!made.ok()) return refuse(made.error());
  os::OsWorld& world = **made;

  around.hostname = os::hostname();
  around.cpus = os::cpu_count();
  if (base::Result<std::string> hosts = world.world().files.read("/etc/hosts"); hosts.ok()) {
    around.hosts_file = *hosts;
  }
  const base::Result<launch::GroupPlan> plan = launch::plan_group(*options, around);
  if (!plan.ok()) return refuse(plan.error());

  int exit_code = 0;
  launch::Launcher launcher(world.world(), *plan);
  world.on_stop_signal([&](int signal) { launcher.on_signal(signal); });
  launcher.start([&](int code) {
    exit_code = code;
    world.stop();
  });
  world.run();
  return exit_code;
}

}  // namespace pelton::cli
