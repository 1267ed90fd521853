// SPDX-License-Identifier: Apache-2.0
// How far one worker is, and where its time went, from the records of its heartbeat page. Pure.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "launch/heartbeat_page.h"

namespace pelton::launch {

/// Times are CLOCK_MONOTONIC, in nanoseconds.
class Progress {
 public:
  /// `started_ns`: when the worker was started; until its first record it is in phase "start".
  explicit Progress(int64_t started_ns) : since_ns_(started_ns) {}

  /// The next record of its page.
  void on_beat(const Beat& beat);

  bool has_begun() const { return has_begun_; }   ///< a record was there
  int64_t begun_ns() const { return begun_ns_; }  ///< of the first record
  int64_t step() const { return step_; }          ///< the last step begun; -1: none
  Phase phase() const { return phase_; }

  /// A step ends when another begins, and when what is not training begins (eval, save, done).
  int64_t first_step() const { return first_step_; }  ///< -1: none has ended
  int64_t last_step() const { return last_step_; }
  int64_t first_step_ns() const { return first_step_ns_; }  ///< when it ended
  int64_t last_step_ns() const { return last_step_ns_; }

  /// Seconds by phase, up to now.
  std::map<std::string, double> phase_seconds(int64_t now_ns) const;

 private:
  void end_step(int64_t at_ns);

  bool has_begun_ = false;
  int64_t begun_ns_ = 0;
  Phase phase_ = Phase::Start;
  int64_t since_ns_;
  int64_t step_ = -1;
  int64_t first_step_ = -1, last_step_ = -1;
  int64_t first_step_ns_ = 0, last_step_ns_ = 0;
  std::map<Phase, int64_t> spent_ns_;  ///< in phases that are over
};

}  // namespace pelton::launch
