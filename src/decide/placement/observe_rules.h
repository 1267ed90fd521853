// SPDX-License-Identifier: Apache-2.0
// What a pod's spec and annotations say about other pods, as numbered terms. A part of observe().
#pragma once
#include <map>
#include <string>
#include <vector>

#include "decide/placement/observed.h"

namespace pelton::decide::placement {

/// Reads rules and gives equal terms one number.
class RuleReader {
 public:
  explicit RuleReader(const Objects& namespaces) : namespaces_(namespaces) {}

  /// Fills near, apart, preferred_pods, spreads and preferred_level.
  void read(const base::Json& pod, Shape& shape);
  /// The terms that a pod on a node keeps out of its domain.
  std::vector<size_t> read_apart(const base::Json& pod);
  /// Terms that the pod matches, ascending.
  std::vector<size_t> matches_of(const base::Json& pod) const;
  std::vector<PodTerm> take_terms() { return std::move(terms_); }
  bool has_terms() const { return !terms_.empty(); }

 private:
  size_t number_of(PodTerm term);
  PodMatcher matcher_of(const base::Json& term, const base::Json& pod) const;
  void read_affinity(const base::Json& pod, Shape& shape);
  void read_spreads(const base::Json& pod, Shape& shape);
  void read_topology(const base::Json& pod, Shape& shape);

  const Objects& namespaces_;
  std::vector<PodTerm> terms_;
  std::map<std::string, size_t> numbers_;  ///< by the term's text
};

/// The rules as text: equal for shapes with equal rules.
std::string rules_key(const Shape& shape);

}  // namespace pelton::decide::placement
