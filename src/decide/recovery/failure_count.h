// SPDX-License-Identifier: Apache-2.0
// How often a job has failed so far, as its next generation is told (every="auto" reckons with it).
// Pure.
//
// A failure counts for memory where no node went with it: a process was killed, hung or raised, a
// pod was deleted, and the files are on the node still. So it does where the other nodes hold a
// whole version all the same, as copies. It counts for the durable tier where a node is gone, or
// not fit to go on (blames_node), and what the others hold is not whole. Nodes lost together are
// one failure: the job went back once.
//
// Exceptions of the program count as any other failure that memory survives, since a save pays
// whatever the cause was. The same failure again (is_same_failure) does not count: a program that
// raises at one step each time says nothing of how often failures come, and the policy's patience
// ends it. A notice that was answered is no failure.
#pragma once
#include <vector>

#include "decide/checkpoint/observed_failures.h"
#include "decide/recovery/evidence.h"

namespace pelton::decide::recovery {

/// What `over` was told, its own time, and the failure that has ended it. `history`: its own entry
/// is the last. Counted on from one generation to the next, so that what is folded is not missed.
checkpoint::ObservedFailures count_failures(const Evidence& evidence, const Generation& over,
                                            const std::vector<PastGeneration>& history);

}  // namespace pelton::decide::recovery
