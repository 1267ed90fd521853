// SPDX-License-Identifier: Apache-2.0
// What became of the time in which a job stepped: kept, in vain, or spent on saving. Pure.
#pragma once
#include <map>

#include "base/time.h"
#include "decide/goodput/category.h"

namespace pelton::scenario {

/// Work is counted in seconds at full width.
class WorkAccount {
 public:
  using Categories = std::map<decide::goodput::Category, base::Duration>;

  void add(decide::goodput::Category category, base::Duration time);
  /// A generation stepped for `time`, at `rate` work per second, with `stalls` seconds of saving
  /// per work. Settled by the next settle().
  void stepped(base::Duration time, double rate, double stalls);
  /// Of what has been done, the work up to `kept` counts; the rest was in vain.
  void settle(double kept);

  double restored() const { return restored_; }  ///< what the present generation began from
  double reached() const { return reached_; }    ///< where it was stopped
  base::Duration lost_most() const { return lost_most_; }  ///< by one settle()
  Categories& categories() { return categories_; }

 private:
  double restored_ = 0, reached_ = 0;
  base::Duration time_;
  double rate_ = 1, stalls_ = 0;
  base::Duration lost_most_;
  Categories categories_;
};

}  // namespace pelton::scenario
