// SPDX-License-Identifier: Apache-2.0
// The first process of a container: it starts what it is told to, reaps, and remembers how each
// child ended. It decides nothing, so that there is nothing in it to go wrong: killing it ends the
// container. Its supervisor decides, over the socket of launch/init_protocol.h, and is started
// again whenever it ends.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "launch/init_protocol.h"
#include "launch/json_lines.h"
#include "world/world.h"

namespace pelton::launch {

struct InitSettings {
  std::string socket;  ///< where to listen; its directory belongs to this init alone
  /// The supervisor's command line; the socket and the number of the start are put after it.
  std::vector<std::string> supervisor;
  std::vector<std::string> supervisor_words;  ///< and these after them
};

class Init {
 public:
  /// `world` must outlive it.
  Init(world::World& world, InitSettings settings);
  ~Init();

  /// `on_done` comes once, with the exit code for the own process.
  base::Status start(std::function<void(int exit_code)> on_done);
  /// A signal that this process got: the supervisor is told.
  void on_signal(int number);

 private:
  struct Peer;
  struct Child;
  struct Fork;

  void start_supervisor();
  void on_supervisor_exit();
  void accept(std::unique_ptr<world::Connection> connection);
  bool obey(uint64_t peer, const base::Json& request);
  bool greet(uint64_t peer, const base::Json& request);
  void spawn(const SpawnOrder& order);
  void fork(const SpawnOrder& order);
  void on_fork_answer(const std::string& key, const base::Json& answer);
  void end_fork(const std::string& key);
  void started(const std::string& key, std::unique_ptr<world::Process> process);
  void failed(const std::string& key, const base::Status& status);
  void on_exit(const std::string& key, world::ExitState how);
  void signal(const base::Json& request);
  void finish(int exit_code);
  InitState state() const;
  void tell(const base::Json& event);

  world::World& world_;
  InitSettings settings_;
  std::unique_ptr<world::Listener> listener_;
  std::map<uint64_t, std::unique_ptr<Peer>> peers_;
  uint64_t next_peer_ = 1;
  uint64_t supervisor_peer_ = 0;  ///< 0: none has said hello yet
  std::unique_ptr<world::Process> supervisor_;
  int64_t supervisors_ = 0;       ///< started so far
  bool has_greeted_ = false;      ///< the last one
  int quick_ends_ = 0;            ///< of supervisors, in a row
  int silent_ends_ = 0;           ///< of those that had not said hello, in a row
  base::Duration supervisor_at_;  ///< when it was started
  world::Timer restart_;          ///< at the end: the call of on_done_
  std::map<std::string, Child> children_;
  std::map<std::string, std::unique_ptr<Fork>> forks_;  ///< asked of a parked parent, by key
  int64_t ends_ = 0;
  std::vector<int> signals_;
  bool finished_ = false;
  std::function<void(int)> on_done_;
};

}  // namespace pelton::launch
