// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/neighbours.h"

#include <algorithm>
#include <map>

#include "decide/placement/filters.h"

namespace pelton::decide::placement {

Neighbours::Neighbours(const Observed& observed) : observed_(observed) {
  number_domains(observed);
  make_counters(observed);
  for (const Resident& resident : observed.residents) {
    count(resident.matches, resident.apart, resident.node, 1, resident.is_leaving);
  }
}

void Neighbours::number_domains(const Observed& observed) {
  std::map<std::string, size_t> keys;
  for (const PodTerm& term : observed.terms) {
    const auto [key, is_new] = keys.emplace(term.topology_key, domains_.size());
    key_of_.push_back(key->second);
    if (is_new) {
      std::map<std::string, int> values;
      std::vector<int>& domains = domains_.emplace_back();
      for (const Node& node : observed.nodes) {
        const base::Json* value = node.labels.find(term.topology_key);
        domains.push_back(value == nullptr
                              ? -1
                              : values.emplace(value->as_string(), static_cast<int>(values.size()))
                                    .first->second);
      }
      domain_counts_.push_back(values.size());
    }
    present_.emplace_back(domain_counts_[key_of_.back()], 0);
    keepers_.emplace_back(domain_counts_[key_of_.back()], 0);
    total_.push_back(0);
  }
}

void Neighbours::make_counters(const Observed& observed) {
  counters_of_term_.resize(observed.terms.size());
  for (const Shape& shape : observed.shapes) {
    auto& own = counters_of_shape_.emplace_back();
    // Only nodes with the labels of all constraints of a kind count, as upstream's.
    const auto has_labels = [&](size_t node, bool is_required) {
      return std::all_of(shape.spreads.begin(), shape.spreads.end(), [&](const Spread& s) {
        return s.is_required != is_required || domain_of(s.term, node) >= 0;
      });
    };
    for (const Spread& spread : shape.spreads) {
      own.push_back(counters_.size());
      counters_of_term_[spread.term].push_back(counters_.size());
      Counter& counter = counters_.emplace_back();
      counter.spread = &spread;
      counter.is_eligible.resize(observed.nodes.size());
      counter.pods.resize(domain_count(spread.term), -1);
      for (size_t n = 0; n < observed.nodes.size(); ++n) {
        const Node& node = observed.nodes[n];
        const bool is_eligible =
            has_labels(n, spread.is_required) &&
            (!spread.honors_affinity || selects_node(shape, node)) &&
            (!spread.honors_taints || untolerated_taint(shape, node) == nullptr);
        const int domain = domain_of(spread.term, n);
        counter.is_eligible[n] = is_eligible && domain >= 0;
        if (!counter.is_eligible[n] || counter.pods[static_cast<size_t>(domain)] == 0) continue;
        counter.pods[static_cast<size_t>(domain)] = 0;
        ++counter.domains;
      }
    }
  }
}

int64_t Neighbours::Counter::lowest() const {
  if (domains < spread->min_domains) return 0;
  if (!is_least_known) {
    least = INT64_MAX;
    for (const int64_t n : pods) {
      if (n >= 0) least = std::min(least, n);
    }
    is_least_known = true;
  }
  return least == INT64_MAX ? 0 : least;
}

bool Neighbours::is_near(const Pod& pod, size_t node, size_t& term) const {
  const auto matches = [&](size_t t) {
    return std::binary_search(pod.matches.begin(), pod.matches.end(), t);
  };
  for (const auto& group : observed_.shapes[pod.shape].near) {
    bool is_met = true, is_labelled = true, is_first = true;
    for (const size_t t : group) {
      const int domain = domain_of(t, node);
      is_labelled = is_labelled && domain >= 0;
      const bool is_present = domain >= 0 && present_[t][static_cast<size_t>(domain)] > 0;
      if (!is_present && is_met) term = t;
      is_met = is_met && is_present;
      is_first = is_first && total_[t] == 0 && matches(t);
    }
    // The first of pods that want each other's company cannot wait for another.
    if (!is_met && !(is_first && is_labelled)) return false;
  }
  return true;
}

Neighbours::Verdict Neighbours::judge_spreads(const Pod& pod, size_t node, size_t& term) const {
  for (const size_t number : counters_of_shape_[pod.shape]) {
    const Counter& counter = counters_[number];
    if (!counter.spread->is_required) continue;
    term = counter.spread->term;
    const int domain = domain_of(term, node);
    if (domain < 0) return Verdict::SpreadLabel;
    const bool is_self = std::binary_search(pod.matches.begin(), pod.matches.end(), term);
    const int64_t there = std::max<int64_t>(0, counter.pods[static_cast<size_t>(domain)]);
    if (there + (is_self ? 1 : 0) - counter.lowest() > counter.spread->max_skew) {
      return Verdict::Spread;
    }
  }
  return Verdict::Admitted;
}

Neighbours::Verdict Neighbours::judge(const Pod& pod, size_t node, size_t& term) const {
  if (const Verdict verdict = judge_spreads(pod, node, term); verdict != Verdict::Admitted) {
    return verdict;
  }
  for (const size_t t : pod.matches) {
    const int domain = domain_of(t, node);
    term = t;
    if (domain >= 0 && keepers_[t][static_cast<size_t>(domain)] > 0) return Verdict::KeptOut;
  }
  for (const size_t t : observed_.shapes[pod.shape].apart) {
    const int domain = domain_of(t, node);
    term = t;
    if (domain >= 0 && present_[t][static_cast<size_t>(domain)] > 0) return Verdict::Apart;
  }
  return is_near(pod, node, term) ? Verdict::Admitted : Verdict::Near;
}

bool Neighbours::admits(const Pod& pod, size_t node) const {
  if (observed_.terms.empty()) return true;
  size_t term = 0;
  return judge(pod, node, term) == Verdict::Admitted;
}

std::string Neighbours::refusal(const Pod& pod, size_t node) const {
  size_t term = 0;
  const Verdict verdict = judge(pod, node, term);
  if (verdict == Verdict::Admitted) return "";
  if (const std::string& own = observed_.terms[term].refusal; !own.empty()) return own;
  switch (verdict) {
    case Verdict::Spread:
      return "node(s) didn't match pod topology spread constraints";
    case Verdict::SpreadLabel:
      return "node(s) didn't match pod topology spread constraints (missing required label)";
    case Verdict::Apart:
      return "node(s) didn't match pod anti-affinity rules";
    case Verdict::KeptOut:
      return "node(s) didn't satisfy existing pods anti-affinity rules";
    default:
      return "node(s) didn't match pod affinity rules";
  }
}

std::pair<int64_t, int64_t> Neighbours::dislike(const Pod& pod, size_t node) const {
  int64_t weight = 0, crowd = 0;
  for (const PreferredPods& preferred : observed_.shapes[pod.shape].preferred_pods) {
    const int domain = domain_of(preferred.term, node);
    if (domain < 0) continue;
    weight += preferred.weight * present_[preferred.term][static_cast<size_t>(domain)];
  }
  for (const size_t number : counters_of_shape_[pod.shape]) {
    const Counter& counter = counters_[number];
    const int domain = domain_of(counter.spread->term, node);
    constexpr int64_t kNoLabel = 1'000'000;  // worse than any crowd
    crowd +=
        domain < 0 ? kNoLabel : std::max<int64_t>(0, counter.pods[static_cast<size_t>(domain)]);
  }
  return {-weight, crowd};
}

void Neighbours::count(const std::vector<size_t>& matches, const std::vector<size_t>& apart,
                       size_t node, int sign, bool is_leaving) {
  for (const size_t t : matches) {
    const int domain = domain_of(t, node);
    if (domain < 0) continue;
    const size_t d = static_cast<size_t>(domain);
    total_[t] += sign;
    present_[t][d] += sign;
    if (is_leaving) continue;  // a pod that goes does not hold its place in the spread
    for (const size_t number : counters_of_term_[t]) {
      Counter& counter = counters_[number];
      if (!counter.is_eligible[node]) continue;
      counter.pods[d] += sign;
      counter.is_least_known = false;
    }
  }
  for (const size_t t : apart) {
    const int domain = domain_of(t, node);
    if (domain >= 0) keepers_[t][static_cast<size_t>(domain)] += sign;
  }
}

void Neighbours::move(const Pod& pod, size_t node, int sign) {
  count(pod.matches, observed_.shapes[pod.shape].apart, node, sign, false);
}

}  // namespace pelton::decide::placement
