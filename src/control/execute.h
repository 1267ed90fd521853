// SPDX-License-Identifier: Apache-2.0
// Executes one plan's commands through a Client, one after another, until one fails.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "client/cache.h"
#include "client/client.h"
#include "control/plan.h"
#include "provider/provider.h"
#include "world/clock.h"

namespace pelton::control {

/// Something that the cache must show before the writer decides again.
struct Expectation {
  enum class Type : uint8_t {
    Seen,   ///< every change of the kind up to `revision`
    Gone,   ///< the object of `uid` is absent or being deleted; "" is any object of that name
    Bound,  ///< the pod of `uid` has a node, or is gone
  };
  Type type = Type::Seen;
  ObjectKey key;
  uint64_t revision = 0;
  std::string uid;
  bool operator==(const Expectation&) const = default;
};

/// Whether the cache shows it. A kind that the cache does not watch counts as shown.
bool is_met(const Expectation& expectation, const client::Cache& cache);

struct ExecuteResult {
  base::Status status;  ///< of the command that ended the plan, or Ok
  std::string failed;   ///< describe() of that command
  /// The object that the failed command was about, where looking at it tells what the cache lacks:
  /// the outcome is unknown, or somebody else was faster.
  std::optional<ObjectKey> doubtful;
  std::vector<Expectation> expectations;
};

class Executor {
 public:
  /// References must outlive it. Dies silently with plans in flight. `provider` may be null:
  /// then no machine can be had.
  Executor(client::Client& client, world::Clock& clock, provider::Provider* provider = nullptr);
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  /// Calls `done` once; from within the call only if there are no commands. `component` names the
  /// source of events.
  void execute(std::string_view component, std::vector<Command> commands,
               std::function<void(ExecuteResult)> done);
  /// Reads the object from the server; gives what the cache must show to be as fresh as that.
  void observe(const ObjectKey& key, std::function<void(base::Result<Expectation>)> done);

 private:
  struct Run;
  struct Issue;
  using RunPtr = std::shared_ptr<Run>;
  void step(const RunPtr& run);
  void on_written(const RunPtr& run, const ObjectKey& key, base::Result<base::Json> result);
  void on_removed(const RunPtr& run, const Delete& command, base::Result<base::Json> result);
  void confirm_absent(const RunPtr& run, const ConfirmAbsent& command);
  void on_bound(const RunPtr& run, const std::string& namespace_name,
                const std::vector<PodBinding>& bindings, const base::Status& status);
  void fail(const RunPtr& run, const ObjectKey& key, base::Status status);
  void emit(const RunPtr& run, const EmitEvent& event);
  void create_machine(const RunPtr& run, const CreateMachine& command);
  void bind_gang(const RunPtr& run, const GangBind& gang);

  client::Client& client_;
  world::Clock& clock_;
  provider::Provider* const provider_;
  bool has_no_gang_resource_ = false;  ///< as the server said
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::control
