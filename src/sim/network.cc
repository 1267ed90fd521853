// SPDX-License-Identifier: Apache-2.0
#include "sim/network.h"

#include <algorithm>
#include <deque>

#include "base/strings.h"
#include "sim/sim_world.h"

namespace pelton::sim {

namespace {

constexpr base::Duration kResendWhilePartitioned = base::Duration::milliseconds(50);

std::pair<std::string, std::string> ordered(const std::string& a, const std::string& b) {
  return a < b ? std::make_pair(a, b) : std::make_pair(b, a);
}

bool matches(const std::string& pattern, const std::string& host) {
  return pattern == "*" || pattern == host;
}

}  // namespace

/// One connection: two sides (0: who connected), and per side what travels towards it.
struct SimStream {
  struct Side {
    SimProcess* process = nullptr;
    world::Address address;
    world::ConnectionEvents events;
    bool is_started = false;
    bool is_open = true;  ///< its owner has not destroyed it
    bool is_paused = false;
    bool has_ended = false;            ///< on_end was called
    bool sent_end = false;             ///< it finished its own direction
    std::deque<std::string> arriving;  ///< sent by the peer, not yet delivered
    size_t arriving_bytes = 0;
    base::Instant last_arrival;  ///< keeps the order of one direction
    size_t arrived = 0;          ///< pieces of `arriving` whose delay has passed
    bool peer_end_arrived = false;
  };
  Side sides[2];
  bool is_reset = false;
};

class SimConnection final : public world::Connection {
 public:
  SimConnection(SimNetwork& network, std::shared_ptr<SimStream> stream, int side)
      : network_(network), stream_(std::move(stream)), side_(side) {}

  ~SimConnection() override {
    auto& mine = stream_->sides[side_];
    mine.is_open = false;
    mine.events = {};
    // Closing at once: what is queued still travels, then the peer sees the end.
    if (mine.process->is_alive() && !mine.sent_end) network_.send_end(stream_, side_);
  }

  void start(world::ConnectionEvents events) override {
    auto& mine = stream_->sides[side_];
    mine.events = std::move(events);
    mine.is_started = true;
    network_.wake(stream_, side_);
  }

  void send(std::string_view bytes) override {
    const auto& mine = stream_->sides[side_];
    if (bytes.empty() || mine.sent_end || !mine.process->is_alive()) return;
    network_.send_bytes(stream_, side_, bytes);
  }
  size_t queued_bytes() const override { return stream_->sides[1 - side_].arriving_bytes; }
  void finish() override {
    if (!stream_->sides[side_].sent_end) network_.send_end(stream_, side_);
  }
  void pause_reading() override { stream_->sides[side_].is_paused = true; }
  void resume_reading() override {
    stream_->sides[side_].is_paused = false;
    network_.wake(stream_, side_);
  }
  world::Address peer() const override { return stream_->sides[1 - side_].address; }

 private:
  SimNetwork& network_;
  std::shared_ptr<SimStream> stream_;
  int side_;
};

class SimListener final : public world::Listener {
 public:
  SimListener(SimNetwork& network, SimProcess& process, world::Address address)
      : network_(network), process_(process), address_(std::move(address)) {}
  ~SimListener() override {
    auto found = network_.bindings_.find(address_);
    if (found != network_.bindings_.end() && found->second.process == &process_) {
      network_.bindings_.erase(found);
    }
  }
  world::Address address() const override { return address_; }

 private:
  SimNetwork& network_;
  SimProcess& process_;
  world::Address address_;
};

class SimProcessNetwork final : public world::Network {
 public:
  SimProcessNetwork(SimNetwork& network, SimProcess& process)
      : network_(network), process_(process) {}

  base::Result<std::unique_ptr<world::Listener>> listen(
      const world::Address& asked,
      std::function<void(std::unique_ptr<world::Connection>)> on_accept) override {
    if (!process_.is_alive()) return base::unavailable("this process is dead");
    world::Address address{SimNetwork::host_of(process_, asked.host), asked.port};
    const bool is_unix = !address.host.empty() && address.host[0] == '/';
    if (address.port == 0 && !is_unix) address.port = network_.next_port_++;
    auto found = network_.bindings_.find(address);
    if (found != network_.bindings_.end() && found->second.process->is_alive()) {
      return base::unavailable(asked.to_string() + " is in use");
    }
    network_.bindings_[address] = {&process_, std::move(on_accept)};
    return std::unique_ptr<world::Listener>(new SimListener(network_, process_, address));
  }

