// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/timeline.h"

#include <algorithm>
#include <set>
#include <tuple>

namespace pelton::decide::goodput {
namespace {

/// A claim begins or ends here.
struct Edge {
  base::Instant at;
  bool is_begin;
  size_t claim;
};

bool is_same_kind(const Segment& a, const Segment& b) {
  return a.category == b.category && a.cause == b.cause && a.generation == b.generation &&
         a.width == b.width;
}

}  // namespace

std::vector<Segment> partition(base::Instant from, base::Instant to,
                               const std::vector<Claim>& claims) {
  std::vector<Edge> edges;
  edges.reserve(claims.size() * 2);
  for (size_t i = 0; i < claims.size(); ++i) {
    const base::Instant begin = std::max(from, claims[i].from), end = std::min(to, claims[i].to);
    if (begin >= end) continue;
    edges.push_back({begin, true, i});
    edges.push_back({end, false, i});
  }
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) { return a.at < b.at; });

  std::vector<Segment> segments;
  std::set<std::pair<Category, size_t>> active;  // the first has the time
  base::Instant at = from;
  const auto grant_until = [&](base::Instant until) {
    if (until <= at) return;
    Segment next = active.empty() ? Segment{} : claims[active.begin()->second];
    next.from = at;
    next.to = at = until;
    if (!segments.empty() && is_same_kind(segments.back(), next)) {
      segments.back().to = until;
    } else {
      segments.push_back(std::move(next));
    }
  };
  for (const Edge& edge : edges) {
    grant_until(edge.at);
    const std::pair<Category, size_t> key(claims[edge.claim].category, edge.claim);
    if (edge.is_begin) {
      active.insert(key);
    } else {
      active.erase(key);
    }
  }
  grant_until(to);
  return segments;
}

}  // namespace pelton::decide::goodput
