// SPDX-License-Identifier: Apache-2.0
// How a job goes on after what has happened to it.
//
// 1. Nothing has happened: nothing is done, however long it lasts. Time makes no evidence.
// 2. Something has: every rung gets a price in lost accelerator-seconds, or the reason why it is
//    impossible (its pod is lost, the budget is spent, it has been tried against this very
//    failure), and the cheapest possible one is taken. None is left: the job stops, with the
//    diagnosis.
// 3. The next generation is written first. From then on what is of an older one is void, so a pod
//    that cannot be reached may be given up (fencing), and pods are deleted only after it.
// 4. Whoever looks next, after any crash, sees the record and goes on: deletions that are recorded
//    and not done are done; nothing is decided twice.
// The record's history is the job's memory: recovery times are measured in it, budgets counted.
#pragma once
#include "base/time.h"
#include "decide/recovery/decision.h"
#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

/// Pure. `now` dates records, and serves budgets and costs of waiting.
Decision decide_recovery(const Observed& observed, base::Instant now);

}  // namespace pelton::decide::recovery
