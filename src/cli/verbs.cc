// SPDX-License-Identifier: Apache-2.0
#include "cli/verbs.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "cli/container_shim_command.h"
#include "cli/run_command.h"

namespace pelton::cli {
namespace {

struct Verb {
  std::string_view name;
  std::string_view summary;  ///< empty: hidden
  int (*run)(int argc, char** argv);
};

constexpr Verb kVerbs[] = {
    {"up", "start an embedded cluster on this machine", run_up},
    {"down", "stop it; what it stored stays", run_down},
    {"status", "show its processes and nodes", run_status},
    {"run", "launch a worker group, as torchrun does", run_run},
    {"kubeconfig", "print the path of its kubeconfig", run_kubeconfig},
    {"explain", "say why a pod is where it is, or is not", run_explain},
    {"sim", "run a scenario under virtual time", run_sim},
    {"controllers", "run its controllers against any Kubernetes", run_controllers},
    {"server", "", run_server},
    {"agent", "", run_agent},
    {"container-shim", "", run_container_shim},
};

void list(std::FILE* to) {
  fmt::print(to,
             "pelton: an open AI hypercomputer in one executable\n\n"
             "Usage: pelton VERB [options]\n\n");
  for (const Verb& verb : kVerbs) {
    if (!verb.summary.empty()) fmt::print(to, "  {:<12}{}\n", verb.name, verb.summary);
  }
  fmt::print(to,
             "\nExamples:\n"
             "  pelton up --nodes 4                      # a cluster of four nodes\n"
             "  kubectl --kubeconfig \"$(pelton kubeconfig)\" get nodes\n"
             "  pelton VERB --help                       # options and examples of a verb\n");
}

}  // namespace

int run(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "help";
  if (name == "help" || name == "--help" || name == "-h") {
    list(stdout);
    return 0;
  }
  if (name == "version" || name == "--version") {
    fmt::print("pelton {}\n", "0.1.0");
    return 0;
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return verb.run(argc - 1, argv + 1);
  }
  fmt::print(stderr, "pelton: there is no verb \"{}\"; 'pelton help' lists them\n", name);
  return 2;
}

}  // namespace pelton::cli
