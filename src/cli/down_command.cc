// SPDX-License-Identifier: Apache-2.0
// `pelton down`: ends agents, server, then pods with their network.
#include <fmt/format.h>

#include <algorithm>

#include "agent/cluster_network.h"
#include "cli/blocking.h"
#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/part.h"
#include "cli/verbs.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

constexpr base::Duration kGrace = base::Duration::seconds(10);

base::Status bring_down(os::OsWorld& os, const DataDirectory& directory, bool is_deleting) {
  world::World& world = os.world();
  if (!world.files.exists(directory.root)) {
    return base::not_found(
        fmt::format("there is no cluster in {}; nothing is running from it", directory.root));
  }
  if (!os::is_root()) {
    return {base::Code::Forbidden, "needs root, as 'pelton up' did. Run it with sudo"};
  }
  std::vector<RunRecord> parts = running(world.files, world.processes, directory);
  // An `up` that was interrupted has left these on their way up.
  for (RunRecord& part : starting(world.files, world.processes, directory)) {
    const bool is_known = std::any_of(
        parts.begin(), parts.end(), [&](const RunRecord& known) { return known.pid == part.pid; });
    if (!is_known) parts.push_back(std::move(part));
  }
  // Agents first: nobody may start a pod again that is being ended.
  for (const RunRecord& part : parts) {
    if (part.name != "server") end_part(os, part, kGrace);
  }
  for (const RunRecord& part : parts) {
    if (part.name == "server") end_part(os, part, kGrace);
  }
  // Ends every process of every pod too.
  PELTON_TRY(await<base::Status>(os, [&](auto done) {
    agent::delete_cluster_network(world.processes, agent::cluster_network_of(directory.root),
                                  std::move(done));
  }));
  PELTON_TRY(world.files.remove_tree(directory.run()));
  if (is_deleting) PELTON_TRY(world.files.remove_tree(directory.root));
  fmt::print("{} processes ended; {} {}\n", parts.size(), directory.root,
             is_deleting ? "is deleted" : "keeps what was stored");
  return base::ok();
}

}  // namespace

int run_down(int argc, char** argv) {
  std::string path = default_data_directory();
  bool is_deleting = false;
  Options options("pelton down", "Stops an embedded cluster: its pods, agents, server and network.",
                  "  pelton down                       # what was stored stays for the next up\n"
                  "  pelton down --data-dir /tmp/pelton --delete-data\n");
  options.text("--data-dir", path, "the cluster's data directory", Values::directories());
  options.toggle("--delete-data", is_deleting, "delete the data directory too");
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world({.log_level = base::Severity::Warning});
  base::Status status = os.status();
  if (status.ok()) status = bring_down(**os, data_directory(path), is_deleting);
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton down: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
