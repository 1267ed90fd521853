// SPDX-License-Identifier: Apache-2.0
// Which checkpoint a generation restores from the memory of its members' nodes.
//
// It is part of the generation's record, so that all ranks agree without speaking. What a node
// holds changes while workers save there; so where members still run something older, the record is
// first written with the question open: they end that, say what is held now, and start nobody
// before it is closed under the same number. Pure.
#pragma once
#include <string>

#include "decide/recovery/evidence.h"
#include "decide/recovery/job_record.h"

namespace pelton::decide::recovery {

/// For record.generation, which is about to begin: sets `restore` where all its members have said
/// what they hold and nobody changes it any more, opens the question where they have not, and does
/// neither where none of them holds anything.
void choose_restore(const Evidence& evidence, JobRecord& record);

/// Closes the question for record.generation. Returns the members that have not said yet what they
/// hold; then nothing is changed.
std::string settle_restore(const Evidence& evidence, JobRecord& record);

}  // namespace pelton::decide::recovery
