// SPDX-License-Identifier: Apache-2.0
// Pods counted per topology domain while placements are being tried: pod affinity, anti-affinity
// and topology spread.
//
// A domain is a value of a node label. For each term the pods that match it and the pods that keep
// it out are counted per domain, so that a check is a few look-ups. A part of decide_placement.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "decide/placement/observed.h"

namespace pelton::decide::placement {

class Neighbours {
 public:
  /// `observed` must outlive it; its residents are counted.
  explicit Neighbours(const Observed& observed);

  /// Whether the pod's rules about others, and others' about it, admit the node now.
  bool admits(const Pod& pod, size_t node) const;
  /// Why not, in upstream's words.
  std::string refusal(const Pod& pod, size_t node) const;
  /// By preferred (anti-)affinity and ScheduleAnyway spreading; less is better.
  std::pair<int64_t, int64_t> dislike(const Pod& pod, size_t node) const;
  /// Counts the pod as being on the node (sign 1), or no more (-1).
  void move(const Pod& pod, size_t node, int sign);

  /// The domain of the node under the term's topology key; -1: it has no such label.
  int domain_of(size_t term, size_t node) const { return domains_[key_of_[term]][node]; }
  size_t domain_count(size_t term) const { return domain_counts_[key_of_[term]]; }

 private:
  enum class Verdict : uint8_t { Admitted, Spread, SpreadLabel, Apart, KeptOut, Near };
  /// `term`: the one at fault.
  Verdict judge(const Pod& pod, size_t node, size_t& term) const;
  Verdict judge_spreads(const Pod& pod, size_t node, size_t& term) const;
  bool is_near(const Pod& pod, size_t node, size_t& term) const;
  void count(const std::vector<size_t>& matches, const std::vector<size_t>& apart, size_t node,
             int sign, bool is_leaving);

  /// The pods of one Spread, on nodes that it looks at.
  struct Counter {
    const Spread* spread = nullptr;
    std::vector<bool> is_eligible;  ///< [node]
    std::vector<int64_t> pods;      ///< [domain]; -1: no eligible node
    int64_t domains = 0;            ///< with an eligible node
    mutable int64_t least = 0;
    mutable bool is_least_known = false;
    int64_t lowest() const;
  };
  void number_domains(const Observed& observed);
  void make_counters(const Observed& observed);

  const Observed& observed_;
  std::vector<size_t> key_of_;                 ///< [term]: index into domains_
  std::vector<std::vector<int>> domains_;      ///< [key][node]
  std::vector<size_t> domain_counts_;          ///< [key]
  std::vector<std::vector<int64_t>> present_;  ///< [term][domain]: pods that match
  std::vector<std::vector<int64_t>> keepers_;  ///< [term][domain]: pods that keep it out
  std::vector<int64_t> total_;                 ///< [term]: pods that match, anywhere
  std::vector<Counter> counters_;
  std::vector<std::vector<size_t>> counters_of_shape_;
  std::vector<std::vector<size_t>> counters_of_term_;
};

}  // namespace pelton::decide::placement