  void connect(
      const world::Address& address, base::Duration timeout,
      std::function<void(base::Result<std::unique_ptr<world::Connection>>)> done) override {
    network_.connect(process_, address, timeout, std::move(done));
  }

  /// What is cut in a simulation are paths, never the interface.
  base::Result<std::vector<world::Link>> links() override {
    return std::vector<world::Link>{{"eth0", true}};
  }

 private:
  SimNetwork& network_;
  SimProcess& process_;
};

SimNetwork::SimNetwork(SimWorld& sim, base::Rng rng) : sim_(sim), rng_(rng) {}
SimNetwork::~SimNetwork() = default;

void SimNetwork::set_delay(base::Duration low, base::Duration high) {
  delay_low_ = low;
  delay_high_ = high;
}

base::Duration SimNetwork::delay() {
  return base::Duration::nanoseconds(rng_.between(delay_low_.ns(), delay_high_.ns()));
}

void SimNetwork::partition(const std::string& a, const std::string& b) {
  sim_.trace("partition", a + "|" + b);
  partitions_.insert(ordered(a, b));
}

void SimNetwork::heal(const std::string& a, const std::string& b) {
  sim_.trace("heal", a + "|" + b);
  partitions_.erase(ordered(a, b));
}

bool SimNetwork::is_partitioned(const std::string& a, const std::string& b) const {
  if (a == b) return false;
  return partitions_.count(ordered(a, b)) != 0 || partitions_.count(ordered(a, "*")) != 0 ||
         partitions_.count(ordered(b, "*")) != 0;
}

void SimNetwork::break_connections(const std::string& a, const std::string& b) {
  for (auto& weak : std::vector<std::weak_ptr<SimStream>>(streams_)) {
    auto stream = weak.lock();
    if (!stream) continue;
    const std::string& x = stream->sides[0].process->machine().name();
    const std::string& y = stream->sides[1].process->machine().name();
    if ((matches(a, x) && matches(b, y)) || (matches(a, y) && matches(b, x))) {
      reset(stream, "the connection was reset");
    }
  }
}

std::unique_ptr<world::Network> SimNetwork::network(SimProcess& process) {
  return std::make_unique<SimProcessNetwork>(*this, process);
}

std::string SimNetwork::host_of(const SimProcess& process, const std::string& host) {
  const std::string& self = const_cast<SimProcess&>(process).machine().name();
  if (!host.empty() && host[0] == '/') return "/" + self + host;
  return host == "0.0.0.0" || host == "::" || host.rfind("127.", 0) == 0 || host == "::1" ? self
                                                                                          : host;
}

void SimNetwork::on_process_death(SimProcess& process) {
  for (auto it = bindings_.begin(); it != bindings_.end();) {
    it = it->second.process == &process ? bindings_.erase(it) : std::next(it);
  }
  for (auto& weak : std::vector<std::weak_ptr<SimStream>>(streams_)) {
    auto stream = weak.lock();
    if (!stream) continue;
    if (stream->sides[0].process == &process || stream->sides[1].process == &process) {
      reset(stream, "the peer died");
    }
  }
}

void SimNetwork::connect(
    SimProcess& process, const world::Address& asked, base::Duration timeout,
    std::function<void(base::Result<std::unique_ptr<world::Connection>>)> done) {
  const world::Address address{host_of(process, asked.host), asked.port};
  const std::string to = address.host[0] == '/' ? process.machine().name() : address.host;
  if (is_partitioned(process.machine().name(), to)) {
    sim_.schedule(&process, timeout, [asked, done = std::move(done)] {
      done(base::unavailable("no answer from " + asked.to_string()));
    });
    return;
  }
  sim_.schedule(&process, delay() + delay(), [this, &process, address, done = std::move(done)] {
    accept(process, address, done);
  });
}

void SimNetwork::accept(
    SimProcess& client, const world::Address& address,
    const std::function<void(base::Result<std::unique_ptr<world::Connection>>)>& done) {
  auto found = bindings_.find(address);
  if (found == bindings_.end() || !found->second.process->is_alive()) {
    return done(base::unavailable("nobody listens at " + address.to_string()));
  }
  auto stream = std::make_shared<SimStream>();
  stream->sides[0].process = &client;
  stream->sides[0].address = {client.machine().name(), next_port_++};
  stream->sides[1].process = found->second.process;
  stream->sides[1].address = address;
  streams_.erase(std::remove_if(streams_.begin(), streams_.end(),
                                [](const auto& weak) { return weak.expired(); }),
                 streams_.end());
  streams_.push_back(stream);
  sim_.trace("connect", address.to_string());
  auto server_end = std::make_unique<SimConnection>(*this, stream, 1);
  sim_.schedule(found->second.process, {},
                [on_accept = found->second.on_accept,
                 end = std::make_shared<std::unique_ptr<world::Connection>>(
                     std::move(server_end))] { on_accept(std::move(*end)); });
  done(std::unique_ptr<world::Connection>(new SimConnection(*this, stream, 0)));
}

void SimNetwork::send_bytes(const std::shared_ptr<SimStream>& stream, int from,
                            std::string_view bytes) {
  if (stream->is_reset) return;
  auto& to = stream->sides[1 - from];
  sim_.trace("send", bytes);
  to.arriving.emplace_back(bytes);
  to.arriving_bytes += bytes.size();
  schedule_arrival(stream, 1 - from, false);
}

void SimNetwork::send_end(const std::shared_ptr<SimStream>& stream, int from) {
  stream->sides[from].sent_end = true;
  if (!stream->is_reset) schedule_arrival(stream, 1 - from, true);
}

void SimNetwork::schedule_arrival(const std::shared_ptr<SimStream>& stream, int to, bool is_end) {
  auto& side = stream->sides[to];
  side.last_arrival = std::max(side.last_arrival, sim_.now() + delay());
  // Owned by nobody: bytes that left travel on even if their sender dies.
  sim_.schedule(nullptr, side.last_arrival - sim_.now(),
                [this, stream, to, is_end] { arrive(stream, to, is_end); });
}

void SimNetwork::arrive(const std::shared_ptr<SimStream>& stream, int to, bool is_end) {
  if (stream->is_reset) return;
  auto& side = stream->sides[to];
  if (is_partitioned(stream->sides[0].process->machine().name(),
                     stream->sides[1].process->machine().name())) {
    // Sent again until it gets through; all pieces of a direction wait equally long.
    sim_.schedule(nullptr, kResendWhilePartitioned,
                  [this, stream, to, is_end] { arrive(stream, to, is_end); });
    return;
  }
  if (is_end) {
    side.peer_end_arrived = true;
  } else {
    ++side.arrived;
  }
  deliver(stream, to);
}

void SimNetwork::wake(const std::shared_ptr<SimStream>& stream, int to) {
  sim_.schedule(stream->sides[to].process, {}, [this, stream, to] { deliver(stream, to); });
}

void SimNetwork::deliver(const std::shared_ptr<SimStream>& stream, int to) {
  auto& side = stream->sides[to];
  auto& peer = stream->sides[1 - to];
  if (!side.process->is_alive()) return;
  while (side.arrived > 0 && !side.is_paused && (side.is_started || !side.is_open)) {
    std::string bytes = std::move(side.arriving.front());
    side.arriving.pop_front();
    --side.arrived;
    side.arriving_bytes -= bytes.size();
    if (side.arriving_bytes == 0 && peer.is_open && peer.process->is_alive()) {
      sim_.schedule(peer.process, {}, [stream, to] {
        auto on_drained = stream->sides[1 - to].events.on_drained;
        if (on_drained) on_drained();
      });
    }
    auto on_data = side.events.on_data;  // it may destroy the connection
    if (on_data) on_data(bytes);
  }
  if (side.is_paused || side.arrived > 0 || !side.is_started) return;
  if (!stream->is_reset && !(side.peer_end_arrived && side.arriving.empty())) return;
  if (std::exchange(side.has_ended, true)) return;
  auto on_end = side.events.on_end;
  if (on_end) on_end(stream->is_reset ? base::unavailable("the connection broke") : base::ok());
}

void SimNetwork::reset(const std::shared_ptr<SimStream>& stream, const char* why) {
  if (std::exchange(stream->is_reset, true)) return;
  sim_.trace("reset", why);
  for (int side = 0; side < 2; ++side) {
    // What has not arrived is lost.
    auto& s = stream->sides[side];
    while (s.arriving.size() > s.arrived) {
      s.arriving_bytes -= s.arriving.back().size();
      s.arriving.pop_back();
    }
    sim_.schedule(s.process, delay(), [this, stream, side] { deliver(stream, side); });
  }
}

}  // namespace pelton::sim
