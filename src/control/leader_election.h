// SPDX-License-Identifier: Apache-2.0
// Of several processes with the same controllers, one acts: the holder of a Lease.
//
// As client-go's leader election: the holder renews every `retry_period` and leads no longer where
// that has not worked for `renew_deadline`, which is before anybody else may take the Lease. One
// that lost it contends again. decide/workload/leader says who may take it.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/log.h"
#include "base/rng.h"
#include "client/client.h"
#include "decide/workload/leader/decide_lease.h"
#include "world/clock.h"
#include "world/timers.h"

namespace pelton::control {

struct LeaderElectionOptions {
  /// Its duration, how long others wait for a holder that is gone.
  decide::workload::LeaseContender contender;
  base::Duration renew_deadline = base::Duration::seconds(10);
  base::Duration retry_period = base::Duration::seconds(2);
};

/// Deadline and period in client-go's proportion to how long a Lease lasts (15 s, 10 s, 2 s).
LeaderElectionOptions leader_election(decide::workload::LeaseContender contender);

struct LeaderEvents {
  std::function<void()> on_led;
  /// From now on another may lead: stop acting, at once.
  std::function<void()> on_lost;
};

class LeaderElector {
 public:
  /// All but the options must outlive it. The client's timeout should be shorter than the
  /// deadline: an unanswered renewal is to be tried again.
  LeaderElector(client::Client& client, world::Clock& clock, world::Timers& timers, base::Log& log,
                base::Rng rng, LeaderElectionOptions options, LeaderEvents events);

  void start();
  bool is_leader() const { return is_leader_; }
  /// Leads no more, and gives the Lease back, so that a successor need not wait; then `done`, also
  /// where that did not work. on_lost is not called.
  void release(std::function<void()> done);

 private:
  void look();
  void on_seen(base::Result<base::Json> lease);
  void contend();
  void write(decide::workload::LeaseDecision decision);
  void on_written(const base::Result<base::Json>& written, base::Duration sent);
  void look_after_failure();
  void note(const base::Status& trouble);
  void wait_for(const std::string& holder);
  void lose(const std::string& why);
  void try_again();
  std::string lease_path() const;

  client::Client& client_;
  world::Clock& clock_;
  base::Log& log_;
  base::Rng rng_;
  const LeaderElectionOptions options_;
  LeaderEvents events_;
  world::Timer retry_, deadline_;
  std::optional<base::Json> lease_;  ///< as it was last seen
  base::Duration seen_;              ///< when that was first
  std::string holder_;               ///< that was last told of
  std::string trouble_;
  bool is_leader_ = false;
  bool is_released_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::control
