// SPDX-License-Identifier: Apache-2.0
#include "control/leader_election.h"

#include <utility>

#include "api/object.h"

namespace pelton::control {

using base::Duration;
using base::Json;
using base::Result;
using decide::workload::LeaseDecision;

LeaderElectionOptions leader_election(decide::workload::LeaseContender contender) {
  LeaderElectionOptions out;
  out.renew_deadline = contender.duration * 2 / 3;
  out.retry_period = contender.duration * 2 / 15;
  out.contender = std::move(contender);
  return out;
}

LeaderElector::LeaderElector(client::Client& client, world::Clock& clock, world::Timers& timers,
                             base::Log& log, base::Rng rng, LeaderElectionOptions options,
                             LeaderEvents events)
    : client_(client),
      clock_(clock),
      log_(log),
      rng_(rng),
      options_(std::move(options)),
      events_(std::move(events)),
      retry_(timers),
      deadline_(timers) {}

void LeaderElector::start() {
  look();
}

std::string LeaderElector::lease_path() const {
  return options_.contender.namespace_name + "/" + options_.contender.name;
}

/// A holder knows what it wrote; whoever waits reads what is there now.
void LeaderElector::look() {
  if (is_leader_) return contend();
  client_.get({"Lease", options_.contender.namespace_name, options_.contender.name},
              [this, alive = std::weak_ptr(alive_)](Result<Json> lease) {
                if (!alive.expired()) on_seen(std::move(lease));
              });
}

void LeaderElector::on_seen(Result<Json> lease) {
  if (is_released_) return;
  if (lease.status().code() == base::Code::NotFound) {
    lease_.reset();
    return contend();
  }
  if (!lease.ok()) {
    note(lease.status());
    return try_again();
  }
  if (!lease_ || api::resource_version_of(*lease_) != api::resource_version_of(*lease)) {
    lease_ = std::move(*lease);
    seen_ = clock_.elapsed();
  }
  contend();
}

void LeaderElector::contend() {
  LeaseDecision decision = decide::workload::decide_lease(
      {lease_ ? &*lease_ : nullptr, clock_.elapsed() - seen_}, options_.contender, clock_.now());
  if (decision.verb == LeaseDecision::Verb::Wait) return wait_for(decision.holder);
  write(std::move(decision));
}

void LeaderElector::wait_for(const std::string& holder) {
  if (std::exchange(holder_, holder) != holder) {
    log_.info("leader.other", {{"lease", lease_path()}, {"holder", holder}});
  }
  if (is_leader_) lose("it is held by " + holder);
  try_again();
}

void LeaderElector::write(LeaseDecision decision) {
  const auto done = [this, sent = clock_.elapsed(),
                     alive = std::weak_ptr(alive_)](const Result<Json>& written) {
    if (!alive.expired()) on_written(written, sent);
  };
  if (decision.verb == LeaseDecision::Verb::Create) {
    client_.create(decision.lease, done);
  } else {
    client_.update(decision.lease, done);
  }
}

void LeaderElector::on_written(const Result<Json>& written, Duration sent) {
  if (is_released_) return;
  if (!written.ok()) {
    note(written.status());
    return look_after_failure();
  }
  trouble_.clear();
  lease_ = *written;
  // The others count from when they see it, which is not before it was sent.
  seen_ = sent;
  deadline_.start(sent + options_.renew_deadline - clock_.elapsed(),
                  [this] { lose("it could not be renewed in time"); });
  const bool was_leader = std::exchange(is_leader_, true);
  try_again();
  if (was_leader) return;
  holder_ = options_.contender.identity;
  log_.info("leader.self", {{"lease", lease_path()}, {"holder", holder_}});
  events_.on_led();
}

/// Whether it happened or somebody was faster: what is there says so.
void LeaderElector::look_after_failure() {
  client_.get({"Lease", options_.contender.namespace_name, options_.contender.name},
              [this, alive = std::weak_ptr(alive_)](const Result<Json>& lease) {
                if (alive.expired() || is_released_) return;
                if (lease.ok()) {
                  lease_ = *lease;
                  seen_ = clock_.elapsed();
                  const std::string& holder = decide::workload::holder_of(*lease);
                  if (holder != options_.contender.identity && !holder.empty()) {
                    return wait_for(holder);
                  }
                } else if (lease.status().code() == base::Code::NotFound) {
                  lease_.reset();
                }
                try_again();
              });
}

/// Once per trouble, not once per try.
void LeaderElector::note(const base::Status& trouble) {
  if (std::exchange(trouble_, trouble.message()) == trouble.message()) return;
  log_.warning("leader.trouble", {{"lease", lease_path()}, {"error", trouble_}});
}

void LeaderElector::lose(const std::string& why) {
  deadline_.cancel();
  if (!std::exchange(is_leader_, false)) return;
  log_.warning("leader.lost", {{"lease", lease_path()}, {"why", why}});
  holder_.clear();
  events_.on_lost();
}

/// A holder keeps time; the others come at times of their own, so that not all come at once.
void LeaderElector::try_again() {
  Duration wait = options_.retry_period;
  if (!is_leader_) {
    wait = wait + Duration::nanoseconds(static_cast<int64_t>(
                      rng_.below(static_cast<uint64_t>(options_.retry_period.ns()) + 1)));
  }
  retry_.start(wait, [this] { look(); });
}

void LeaderElector::release(std::function<void()> done) {
  is_released_ = true;
  retry_.cancel();
  deadline_.cancel();
  if (!std::exchange(is_leader_, false)) return done();
  client_.update(decide::workload::released(*lease_, clock_.now()),
                 [done = std::move(done)](const Result<Json>&) { done(); });
}

}  // namespace pelton::control
