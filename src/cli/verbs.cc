// SPDX-License-Identifier: Apache-2.0
#include "cli/verbs.h"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "cli/container_shim_command.h"
#include "cli/options.h"
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
    {"top", "watch its nodes, JobSets and pods", run_top},
    {"run", "launch a worker group, as torchrun does", run_run},
    {"kubeconfig", "print the path of its kubeconfig", run_kubeconfig},
    {"explain", "say why a pod is where it is, or is not", run_explain},
    {"goodput", "say where a job's time went", run_goodput},
    {"sim", "run a scenario under virtual time", run_sim},
    {"controllers", "run its controllers against any Kubernetes", run_controllers},
    {"python-path", "print where its Python package is", run_python_path},
    {"completion", "print what makes TAB complete in bash, zsh or fish", run_completion},
    {"server", "", run_server},
    {"agent", "", run_agent},
    {"container-shim", "", run_container_shim},
    {"run-supervisor", "", run_run_supervisor},
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

const Verb* find_verb(std::string_view name) {
  for (const Verb& verb : kVerbs) {
    if (verb.name == name) return &verb;
  }
  return nullptr;
}

/// `pelton __complete WORD…`: the words after `pelton`, the last one being typed.
int complete_line(int argc, char** argv) {
  if (argc > 3) {
    const Verb* verb = find_verb(argv[2]);
    if (!verb || verb->summary.empty()) {
      fmt::print("{}", to_text({}));
      return 0;
    }
    std::string marker = kCompleting;
    argv[2] = marker.data();
    return verb->run(argc - 2, argv + 2);
  }
  std::vector<Candidate> words;
  for (const Verb& verb : kVerbs) {
    if (!verb.summary.empty()) words.push_back({std::string(verb.name), std::string(verb.summary)});
  }
  words.push_back({"help", "list the verbs"});
  words.push_back({"version", "print the version"});
  fmt::print("{}", to_text(matching(words, argc > 2 ? argv[2] : "")));
  return 0;
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
  if (name == kCompleting) return complete_line(argc, argv);
  if (const Verb* verb = find_verb(name)) return verb->run(argc - 1, argv + 1);
  fmt::print(stderr, "pelton: there is no verb \"{}\"; 'pelton help' lists them\n", name);
  return 2;
}

}  // namespace pelton::cli
