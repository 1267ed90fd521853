// SPDX-License-Identifier: Apache-2.0
// The parked parent as its supervisor sees it: a child of init that imports what the script
// imports, says when it is ready, and is forked from by init's order (launch/init_protocol.h).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "launch/init_protocol.h"
#include "launch/json_lines.h"
#include "launch/park_command.h"
#include "world/world.h"

namespace pelton::launch {

class ParkedParent {
 public:
  struct Settings {
    std::optional<PythonCommand> command;  ///< none: this command cannot be parked
    std::string directory;                 ///< for its socket
    std::string marker;  ///< unique to this init; in the environment of whom it forks, until exec
    std::map<std::string, std::string> env;  ///< over init's: what each worker has too
    std::string working_directory;
    int spares = 0;  ///< children that it forks ahead
  };
  /// `on_change` is called when it becomes ready. `world` must outlive it.
  ParkedParent(world::World& world, Settings settings, std::function<void()> on_change);

  /// The order to start it; none where that is no use, or it is there already.
  std::optional<SpawnOrder> start();
  /// A predecessor has started it.
  void restore(const std::string& key);
  /// Init says that it has ended, or could not be started.
  void on_end(const std::string& why);
  static bool is_key(const std::string& key) { return key.starts_with("park/"); }
  const std::string& key() const { return key_; }

  bool is_started() const { return !key_.empty(); }
  bool is_ready() const { return is_ready_; }
  bool has_jax() const { return is_ready_ && has_jax_; }
  /// The order by which a worker with that whole environment is forked.
  SpawnOrder fork(const std::string& key, const std::map<std::string, std::string>& env,
                  const std::string& stdout_path, const std::string& stderr_path) const;
  /// And a coordination service that listens there.
  SpawnOrder fork_coordinator(const std::string& key, int port, int processes) const;
  /// Whether that process was forked from a parked parent of this init, and has run no other
  /// program since.
  bool has_forked(int pid) const;

 private:
  void wait_for_socket();
  void connect();
  std::string socket() const;

  world::World& world_;
  Settings settings_;
  std::function<void()> on_change_;
  int starts_ = 0;
  std::string key_;  ///< empty: it is not there
  bool is_ready_ = false;
  bool has_jax_ = false;
  bool is_connecting_ = false;
  std::unique_ptr<world::FileWatch> watch_;
  std::unique_ptr<world::Connection> connection_;
  JsonLines lines_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace pelton::launch
