// SPDX-License-Identifier: Apache-2.0
// Where a pod's generations come from: its node's agent, or, where there is none, itself.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "decide/recovery/job_record.h"
#include "decide/recovery/records.h"
#include "launch/json_lines.h"
#include "world/world.h"

namespace pelton::launch {

class GenerationSource {
 public:
  /// `is_last`: if it fails, no other will follow.
  using OnGeneration =
      std::function<void(const decide::recovery::Generation& generation, bool is_last)>;
  virtual ~GenerationSource() = default;
  /// `on_generation` is called for the newest one that is known, soon where it is known already,
  /// and for each that follows. Never from within a call to this.
  virtual void start(OnGeneration on_generation) = 0;
  /// The newest report of this pod.
  virtual void report(const decide::recovery::PodReport& report) = 0;
};

/// The record of the newest generation in a file: what a successor finds. NotFound: none yet.
base::Result<decide::recovery::Generation> read_generation(world::Files& files,
                                                           const std::string& path);
base::Status write_generation(world::Files& files, const std::string& path,
                              const decide::recovery::Generation& generation);

/// One member, which is begun again where it stands: decide/recovery decides, as in a cluster, with
/// one rung, `max_restarts` times in all. A failure that comes again and again at the same step
/// ends it earlier, with a diagnosis. What is known is written to `record` before it is told.
class LocalSource final : public GenerationSource {
 public:
  struct Settings {
    std::string record;
    decide::recovery::Member member;
    std::string job_uid;
    int max_restarts = 0;
  };
  /// `world` must outlive it.
  LocalSource(world::World& world, Settings settings);
  void start(OnGeneration on_generation) override;
  void report(const decide::recovery::PodReport& report) override;

 private:
  void decide();
  void set(decide::recovery::JobRecord record);
  bool is_last() const { return record_.generation.number > settings_.max_restarts; }

  world::World& world_;
  Settings settings_;
  OnGeneration on_generation_;
  decide::recovery::JobRecord record_;
  decide::recovery::PodReport report_;  ///< the newest
  world::Timer tell_, again_;
};

/// The agent on the node, by its socket: lines {"report": …} to it, {"generation": …} from it. Each
/// side says its newest record first, so either may be away at any time; training goes on.
class AgentSource final : public GenerationSource {
 public:
  /// `record` as in LocalSource: what is followed while the agent is away. `world` must outlive it.
  AgentSource(world::World& world, std::string socket, std::string record);
  void start(OnGeneration on_generation) override;
  void report(const decide::recovery::PodReport& report) override;

 private:
  void connect();
  void on_connected(std::unique_ptr<world::Connection> connection);
  void on_message(const base::Json& message);
  void on_gone();
  void send_newest();

  world::World& world_;
  std::string socket_;
  std::string record_;
  OnGeneration on_generation_;
  base::Json report_;  ///< the newest; null: none yet
  std::unique_ptr<world::Connection> connection_;
  JsonLines lines_;
  bool is_behind_ = false;  ///< the newest report is to be sent when the connection has drained
  base::Duration pause_;    ///< before the next attempt to connect
  bool has_said_gone_ = false;
  world::Timer retry_, known_;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
};

}  // namespace pelton::launch
