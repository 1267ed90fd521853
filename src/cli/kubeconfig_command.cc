// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "os/os_world.h"

namespace pelton::cli {

int run_kubeconfig(int argc, char** argv) {
  std::string path = default_data_directory();
  bool show = false;
  Options options("pelton kubeconfig",
                  "Prints the path of an embedded cluster's kubeconfig, or the file itself.",
                  "  kubectl --kubeconfig \"$(pelton kubeconfig)\" get nodes\n"
                  "  pelton kubeconfig --show > cluster.yaml   # to carry it elsewhere\n");
  options.text("--data-dir", path, "the cluster's data directory");
  options.toggle("--show", show, "print the file instead of its path");
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world();
  if (!os.ok()) {
    fmt::print(stderr, "pelton kubeconfig: {}\n", os.status().message());
    return 1;
  }
  const DataDirectory directory = data_directory(path);
  auto text = (*os)->world().files.read(directory.kubeconfig());
  if (!text.ok()) {
    fmt::print(stderr,
               "pelton kubeconfig: there is no cluster in {} ({} is missing); start one with "
               "'pelton up --data-dir {}'\n",
               directory.root, directory.kubeconfig(), directory.root);
    return 1;
  }
  fmt::print("{}{}", show ? *text : directory.kubeconfig(), show ? "" : "\n");
  return 0;
}

}  // namespace pelton::cli
