// SPDX-License-Identifier: Apache-2.0
// Who is to be in the next generation. Pure.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "decide/recovery/evidence.h"
#include "decide/recovery/observed.h"

namespace pelton::decide::recovery {

/// Pods that no generation lists and that can be listed, best first: on a node that has not failed,
/// warm, with the lowest order. `apart`: pods that are not to be taken.
std::vector<Member> spares_of(const Observed& observed, const std::set<std::string>& apart);

/// Members of a world of exactly `world` ranks, from the old ones that are not in `without` and
/// the spares; empty where that cannot be. Who stays keeps its rank where a spare fills each hole;
/// where not, whole replicas stay together and the rest follows.
std::vector<Member> compose(const std::vector<Member>& old, const std::set<std::string>& without,
                            const std::vector<Member>& spares, int ranks_per_replica, int world);

/// Ranks of the old ones that are not in `without`, and of the spares: compose() makes no wider
/// world.
int ranks_at_hand(const std::vector<Member>& old, const std::set<std::string>& without,
                  const std::vector<Member>& spares);

int ranks_of(const std::vector<Member>& members);

}  // namespace pelton::decide::recovery
