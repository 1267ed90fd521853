// SPDX-License-Identifier: Apache-2.0
#include "control/manager.h"

#include <utility>

#include "base/rng.h"
#include "base/strings.h"
#include "decide/placement/observed.h"

namespace pelton::control {
namespace {

base::Rng seeded(world::Random& random) {
  return base::Rng(base::hash64(random.bytes(16)));
}

/// The labels by which reconcilers look pods and jobs up.
std::vector<std::string> indexed_labels() {
  return {decide::placement::kJobSetUidLabel, "jobset.sigs.k8s.io/jobset-name",
          "batch.kubernetes.io/job-name", "pelton.dev/recovery-policy"};
}

}  // namespace

Manager::Manager(const world::World& world, client::Transport& transport,
                 std::vector<std::unique_ptr<Reconciler>> reconcilers, DriverOptions options)
    : client_(transport, world.timers),
      cache_(indexed_labels()),
      driver_(client_, cache_, world.clock, world.timers, world.log, seeded(world.random),
              options) {
  for (auto& reconciler : reconcilers) driver_.add(std::move(reconciler));
  const base::Rng rng = seeded(world.random);
  for (const std::string& kind : driver_.watched_kinds()) {
    // Not every Kubernetes has our own kind, and nothing is owned by one.
    informers_.push_back(std::make_unique<client::Informer>(
        client_, cache_, world.timers, world.log, rng.fork("informer." + kind), kind,
        client::InformerOptions{.may_be_unserved = kind == "RecoveryPolicy"}));
  }
}

Manager::~Manager() = default;

void Manager::start() {
  driver_.start();
  for (auto& informer : informers_) informer->start();
}

bool Manager::is_synced() const {
  for (const auto& informer : informers_) {
    if (!informer->is_synced()) return false;
  }
  return true;
}

}  // namespace pelton::control
