// SPDX-License-Identifier: Apache-2.0
// `pelton controllers`: the controllers alone, against any Kubernetes API server.
#include <fmt/format.h>

#include <algorithm>

#include "base/rng.h"
#include "base/strings.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/https.h"
#include "client/kubeconfig.h"
#include "control/leader_election.h"
#include "control/manager.h"
#include "control/reconcilers.h"
#include "os/os_world.h"
#include "os/self.h"
#include "os/surroundings.h"

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

struct Chosen {
  std::string kubeconfig, context;
  std::vector<std::string> only;
  std::string lease = "kube-system/pelton-controllers";
  int64_t lease_seconds = 15;
  bool is_alone = false;
};

/// The controllers of one process: they are there while it leads.
class Controllers {
 public:
  Controllers(os::OsWorld& os, const Chosen& chosen) : os_(os), chosen_(chosen) {}

  base::Status start() {
    world::World& world = os_.world();
    PELTON_ASSIGN(const client::Kubeconfig config,
                  client::load_kubeconfig(world.files, chosen_.kubeconfig, chosen_.context));
    PELTON_ASSIGN(transport_, client::HttpsTransport::make(world.network, world.timers, config));
    PELTON_ASSIGN(Reconcilers checked, chosen_reconcilers());
    world.log.info("controllers.start", {{"server", config.server},
                                         {"controllers", static_cast<int64_t>(checked.size())}});
    if (chosen_.is_alone) {
      act();
      return base::ok();
    }
    return contend();
  }

  /// Gives the lease back where it is held, so that a successor need not wait.
  void stop() {
    manager_.reset();
    if (!elector_) return os_.stop();
    give_up_.start(kReleaseTimeout, [this] { os_.stop(); });
    elector_->release([this] { os_.stop(); });
  }

 private:
  static constexpr base::Duration kReleaseTimeout = base::Duration::seconds(1);

  base::Result<Reconcilers> chosen_reconcilers() {
    // A kube-apiserver has an --event-ttl of its own.
    Reconcilers reconcilers =
        control::make_reconcilers(os_.world().clock.now(), {.event_ttl = std::nullopt});
    PELTON_TRY(keep_only(chosen_.only, reconcilers));
    return reconcilers;
  }

  base::Status contend() {
    world::World& world = os_.world();
    const size_t slash = chosen_.lease.find('/');
    if (slash == std::string::npos || slash == 0 || slash + 1 == chosen_.lease.size()) {
      return {base::Code::InvalidArgument,
              "--lease " + chosen_.lease + ": it must be NAMESPACE/NAME"};
    }
    if (chosen_.lease_seconds < 1) {
      return {base::Code::InvalidArgument, "--lease-seconds: at least 1"};
    }
    control::LeaderElectionOptions options =
        control::leader_election({.identity = os::hostname() + "_" + world.random.uuid(),
                                  .namespace_name = chosen_.lease.substr(0, slash),
                                  .name = chosen_.lease.substr(slash + 1),
                                  .duration = base::Duration::seconds(chosen_.lease_seconds)});
    client_ =
        std::make_unique<client::Client>(*transport_, world.timers, options.renew_deadline / 2);
    elector_ = std::make_unique<control::LeaderElector>(
        *client_, world.clock, world.timers, world.log,
        base::Rng(base::hash64(world.random.bytes(16))), std::move(options),
        control::LeaderEvents{.on_led = [this] { act(); },
                              .on_lost = [this] { manager_.reset(); }});
    elector_->start();
    return base::ok();
  }

  void act() {
    auto reconcilers = chosen_reconcilers();
    PELTON_CHECK(reconcilers.ok());  // start() tried
    manager_ = std::make_unique<control::Manager>(os_.world(), *transport_,
                                                  std::move(reconcilers).value());
    manager_->start();
  }

  os::OsWorld& os_;
  const Chosen& chosen_;
  world::Timer give_up_{os_.world().timers};
  std::unique_ptr<client::Transport> transport_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<control::LeaderElector> elector_;
  std::unique_ptr<control::Manager> manager_;
};

base::Status run(os::OsWorld& os, const Chosen& chosen) {
  Controllers controllers(os, chosen);
  PELTON_TRY(controllers.start());
  os.on_stop_signal([&controllers](int) { controllers.stop(); });
  os.run();
  return base::ok();
}

}  // namespace

int run_controllers(int argc, char** argv) {
  Chosen chosen;
  Options options("pelton controllers",
                  "Runs Pelton's controllers against a Kubernetes API server, in the foreground. "
                  "They are the ones of the embedded cluster; on a Kubernetes that has some of "
                  "them already, choose with --only. Of several processes one acts, and another "
                  "takes over where it ends: the holder of a Lease, as with client-go.",
                  "  pelton controllers --kubeconfig ~/.kube/config --only jobset-controller\n"
                  "  pelton controllers --kubeconfig cluster.yaml --context test\n");
  options.text("--kubeconfig", chosen.kubeconfig, "how to reach the server (required)",
               Values::files());
  options.text("--context", chosen.context, "of that file; by default its current-context");
  options.texts("--only", chosen.only, "a controller to run, may be repeated; by default all",
                Values::one_of(known_names()));
  options.text("--lease", chosen.lease,
               "NAMESPACE/NAME; processes of different --only that are to act side by side need "
               "different ones");
  options.number("--lease-seconds", chosen.lease_seconds,
                 "how long others wait for a holder that says nothing; it renews often enough, and "
                 "stops after two thirds of that without success");
  options.toggle("--without-election", chosen.is_alone,
                 "act at once, without a Lease: where nothing else can run a second process");
  if (auto code = options.parse(argc, argv)) return *code;
  if (chosen.kubeconfig.empty()) {
    fmt::print(stderr, "pelton controllers: --kubeconfig FILE is required; see --help\n");
    return 2;
  }
  os::raise_open_files_limit();
  auto os = os::make_world();
  const base::Status status = os.ok() ? run(**os, chosen) : os.status();
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton controllers: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
