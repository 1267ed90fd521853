// SPDX-License-Identifier: Apache-2.0
#include "apiserver/node_room.h"

#include <algorithm>

#include "api/quantity.h"

namespace pelton::apiserver {

using api::Amounts;
using base::Json;

namespace {

const std::string& node_of(const Json& pod) {
  return pod["spec"]["nodeName"].as_string();
}

std::string format(const std::string& resource, int64_t amount) {
  if (resource == "cpu") return api::Quantity::of_milli(amount).to_string();
  if (resource == "memory" || resource == "ephemeral-storage") {
    return api::Quantity::of_bytes(amount).to_string();
  }
  return std::to_string(amount);
}

}  // namespace

uint64_t NodeRoom::note_under_way(const std::string& key, const Json& pod, bool is_remove) {
  if (is_remove || node_of(pod).empty() || api::has_ended(pod) || pods_.contains(key)) return 0;
  under_way_[next_ticket_] = {key, {node_of(pod), api::requests_of(pod)}};
  return next_ticket_++;
}

void NodeRoom::note_over(uint64_t ticket) {
  under_way_.erase(ticket);
}

void NodeRoom::note_durable(const std::string& key, const Json& pod, bool is_remove) {
  if (!is_loaded_) return;
  const bool takes = !is_remove && !node_of(pod).empty() && !api::has_ended(pod);
  const auto found = pods_.find(key);
  if (found != pods_.end()) {
    // What a pod asks for and where it is never change.
    if (takes) return;
    add(found->second, -1);
    pods_.erase(found);
  } else if (takes) {
    const Taken& taken = pods_[key] = {node_of(pod), api::requests_of(pod)};
    add(taken, 1);
  }
}

void NodeRoom::add(const Taken& taken, int sign) {
  Amounts& used = used_[taken.node];
  for (const auto& [resource, amount] : taken.amounts) used[resource] += sign * amount;
  if (used["pods"] == 0) used_.erase(taken.node);
}

Amounts NodeRoom::used(std::string_view node) const {
  Amounts out;
  if (const auto it = used_.find(node); it != used_.end()) out = it->second;
  for (const auto& [ticket, one] : under_way_) {
    if (one.taken.node != node || pods_.contains(one.key)) continue;
    for (const auto& [resource, amount] : one.taken.amounts) out[resource] += amount;
  }
  return out;
}

std::string lacking_room(const Json& node, const Amounts& used, const Amounts& wanted) {
  const Amounts all = api::allocatable_of(node);
  const auto amount_in = [](const Amounts& amounts, const std::string& resource) {
    const auto it = amounts.find(resource);
    return it == amounts.end() ? 0 : it->second;
  };
  for (const auto& [resource, amount] : wanted) {
    const int64_t total = amount_in(all, resource);
    const int64_t free = std::max<int64_t>(0, total - amount_in(used, resource));
    if (amount <= free) continue;
    return "Insufficient " + resource + ": " + format(resource, amount) + " wanted, " +
           format(resource, free) + " of " + format(resource, total) + " free";
  }
  return "";
}

}  // namespace pelton::apiserver
