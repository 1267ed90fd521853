// SPDX-License-Identifier: Apache-2.0
// `pelton up`: checks everything first, then makes credentials, the network and the processes. In a
// cluster that runs, it starts what is missing: a killed server or agent, or more nodes.
#include <fmt/format.h>

#include <map>

#include "agent/cluster_network.h"
#include "agent/park.h"
#include "api/yaml.h"
#include "cli/admin_client.h"
#include "cli/blocking.h"
#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/part.h"
#include "cli/pki.h"
#include "cli/verbs.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

constexpr base::Duration kStartTimeout = base::Duration::seconds(60);
constexpr base::Duration kAnswerTimeout = base::Duration::seconds(5);

struct UpOptions {
  std::string data_dir = default_data_directory();
  std::string park;
  int64_t nodes = 0;
  int64_t port = 0;
};

class Up {
 public:
  Up(os::OsWorld& os, UpOptions options)
      : os_(os),
        world_(os.world()),
        options_(std::move(options)),
        directory_(data_directory(options_.data_dir)) {}

  base::Status run() {
    PELTON_TRY(check());
    PELTON_TRY(prepare());
    PELTON_TRY(start_server());
    PELTON_TRY(start_agents());
    return wait_for_nodes();
  }

  void print_summary() const {
    fmt::print(
        "\nThe cluster is up. Try:\n"
        "  export KUBECONFIG={}\n"
        "  kubectl get nodes\n"
        "Stop it with: pelton down --data-dir {}\n",
        directory_.kubeconfig(), directory_.root);
  }

 private:
  /// Everything that can be refused is refused before anything is written.
  base::Status check() {
    if (!os::is_root()) {
      return {base::Code::Forbidden,
              "needs root: pods are made of network and mount namespaces. Run it with sudo"};
    }
    PELTON_TRY(read_park());
    for (const RunRecord& record : running(world_.files, world_.processes, directory_)) {
      if (record.name == "server" && !serves(record)) continue;
      alive_[record.name] = record.pid;
    }
    if (!alive_.contains("server") || missing_agents().size() > 0) return base::ok();
    return {base::Code::FailedPrecondition,
            fmt::format("{} is in use: its server runs as pid {}, and nothing is missing. Stop it "
                        "with 'pelton down --data-dir {}', or choose another directory",
                        directory_.root, alive_["server"], directory_.root)};
  }

  /// A server that is being killed still has a process: asks it, and waits for its answer or its
  /// end. True after kAnswerTimeout without either: it hangs, and only its user may end it.
  bool serves(const RunRecord& server) {
    auto admin = AdminClient::make(world_, directory_);
    if (!admin.ok()) return true;
    world::Timer timeout(world_.timers);
    std::unique_ptr<world::Process> process;
    return await<bool>(os_, [&](std::function<void(bool)> done) {
      auto attached = world_.processes.attach(server.pid, server.start_ticks,
                                              [done](world::ExitState) { done(false); });
      if (!attached.ok()) return done(false);
      process = std::move(attached).value();
      timeout.start(kAnswerTimeout, [done] { done(true); });
      (*admin)->client().raw({.target = "/livez"}, [done](base::Result<client::Response> answer) {
        if (answer.ok()) done(true);
      });
    });
  }

  /// Of the nodes, those without a running agent.
  std::vector<std::string> missing_agents() const {
    std::vector<std::string> missing = node_names();
    std::erase_if(missing, [&](const auto& node) { return alive_.contains("agent-" + node); });
    return missing;
  }

  /// From the flag; else the one that this cluster has; else a default one.
  base::Status read_park() {
    auto park = options_.park.empty() ? kept_park() : park_of_file(options_.park);
    if (!park.ok()) return park.status();
    park_ = std::move(park).value();
    if (options_.nodes == 0) return base::ok();
    auto taken = agent::take_machines(park_, static_cast<int>(options_.nodes));
    if (!taken.ok()) return std::move(taken).status().with("--nodes");
    park_ = std::move(taken).value();
    return base::ok();
  }

  base::Result<agent::Park> kept_park() {
    if (world_.files.exists(directory_.park())) return load_park(world_.files, directory_);
    return agent::default_park(1);
  }

  base::Result<agent::Park> park_of_file(const std::string& path) {
    const std::string absolute = data_directory(path).root;
    auto text = world_.files.read(absolute);
    if (!text.ok()) return std::move(text).status().with("--park");
    auto document = api::parse_yaml(*text);
    if (!document.ok()) return std::move(document).status().with(path);
    auto park = agent::parse_park(
        *document, {absolute.substr(0, absolute.rfind('/')), default_cache_directory() + "/venvs"});
    if (!park.ok()) return std::move(park).status().with(path);
    return park;
  }

