// SPDX-License-Identifier: Apache-2.0
#include "scenario/history.h"

#include <algorithm>

namespace pelton::scenario {

const HistoricChange* History::find(uint64_t revision) const {
  const auto it = std::lower_bound(
      changes_.begin(), changes_.end(), revision,
      [](const HistoricChange& change, uint64_t wanted) { return change.revision < wanted; });
  return it != changes_.end() && it->revision == revision ? &*it : nullptr;
}

const HistoricChange* History::next(std::string_view prefix, uint64_t revision) const {
  auto it = std::upper_bound(
      changes_.begin(), changes_.end(), revision,
      [](uint64_t wanted, const HistoricChange& change) { return wanted < change.revision; });
  it = std::find_if(it, changes_.end(), [&](const HistoricChange& change) {
    return std::string_view(change.key).substr(0, prefix.size()) == prefix;
  });
  return it == changes_.end() ? nullptr : &*it;
}

}  // namespace pelton::scenario
