// SPDX-License-Identifier: Apache-2.0
// Every change that the store ever showed, in order, kept outside of the store: what watchers and
// writers are judged by.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pelton::scenario {

struct HistoricChange {
  uint64_t revision = 0;
  uint64_t previous = 0;  ///< the key's revision before; 0: it was made
  bool is_delete = false;
  uint64_t content = 0;  ///< a hash of the object
  std::string key;
};

class History {
 public:
  /// Revisions grow.
  void add(HistoricChange change) { changes_.push_back(std::move(change)); }
  /// nullptr where no change has that revision.
  const HistoricChange* find(uint64_t revision) const;
  /// The first change above `revision` of a key with that prefix; nullptr: there is none yet.
  const HistoricChange* next(std::string_view prefix, uint64_t revision) const;
  uint64_t newest() const { return changes_.empty() ? 0 : changes_.back().revision; }

 private:
  std::vector<HistoricChange> changes_;
};

}  // namespace pelton::scenario
