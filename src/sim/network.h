// SPDX-License-Identifier: Apache-2.0
// Byte streams between machines, with delay, partitions and broken connections.
//
// A machine's name is its host address; 127.0.0.1 and 0.0.0.0 mean the machine itself. Bytes of one
// connection and direction keep their order. While two hosts are partitioned, bytes wait (as TCP
// would send them again) and new connections time out; break_connections() resets established ones,
// so that what was under way may or may not have arrived.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/rng.h"
#include "base/time.h"
#include "world/network.h"

namespace pelton::sim {

class SimProcess;
class SimWorld;
struct SimStream;

class SimNetwork {
 public:
  SimNetwork(SimWorld& sim, base::Rng rng);
  ~SimNetwork();

  void set_delay(base::Duration low, base::Duration high);
  /// Cuts the two hosts off from each other ("*": from everybody) until heal().
  void partition(const std::string& host_a, const std::string& host_b);
  void heal(const std::string& host_a, const std::string& host_b);
  bool is_partitioned(const std::string& host_a, const std::string& host_b) const;
  /// Resets all connections between the two hosts ("*": anybody): both ends get Unavailable.
  void break_connections(const std::string& host_a, const std::string& host_b);

  /// The Network of one process.
  std::unique_ptr<world::Network> network(SimProcess& process);
  /// Ends what the process owns; its peers are told after the delay.
  void on_process_death(SimProcess& process);
  /// One delay, drawn from the seed: for harnesses that deliver messages of their own.
  base::Duration delay();

 private:
  friend class SimConnection;
  friend class SimListener;
  friend class SimProcessNetwork;
  struct Binding {
    SimProcess* process = nullptr;
    std::function<void(std::unique_ptr<world::Connection>)> on_accept;
  };

  static std::string host_of(const SimProcess& process, const std::string& host);
  void connect(SimProcess& process, const world::Address& address, base::Duration timeout,
               std::function<void(base::Result<std::unique_ptr<world::Connection>>)> done);
  void accept(SimProcess& client, const world::Address& address,
              const std::function<void(base::Result<std::unique_ptr<world::Connection>>)>& done);
  void send_bytes(const std::shared_ptr<SimStream>& stream, int from, std::string_view bytes);
  void send_end(const std::shared_ptr<SimStream>& stream, int from);
  void schedule_arrival(const std::shared_ptr<SimStream>& stream, int to, bool is_end);
  void arrive(const std::shared_ptr<SimStream>& stream, int to, bool is_end);
  void deliver(const std::shared_ptr<SimStream>& stream, int to);
  void wake(const std::shared_ptr<SimStream>& stream, int to);
  void reset(const std::shared_ptr<SimStream>& stream, const char* why);

  SimWorld& sim_;
  base::Rng rng_;
  base::Duration delay_low_ = base::Duration::microseconds(50);
  base::Duration delay_high_ = base::Duration::milliseconds(2);
  std::map<world::Address, Binding> bindings_;
  std::set<std::pair<std::string, std::string>> partitions_;
  std::vector<std::weak_ptr<SimStream>> streams_;
  uint16_t next_port_ = 40000;
};

}  // namespace pelton::sim
