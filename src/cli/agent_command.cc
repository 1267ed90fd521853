// SPDX-License-Identifier: Apache-2.0
// `pelton agent`: the agent of one node of an embedded cluster.
#include <fmt/format.h>

#include "agent/node_agent.h"
#include "cli/blocking.h"
#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/part.h"
#include "cli/pki.h"
#include "cli/verbs.h"
#include "client/https.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

base::Status serve(os::OsWorld& os, const DataDirectory& directory, const std::string& node) {
  world::World& world = os.world();
  auto config = ClusterConfig::read(world.files, directory);
  if (!config.ok()) return std::move(config).status().with("start the cluster with 'pelton up'");
  PELTON_ASSIGN(const agent::Park park, load_park(world.files, directory));
  const agent::Machine* machine = park.find(node);
  if (!machine) {
    return base::not_found(fmt::format("the park has no machine {}; it has node-0 to node-{}", node,
                                       park.machines.size() - 1));
  }
  PELTON_ASSIGN(const client::Kubeconfig credential,
                kubeconfig_of(world.files, directory, "node-" + node, config->port));
  PELTON_ASSIGN(auto transport,
                client::HttpsTransport::make(world.network, world.timers, credential));
  PELTON_ASSIGN(net::Credential serving,
                read_credential(world.files, directory, "node-" + node + "-serving"));
  PELTON_ASSIGN(auto tls, net::TlsContext::server({std::move(serving), credential.ca_pem}));

  agent::AgentOptions options;
  options.machine = *machine;
  options.images = park.images;
  options.data_directory = directory.root;
  options.executable = os::executable_path();
  options.health = agent::health_sources(world.files, directory.root);
  PELTON_ASSIGN(net::Credential own, read_credential(world.files, directory, "node-" + node));
  PELTON_ASSIGN(auto peers, net::TlsContext::client(
                                {.ca_pem = credential.ca_pem, .credential = std::move(own)}));
  agent::NodeAgent agent(world, *transport, std::move(options),
                         {.tls = tls, .listen = {"127.0.0.1", 0}, .peers = peers});
  PELTON_TRY(await<base::Status>(os, [&](auto done) { agent.start(std::move(done)); }));
  PELTON_TRY(announce_part(os, directory, "agent-" + node));
  // Ends nothing but itself: pods run on, and the next agent finds them.
  os.on_stop_signal([&os](int) { os.stop(); });
  os.run();
  withdraw_part(os, directory, "agent-" + node);
  return base::ok();
}

}  // namespace

int run_agent(int argc, char** argv) {
  std::string path = default_data_directory(), node = "node-0";
  Options options("pelton agent",
                  "The agent of one node of an embedded cluster, in the foreground. 'pelton up' "
                  "starts one per node.",
                  "  pelton agent --data-dir /tmp/pelton --node node-0\n");
  options.text("--data-dir", path, "the cluster's data directory", Values::directories());
  options.text("--node", node, "which machine of the park this is");
  if (auto code = options.parse(argc, argv)) return *code;
  os::raise_open_files_limit();
  auto os = os::make_world();
  base::Status status = os.status();
  if (status.ok()) status = serve(**os, data_directory(path), node);
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton agent: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
