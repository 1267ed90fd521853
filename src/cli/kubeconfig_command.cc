// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/json.h"
#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "os/os_world.h"

namespace pelton::cli {

int run_kubeconfig(int argc, char** argv) {
  std::string path = default_data_directory(), output;
  bool show = false;
  Options options("pelton kubeconfig",
                  "Prints the path of an embedded cluster's kubeconfig, or the file itself.",
                  "  kubectl --kubeconfig \"$(pelton kubeconfig)\" get nodes\n"
                  "  pelton kubeconfig --show > cluster.yaml   # to carry it elsewhere\n");
  options.text("--data-dir", path, "the cluster's data directory", Values::directories());
  options.toggle("--show", show, "print the file instead of its path");
  options.text("-o,--output", output, "json, or nothing for text", Values::one_of({"json"}));
  if (auto code = options.parse(argc, argv)) return *code;
  if (!output.empty() && output != "json") {
    fmt::print(stderr, "pelton kubeconfig: -o {}: the forms are text (no -o) and json\n", output);
    return 2;
  }
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
  if (output == "json") {
    auto json = base::Json::object({{"path", directory.kubeconfig()}});
    if (show) json.set("kubeconfig", *text);
    fmt::print("{}\n", json.dump(2));
    return 0;
  }
  fmt::print("{}{}", show ? *text : directory.kubeconfig(), show ? "" : "\n");
  return 0;
}

}  // namespace pelton::cli
