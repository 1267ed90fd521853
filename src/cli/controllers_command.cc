// SPDX-License-Identifier: Apache-2.0
// `pelton controllers`: the controllers alone, against any Kubernetes API server.
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/https.h"
#include "client/kubeconfig.h"
#include "control/manager.h"
#include "control/reconcilers.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

using Reconcilers = std::vector<std::unique_ptr<control::Reconciler>>;

std::vector<std::string> names_of(const Reconcilers& reconcilers) {
  std::vector<std::string> names;
  for (const auto& reconciler : reconcilers) names.emplace_back(reconciler->name());
  return names;
}

std::vector<std::string> known_names() {
  return names_of(control::make_reconcilers(base::Instant()));
}

/// Keeps those that `only` names; all where it names none. InvalidArgument names one unknown.
base::Status keep_only(const std::vector<std::string>& only, Reconcilers& all) {
  for (const std::string& wanted : only) {
    const bool is_known = std::any_of(all.begin(), all.end(), [&](const auto& reconciler) {
      return reconciler->name() == wanted;
    });
    if (!is_known) {
      return {base::Code::InvalidArgument,
              fmt::format("--only {}: there is no such controller. There are: {}", wanted,
                          base::join(names_of(all), ", "))};
    }
  }
  if (only.empty()) return base::ok();
  std::erase_if(all, [&](const auto& reconciler) {
    return std::find(only.begin(), only.end(), reconciler->name()) == only.end();
  });
  return base::ok();
}

base::Status run(os::OsWorld& os, const std::string& kubeconfig, const std::string& context,
                 const std::vector<std::string>& only) {
  world::World& world = os.world();
  // A kube-apiserver has an --event-ttl of its own.
  Reconcilers reconcilers =
      control::make_reconcilers(world.clock.now(), {.event_ttl = std::nullopt});
  PELTON_TRY(keep_only(only, reconcilers));
  PELTON_ASSIGN(const client::Kubeconfig config,
                client::load_kubeconfig(world.files, kubeconfig, context));
  PELTON_ASSIGN(auto transport, client::HttpsTransport::make(world.network, world.timers, config));
  control::Manager manager(world, *transport, std::move(reconcilers));
  manager.start();
  world.log.info("controllers.start", {{"server", config.server}});
  os.on_stop_signal([&os](int) { os.stop(); });
  os.run();
  return base::ok();
}

}  // namespace

int run_controllers(int argc, char** argv) {
  std::string kubeconfig, context;
  std::vector<std::string> only;
  Options options("pelton controllers",
                  "Runs Pelton's controllers against a Kubernetes API server, in the foreground. "
                  "They are the ones of the embedded cluster; on a Kubernetes that has some of "
                  "them already, choose with --only. One process at a time: there is no election.",
                  "  pelton controllers --kubeconfig ~/.kube/config --only jobset-controller\n"
                  "  pelton controllers --kubeconfig cluster.yaml --context test\n");
  options.text("--kubeconfig", kubeconfig, "how to reach the server (required)", Values::files());
  options.text("--context", context, "of that file; by default its current-context");
  options.texts("--only", only, "a controller to run, may be repeated; by default all",
                Values::one_of(known_names()));
  if (auto code = options.parse(argc, argv)) return *code;
  if (kubeconfig.empty()) {
    fmt::print(stderr, "pelton controllers: --kubeconfig FILE is required; see --help\n");
    return 2;
  }
  os::raise_open_files_limit();
  auto os = os::make_world();
  const base::Status status = os.ok() ? run(**os, kubeconfig, context, only) : os.status();
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton controllers: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
