// SPDX-License-Identifier: Apache-2.0
// `pelton server`: the API server, the controllers and the name server of an embedded cluster.
#include <fmt/format.h>

#include "agent/dns/name_server.h"
#include "apiserver/api_server.h"
#include "cli/blocking.h"
#include "cli/data_directory.h"
#include "cli/kubelet_https.h"
#include "cli/local_provider.h"
#include "cli/options.h"
#include "cli/part.h"
#include "cli/pki.h"
#include "cli/verbs.h"
#include "client/in_process.h"
#include "control/job_metrics.h"
#include "control/manager.h"
#include "control/reconcilers.h"
#include "net/http_server.h"
#include "os/os_world.h"
#include "os/self.h"
#include "store/store.h"

namespace pelton::cli {
namespace {

/// Beyond the API's own limit (3 MiB), so that what is too large gets a Status that says so.
constexpr size_t kReadBytes = size_t{16} << 20;
constexpr base::Duration kStopGrace = base::Duration::seconds(2);

/// Members stand in the order in which they are built on each other.
class Server {
 public:
  Server(os::OsWorld& os, DataDirectory directory)
      : os_(os), world_(os.world()), directory_(std::move(directory)) {}

  base::Status start(uint16_t port, bool has_controllers) {
    PELTON_TRY(prepare());
    PELTON_TRY(when_free([this] { return take_lock(); }));
    PELTON_TRY(when_free([this] { return open_store(); }));
    PELTON_TRY(start_api());
    PELTON_TRY(listen(port));
    if (has_controllers) {
      start_controllers();
      start_names();
    }
    return announce_part(os_, directory_, "server");
  }

  void run() {
    os_.on_stop_signal([this](int) { front_->stop(kStopGrace, [this] { os_.stop(); }); });
    os_.run();
    withdraw_part(os_, directory_, "server");
  }

 private:
  /// `pelton up` has made all this; a server that is started alone makes it itself.
  base::Status prepare() {
    PELTON_TRY(world_.files.make_directories(directory_.run()));
    return ensure_cluster_credentials(world_, directory_);
  }

  /// A server that was killed a moment ago holds its locks until its last thread is gone. Nothing
  /// tells when that is, so what says FailedPrecondition is tried again for a while.
  base::Status when_free(const std::function<base::Status()>& take) {
    constexpr int kTries = 40;
    for (int i = 1;; ++i) {
      base::Status status = take();
      if (status.code() != base::Code::FailedPrecondition || i == kTries) return status;
      await<bool>(os_, [&](std::function<void(bool)> done) {
        world_.timers.after(base::Duration::milliseconds(50), [done] { done(true); });
      });
    }
  }

  base::Status take_lock() {
    PELTON_ASSIGN(lock_,
                  world_.files.lock(directory_.lock(), fmt::format("pid {}", os::process_id())));
    return base::ok();
  }

  base::Status open_store() {
    using Opened = base::Result<std::unique_ptr<store::Store>>;
    Opened opened = await<Opened>(os_, [&](auto done) {
      store::Store::open(world_.files, world_.timers, world_.log, directory_.store(),
                         {.holder = fmt::format("pid {}", os::process_id())}, std::move(done));
    });
    if (!opened.ok()) return std::move(opened).status().with("store");
    store_ = std::move(opened).value();
    return base::ok();
  }

  base::Status start_api() {
    PELTON_ASSIGN(const std::string ca, world_.files.read(directory_.certificate("ca")));
    PELTON_ASSIGN(net::Credential client,
                  read_credential(world_.files, directory_, "apiserver-kubelet"));
    PELTON_ASSIGN(auto to_agents,
                  net::TlsContext::client({.ca_pem = ca, .credential = std::move(client)}));
    kubelets_ = std::make_unique<KubeletHttps>(world_.network, world_.timers, to_agents);
    api_ = std::make_unique<apiserver::ApiServer>(
        world_.clock, world_.timers, world_.random, world_.log, *store_, api::Registry::builtin(),
        apiserver::ApiServerOptions{.metrics = [this] { return metrics(); },
                                    .kubelets = kubelets_.get()});
    return await<base::Status>(os_, [&](auto done) { api_->start(std::move(done)); });
  }

