// SPDX-License-Identifier: Apache-2.0
#include "agent/dns/name_server.h"

#include "agent/address_pool.h"
#include "agent/pod_etc.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr int kSignalReload = 1;
constexpr int kSignalTerminate = 15;
/// Changes that come together are written together.
constexpr base::Duration kGather = base::Duration::milliseconds(10);
/// Before this a process is not dnsmasq yet, or has no handler: SIGHUP would end it.
constexpr base::Duration kReady = base::Duration::milliseconds(300);
constexpr base::Duration kRestartDelay = base::Duration::seconds(1);

std::string find_program(world::Files& files, const std::string& name) {
  for (const char* directory : {"/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (files.exists(directory + name)) return directory + name;
  }
  return "";
}

}  // namespace

NameServer::NameServer(world::World world, client::Transport& transport, NameServerOptions options)
    : world_(world),
      options_(std::move(options)),
      network_(cluster_network_of(options_.data_directory)),
      client_(transport, world.timers),
      write_timer_(world.timers),
      restart_timer_(world.timers) {
  cache_.subscribe([this](std::string_view, const base::Json*, const base::Json*) { on_change(); });
}

NameServer::~NameServer() {
  if (process_) process_->signal(kSignalTerminate).ignore("it has ended already");
}

void NameServer::start(std::function<void(base::Status)> started) {
  dnsmasq_ = find_program(world_.files, "dnsmasq");
  nsenter_ = find_program(world_.files, "nsenter");
  if (dnsmasq_.empty() || nsenter_.empty()) {
    return started(base::not_found(
        "dnsmasq or nsenter is missing; install the packages dnsmasq-base and util-linux"));
  }
  if (!world_.files.exists("/run/netns/" + network_.name)) {
    return started(
        {base::Code::FailedPrecondition, "the cluster's network " + network_.name +
                                             " is not there; 'pelton up' makes it (needs root)"});
  }
  base::Status status = world_.files.make_directories(options_.data_directory + "/dns");
  // What an earlier server wrote is good until more is known: names do not vanish meanwhile.
  if (const auto earlier = world_.files.read(path("hosts")); earlier.ok()) {
    written_ = *earlier;
  } else if (status.ok()) {
    status = world_.files.replace(path("hosts"), "");
  }
  if (status.ok() && !adopt_predecessor()) status = spawn();
  if (!status.ok()) return started(std::move(status));
  const base::Rng rng(base::hash64(options_.data_directory));
  services_ = std::make_unique<client::Informer>(client_, cache_, world_.timers, world_.log,
                                                 rng.fork("services"), "Service");
  slices_ = std::make_unique<client::Informer>(client_, cache_, world_.timers, world_.log,
                                               rng.fork("slices"), "EndpointSlice");
  services_->start();
  slices_->start();
  world_.timers.post([started = std::move(started)] { started(base::ok()); });
}

/// A server that was killed leaves its dnsmasq, which has served on: it is taken over.
bool NameServer::adopt_predecessor() {
  const auto record = world_.files.read(path("pid"));
  if (!record.ok()) return false;
  const auto fields = base::split(base::trim(*record), ' ');
  if (fields.size() != 2) return false;
  const auto pid = base::parse_int(fields[0]), ticks = base::parse_int(fields[1]);
  if (!pid.ok() || !ticks.ok()) return false;
  auto process = world_.processes.attach(static_cast<int>(*pid), static_cast<uint64_t>(*ticks),
                                         [this](world::ExitState) { on_exit(); });
  if (process.ok()) process_ = std::move(process).value();
  return process.ok();
}

void NameServer::on_exit() {
  process_.reset();
  world_.log.warning("dns.ended", {{"log", path("log")}});
  restart_timer_.start(kRestartDelay, [this] {
    const base::Status status = spawn();
    if (!status.ok()) world_.log.error("dns.start", {{"error", status.to_string()}});
  });
}

base::Status NameServer::spawn() {
  world::ProcessSpec spec{
      .argv = {nsenter_, "--net=/run/netns/" + network_.name, "--", dnsmasq_,
               "--conf-file=/dev/null", "--keep-in-foreground", "--no-resolv", "--no-hosts",
               "--no-poll", "--user=root", "--pid-file=", "--bind-interfaces",
               std::string("--listen-address=") + kGatewayAddress, "--addn-hosts=" + path("hosts"),
               // Whatever is not in the file does not exist: nothing is asked elsewhere.
               "--local=/#/", "--no-negcache", "--cache-size=10000", "--dns-forward-max=1000",
               "--log-facility=" + path("log")},
      .env = {kToolPath}};
  auto process = world_.processes.spawn(std::move(spec), [this](world::ExitState) { on_exit(); });
  if (!process.ok()) return process.status();
  process_ = std::move(process).value();
  spawned_at_ = world_.clock.elapsed();
  const auto ticks = world_.processes.start_ticks(process_->pid());
  if (!ticks.ok()) return ticks.status();
  return world_.files.replace(
      path("pid"), std::to_string(process_->pid()) + " " + std::to_string(*ticks) + "\n");
}

void NameServer::on_change() {
  // Until both are known the file would lack names that it had before.
  if (!cache_.is_synced("Service") || !cache_.is_synced("EndpointSlice")) return;
  if (!write_timer_.is_pending()) write_timer_.start(kGather, [this] { write_records(); });
}

void NameServer::write_records() {
  const std::string text =
      dns::hosts_file(dns::build_records(cache_.list("Service"), cache_.list("EndpointSlice")));
  if (text == written_) return;
  const base::Duration age = world_.clock.elapsed() - spawned_at_;
  if (age < kReady) return write_timer_.start(kReady - age, [this] { write_records(); });
  const base::Status status = world_.files.replace(path("hosts"), text);
  if (!status.ok()) {
    world_.log.error("dns.write", {{"error", status.to_string()}});
    return write_timer_.start(kRestartDelay, [this] { write_records(); });
  }
  written_ = text;
  ++updates_;
  if (process_) process_->signal(kSignalReload).ignore("it reads the file when it starts again");
}

}  // namespace pelton::agent
