// SPDX-License-Identifier: Apache-2.0
#include "cli/run_command.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include "base/strings.h"
#include "cli/options.h"
#include "launch/init.h"
#include "launch/options.h"
#include "launch/plan.h"
#include "launch/run_directory.h"
#include "launch/supervisor.h"
#include "os/os_world.h"
#include "os/self.h"
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

namespace {

struct Prepared {
  launch::Options options;
  launch::GroupPlan plan;
  launch::Environment environment;
};

/// The same for init and for each of its supervisors. InvalidArgument: what the user has to change.
base::Result<Prepared> prepare(const std::vector<std::string>& words, world::Files& files) {
  Prepared prepared;
  launch::Surroundings around;
  around.environment = os::environment();
  PELTON_ASSIGN(prepared.options, launch::parse_options(words, around.environment));
  prepared.environment = around.environment;
  if (prepared.options.help) return prepared;
  around.hostname = os::hostname();
  around.cpus = os::cpu_count();
  if (base::Result<std::string> hosts = files.read("/etc/hosts"); hosts.ok()) {
    around.hosts_file = *hosts;
  }
  PELTON_ASSIGN(prepared.plan, launch::plan_group(prepared.options, around));
  return prepared;
}

std::string variable(const launch::Environment& env, const std::string& name) {
  const auto found = env.find(name);
  return found == env.end() ? "" : found->second;
}

}  // namespace

int run_run(int argc, char** argv) {
  if (is_completing(argc, argv)) {
    std::fputs(to_text(complete_run(words_after_verb(argc, argv))).c_str(), stdout);
    return 0;
  }
  base::Result<std::unique_ptr<os::OsWorld>> made = os::make_world();
  if (!made.ok()) return refuse(made.error());
  os::OsWorld& world = **made;
  const std::vector<std::string> words(argv + 1, argv + argc);
  const base::Result<Prepared> prepared = prepare(words, world.world().files);
  if (!prepared.ok()) return refuse(prepared.error());
  if (prepared->options.help) {
    std::fputs(launch::options_help().c_str(), stdout);
    return 0;
  }
  for (const std::string& warning : prepared->plan.warnings) {
    world.world().log.warning("launch.plan", {{"message", warning}});
  }
  auto directory =
      launch::RunDirectory::make(world.world(), variable(prepared->environment, "TMPDIR"));
  if (!directory.ok()) return refuse(directory.error());

  int exit_code = 0;
  launch::Init init(world.world(), {.socket = directory.value()->path() + "/init.sock",
                                    .supervisor = {os::executable_path(), "run-supervisor"},
                                    .supervisor_words = words});
  world.on_stop_signal([&](int signal) { init.on_signal(signal); });
  const base::Status started = init.start([&](int code) {
    exit_code = code;
    world.stop();
  });
  if (!started.ok()) return refuse(started);
  world.run();
  return exit_code;
}

int run_run_supervisor(int argc, char** argv) {
  const base::Result<int64_t> number =
      argc > 2 ? base::parse_int(argv[2]) : base::invalid_argument("no number");
  if (!number.ok()) {
    std::fputs("usage: pelton run-supervisor SOCKET NUMBER … (run by pelton run)\n", stderr);
    return kUsageError;
  }
  auto made = os::make_world();
  if (!made.ok()) return refuse(made.error());
  os::OsWorld& world = **made;
  const base::Result<Prepared> prepared =
      prepare(std::vector<std::string>(argv + 3, argv + argc), world.world().files);
  if (!prepared.ok()) return refuse(prepared.error());
  const launch::Environment& env = prepared->environment;
  launch::SupervisorSettings settings;
  settings.init_socket = argv[1];
  settings.number = *number;
  settings.directory = settings.init_socket.substr(0, settings.init_socket.rfind('/'));
  settings.plan = prepared->plan;
  settings.environment = env;
  settings.working_directory = os::working_directory();
  settings.agent_socket = variable(env, "PELTON_AGENT_SOCKET");
  settings.pod_uid = variable(env, "PELTON_POD_UID");
  if (settings.pod_uid.empty()) settings.pod_uid = "local";
  settings.python_path = variable(env, "PELTON_PYTHON_PATH");  // another package than ours
  launch::Supervisor supervisor(world.world(), std::move(settings));
  supervisor.start([&] { world.stop(); });
  world.run();
  return 0;
}

}  // namespace pelton::cli