  base::Status prepare() {
    for (const std::string& path : {directory_.root, directory_.run(), directory_.root + "/log",
                                    directory_.root + "/nodes", directory_.dns()}) {
      PELTON_TRY(world_.files.make_directories(path));
    }
    PELTON_TRY(world_.files.replace(directory_.park(), agent::park_to_json(park_).dump(2) + "\n"));
    PELTON_TRY(ensure_cluster_credentials(world_, directory_));
    for (const agent::Machine& machine : park_.machines) {
      PELTON_TRY(ensure_node_credentials(world_, directory_, machine.node_name));
    }
    const agent::ClusterNetwork network = agent::cluster_network_of(directory_.root);
    fmt::print("network    {}\n", network.name);
    return await<base::Status>(os_, [&](auto done) {
      agent::create_cluster_network(world_.processes, network, std::move(done));
    });
  }

  base::Status start_server() {
    if (!alive_.contains("server")) {
      Part server{"server", {"server", "--data-dir", directory_.root}};
      if (options_.port != 0) {
        server.arguments.insert(server.arguments.end(), {"--port", std::to_string(options_.port)});
      }
      PELTON_TRY(start_parts(os_, directory_, {server}, kStartTimeout));
    }
    PELTON_ASSIGN(const ClusterConfig config, ClusterConfig::read(world_.files, directory_));
    fmt::print("server     https://127.0.0.1:{}\n", config.port);
    return base::ok();
  }

  base::Status start_agents() {
    std::vector<Part> parts;
    for (const std::string& node : missing_agents()) {
      parts.push_back({"agent-" + node, {"agent", "--data-dir", directory_.root, "--node", node}});
    }
    const size_t nodes = node_names().size();
    fmt::print("agents     {} to start, {} there\n", parts.size(), nodes - parts.size());
    if (park_.machines.size() > nodes) {
      fmt::print("on demand  {} more\n", park_.machines.size() - nodes);
    }
    return start_parts(os_, directory_, parts, kStartTimeout);
  }

  base::Status wait_for_nodes() {
    PELTON_ASSIGN(auto admin, AdminClient::make(world_, directory_));
    PELTON_TRY(await<base::Status>(
        os_, [&](auto done) { admin->wait_for_ready_nodes(node_names(), kStartTimeout, done); }));
    fmt::print("nodes      {} Ready\n", node_names().size());
    fmt::print("kubeconfig {}\n", directory_.kubeconfig());
    return base::ok();
  }

  /// Those that are there without being asked for.
  std::vector<std::string> node_names() const {
    std::vector<std::string> names;
    for (const agent::Machine& machine : park_.machines) {
      if (!machine.is_on_demand) names.push_back(machine.node_name);
    }
    return names;
  }

  os::OsWorld& os_;
  world::World& world_;
  UpOptions options_;
  DataDirectory directory_;
  agent::Park park_;
  std::map<std::string, int> alive_;  ///< parts that run already: name -> pid
};

}  // namespace

int run_up(int argc, char** argv) {
  UpOptions chosen;
  Options options(
      "pelton up",
      "Starts an embedded cluster: API server with controllers, and one agent per node, "
      "as processes that outlive this terminal.",
      "  pelton up                                   # one node, this machine\n"
      "  pelton up --nodes 4 --park examples/parks/small.yaml --data-dir /tmp/pelton\n"
      "  kubectl --kubeconfig \"$(pelton kubeconfig)\" get nodes\n");
  options.number("--nodes", chosen.nodes, "how many machines of the park to start; 0: all");
  options.text("--park", chosen.park, "park file: machine types, zones, images", Values::files());
  options.text("--data-dir", chosen.data_dir, "where the cluster keeps everything",
               Values::directories());
  options.number("--port", chosen.port,
                 "of the API server on 127.0.0.1; 0: as before, or a free one");
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world({.log_level = base::Severity::Warning});
  base::Status status = os.status();
  if (status.ok()) {
    Up up(**os, chosen);
    status = up.run();
    if (status.ok()) up.print_summary();
  }
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton up: {}\n", status.message());
  for (const base::Cause& cause : status.causes()) {
    fmt::print(stderr, "* {}: {}\n", cause.field, cause.message);
  }
  return 1;
}

}  // namespace pelton::cli
