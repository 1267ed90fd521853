// SPDX-License-Identifier: Apache-2.0
// `pelton status`: the processes of an embedded cluster, and its nodes as its API shows them.
#include <fmt/format.h>

#include "api/object.h"
#include "cli/admin_client.h"
#include "cli/blocking.h"
#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "os/os_world.h"

namespace pelton::cli {
namespace {

using NodeList = base::Result<client::ObjectList>;

/// What -o json prints; the text form is made from it.
base::Json observe(os::OsWorld& os, const DataDirectory& directory, AdminClient& admin) {
  world::World& world = os.world();
  base::Json status = base::Json::object({{"dataDirectory", directory.root},
                                          {"kubeconfig", directory.kubeconfig()},
                                          {"processes", base::Json::array()},
                                          {"nodes", base::Json::array()}});
  for (const RunRecord& part : running(world.files, world.processes, directory)) {
    status.child("processes")
        .push_back(base::Json::object(
            {{"name", part.name}, {"pid", part.pid}, {"log", directory.log(part.name)}}));
  }
  const NodeList nodes =
      await<NodeList>(os, [&](auto done) { admin.client().list("Node", "", {}, std::move(done)); });
  if (!nodes.ok()) {
    status.set("apiError", nodes.status().message());
    return status;
  }
  for (const base::Json& node : nodes->items) {
    status.child("nodes").push_back(base::Json::object(
        {{"name", api::name_of(node)},
         {"ready", api::is_condition_true(node, "Ready")},
         {"virtualAccelerators", api::label_of(node, "pelton.dev/virtual-accelerator") == "true"},
         {"allocatable", node.at("status.allocatable")}}));
  }
  return status;
}

void print(const base::Json& status) {
  fmt::print("data        {}\nkubeconfig  {}\n\n", status["dataDirectory"].as_string(),
             status["kubeconfig"].as_string());
  for (const base::Json& part : status["processes"].items()) {
    fmt::print("{:<16} pid {:<8} {}\n", part["name"].as_string(), part["pid"].as_int(),
               part["log"].as_string());
  }
  if (status["processes"].empty()) fmt::print("nothing runs; start it with 'pelton up'\n");
  fmt::print("\n");
  for (const base::Json& node : status["nodes"].items()) {
    fmt::print("{:<16} {:<9}", node["name"].as_string(),
               node["ready"].as_bool() ? "Ready" : "NotReady");
    for (const auto& [name, amount] : node["allocatable"].members()) {
      fmt::print(" {}={}", name, amount.is_string() ? amount.as_string() : amount.dump());
    }
    fmt::print("{}\n", node["virtualAccelerators"].as_bool() ? "  (virtual accelerators)" : "");
  }
  if (status.contains("apiError")) {
    fmt::print("the API does not answer: {}\n", status["apiError"].as_string());
  }
}

}  // namespace

int run_status(int argc, char** argv) {
  std::string path = default_data_directory(), output;
  Options options("pelton status", "Shows an embedded cluster's processes and nodes.",
                  "  pelton status\n"
                  "  pelton status --data-dir /tmp/pelton -o json\n");
  options.text("--data-dir", path, "the cluster's data directory", Values::directories());
  options.text("-o,--output", output, "json, or nothing for text", Values::one_of({"json"}));
  if (auto code = options.parse(argc, argv)) return *code;
  if (!output.empty() && output != "json") {
    fmt::print(stderr, "pelton status: -o {}: the forms are text (no -o) and json; see --help\n",
               output);
    return 2;
  }
  auto os = os::make_world({.log_level = base::Severity::Warning});
  if (!os.ok()) {
    fmt::print(stderr, "pelton status: {}\n", os.status().message());
    return 1;
  }
  const DataDirectory directory = data_directory(path);
  auto admin = AdminClient::make((*os)->world(), directory);
  if (!admin.ok()) {
    fmt::print(stderr, "pelton status: {}\n", admin.status().message());
    return 1;
  }
  const base::Json status = observe(**os, directory, **admin);
  if (output == "json") {
    fmt::print("{}\n", status.dump(2));
  } else {
    print(status);
  }
  return status.contains("apiError") ? 1 : 0;
}

}  // namespace pelton::cli