  base::Result<std::string> metrics() const {
    if (manager_) return control::job_metrics(manager_->cache(), world_.clock.now());
    return base::unavailable("no controllers run in this process, and metrics are theirs");
  }

  /// `port` 0: the one of last time, else a free one. What it became is kept.
  base::Status listen(uint16_t port) {
    PELTON_ASSIGN(const std::string ca, world_.files.read(directory_.certificate("ca")));
    PELTON_ASSIGN(net::Credential own, read_credential(world_.files, directory_, "apiserver"));
    PELTON_ASSIGN(auto tls, net::TlsContext::server({std::move(own), ca}));
    net::HttpServerOptions options;
    options.limits.max_body_bytes = kReadBytes;
    front_ = std::make_unique<net::HttpServer>(world_.network, world_.timers, tls, api_->handler(),
                                               options);
    auto before = ClusterConfig::read(world_.files, directory_);
    if (port == 0 && before.ok()) port = before->port;
    PELTON_ASSIGN(const world::Address address, front_->listen({"127.0.0.1", port}));
    PELTON_TRY(ClusterConfig{address.port}.write(world_.files, directory_));
    PELTON_ASSIGN(const client::Kubeconfig admin,
                  kubeconfig_of(world_.files, directory_, "admin", address.port));
    return world_.files.replace(directory_.kubeconfig(), admin.to_yaml());
  }

  void start_controllers() {
    transport_ = std::make_unique<client::InProcessTransport>(
        api_->handler(), net::Identity{kControllersName, {"system:masters"}}, world_.timers);
    auto park = load_park(world_.files, directory_);
    // A server that is started alone has no park.
    if (!park.ok() && world_.files.exists(directory_.park())) {
      world_.log.warning("machines.off", {{"reason", park.status().message()}});
    }
    provider_ = std::make_unique<LocalProvider>(world_, directory_,
                                                park.ok() ? std::move(*park) : agent::Park());
    manager_ = std::make_unique<control::Manager>(
        world_, *transport_,
        control::make_reconcilers(world_.clock.now(), {.offers = provider_->offers()}),
        control::DriverOptions{.provider = provider_.get()});
    manager_->start();
  }

  /// Without a network there are no pods that could ask: a server alone goes on.
  void start_names() {
    names_ = std::make_unique<agent::NameServer>(
        world_, *transport_, agent::NameServerOptions{.data_directory = directory_.root});
    names_->start([this](base::Status status) {
      if (!status.ok()) world_.log.warning("dns.off", {{"reason", status.message()}});
    });
  }

  os::OsWorld& os_;
  world::World& world_;
  DataDirectory directory_;
  std::unique_ptr<world::FileLock> lock_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<KubeletHttps> kubelets_;
  std::unique_ptr<apiserver::ApiServer> api_;
  std::unique_ptr<net::HttpServer> front_;
  std::unique_ptr<client::InProcessTransport> transport_;
  std::unique_ptr<LocalProvider> provider_;
  std::unique_ptr<control::Manager> manager_;
  std::unique_ptr<agent::NameServer> names_;
};

}  // namespace

int run_server(int argc, char** argv) {
  std::string path = default_data_directory();
  int64_t port = 0;
  bool is_alone = false;
  Options options("pelton server",
                  "The API server, controllers and name server of an embedded cluster, in the "
                  "foreground. 'pelton up' starts it.",
                  "  pelton server --data-dir /tmp/pelton\n");
  options.text("--data-dir", path, "the cluster's data directory", Values::directories());
  options.number("--port", port, "on 127.0.0.1; 0: as before, or a free one");
  options.toggle("--without-controllers", is_alone,
                 "the API server only: controllers run apart (pelton controllers), or not at all");
  if (auto code = options.parse(argc, argv)) return *code;
  os::raise_open_files_limit();
  auto os = os::make_world();
  base::Status status = os.status();
  if (status.ok()) {
    Server server(**os, data_directory(path));
    status = server.start(static_cast<uint16_t>(port), !is_alone);
    if (status.ok()) server.run();
  }
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton server: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
