// SPDX-License-Identifier: Apache-2.0
// Executes one plan's commands through a Client, one after another.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/client.h"
#include "control/plan.h"
#include "world/clock.h"

namespace pelton::control {

/// Something that the cache must show before the writer decides again.
struct Expectation {
  ObjectKey key;
  uint64_t revision = 0;    ///< the cache has seen this revision of the kind …
  std::string deleted_uid;  ///< … or, where set: an object of this uid is gone or being deleted
};

/// Whether the cache shows it. Kinds that the cache does not watch count as shown.
bool is_met(const Expectation& expectation, const client::Cache& cache);

struct ExecuteResult {
  base::Status status;  ///< of the command that ended the plan, or Ok
  std::string failed;   ///< describe() of it
  std::vector<Expectation> expectations;
};

/// Stateless but for the counts of equal events; shared by all keys of a driver.
class Executor {
 public:
  /// References must outlive it. Dies silently with plans in flight.
  Executor(client::Client& client, world::Clock& clock);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Calls `done` once; from within the call only if there are no commands. `component` names the
  /// source of events.
  void execute(std::string_view component, std::vector<Command> commands,
               std::function<void(ExecuteResult)> done);

 private:
  struct Run;
  void step(const std::shared_ptr<Run>& run);
  void issue(const std::shared_ptr<Run>& run, const Command& command);
  void on_written(const std::shared_ptr<Run>& run, const ObjectKey& key,
                  base::Result<base::Json> result);
  void observe(const std::shared_ptr<Run>& run, const ObjectKey& key);
  void emit(const std::shared_ptr<Run>& run, const EmitEvent& event);
  void bind_gang(const std::shared_ptr<Run>& run, const GangBind& gang);

  client::Client& client_;
  world::Clock& clock_;
  std::map<std::string, int64_t> event_counts_;  ///< by event name; bounded
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::control
