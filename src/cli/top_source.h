// SPDX-License-Identifier: Apache-2.0
// Where `pelton top` gets its lists from: one round of requests after the other.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "cli/admin_client.h"
#include "cli/data_directory.h"
#include "cli/top_view.h"
#include "world/world.h"

namespace pelton::cli {

/// Usage is asked for beside the objects and never waited for: a node that does not answer would
/// hold up everything else. What was measured last stays until something newer comes.
class TopSource {
 public:
  TopSource(world::World& world, DataDirectory directory);
  ~TopSource();

  /// Starts a round, and gives up one that has not ended. `done` comes once, on the loop: Ok when
  /// nodes, pods and JobSets have been listed; NotFound where the directory holds no cluster;
  /// Unavailable where its server does not answer.
  void refresh(std::function<void(base::Status)> done);
  /// Called whenever usage has come, or will not come. Replaces an earlier one.
  void on_measured(std::function<void()> fn) { on_measured_ = std::move(fn); }
  bool is_measuring() const { return metrics_open_ > 0; }
  const TopLists& lists() const { return lists_; }

 private:
  struct Round;
  base::Status connect();
  void list(const std::shared_ptr<Round>& round, const char* kind,
            base::Json::Array TopLists::* to);
  void measure(const char* resource, base::Json::Array TopLists::* to);
  void finish(base::Status status);

  world::World& world_;
  DataDirectory directory_;
  world::Timer timeout_;
  std::unique_ptr<AdminClient> admin_;  ///< null before the first round
  bool is_failing_ = false;             ///< the last round has failed: connect anew
  std::shared_ptr<Round> round_;        ///< null between rounds
  int metrics_open_ = 0;
  std::function<void()> on_measured_;
  TopLists lists_;
};

}  // namespace pelton::cli
