// SPDX-License-Identifier: Apache-2.0
#include "decide/health/link_watch.h"

#include <algorithm>

namespace pelton::decide::health {

void LinkWatch::look(const std::vector<Link>& links, base::Instant now) {
  std::set<std::string> down;
  for (const Link& link : links) {
    if (link.is_up) {
      known_.insert(link.name);
    } else {
      down.insert(link.name);
    }
  }
  const bool is_cut_off = !links.empty() && down.size() == links.size();
  // Of an interface that never was up nobody expects anything, unless there is no other; one that
  // is not even listed any more is as good as down.
  if (!is_cut_off) std::erase_if(down, [&](const auto& name) { return !known_.contains(name); });
  for (const std::string& name : known_) {
    const bool is_there = std::any_of(links.begin(), links.end(),
                                      [&](const Link& link) { return link.name == name; });
    if (!is_there) down.insert(name);
  }
  std::erase_if(down_since_, [&](const auto& each) { return !down.contains(each.first); });
  for (const std::string& name : down) down_since_.try_emplace(name, now);
}

std::optional<DownLink> LinkWatch::down() const {
  const auto first =
      std::min_element(down_since_.begin(), down_since_.end(),
                       [](const auto& a, const auto& b) { return a.second < b.second; });
  if (first == down_since_.end()) return std::nullopt;
  return DownLink{first->first, first->second};
}

}  // namespace pelton::decide::health
