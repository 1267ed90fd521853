// SPDX-License-Identifier: Apache-2.0
#include "scenario/condensed_members.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pelton::scenario {

using decide::recovery::Member;

namespace {

constexpr char kStretch = 's';

/// The two numbers of "n12/3" or "s100/5000".
std::pair<int, int> numbers_in(const std::string& uid) {
  int first = 0, second = 0;
  const char* const end = uid.data() + uid.size();
  const auto read = std::from_chars(uid.data() + 1, end, first);
  std::from_chars(std::min(read.ptr + 1, end), end, second);
  return {first, second};
}

}  // namespace

CondensedMembers::CondensedMembers(int nodes, int ranks_per_node, int nodes_per_replica)
    : ranks_per_node_(ranks_per_node),
      nodes_per_replica_(nodes_per_replica),
      positions_(static_cast<size_t>(nodes), -1) {}

void CondensedMembers::set(std::vector<Place> order) {
  for (const Place& place : order_) positions_[static_cast<size_t>(place.node)] = -1;
  order_ = std::move(order);
  for (size_t i = 0; i < order_.size(); ++i) {
    positions_[static_cast<size_t>(order_[i].node)] = static_cast<int>(i);
  }
}

bool CondensedMembers::contains(Place place) const {
  const int position = position_of(place.node);
  return position >= 0 && order_[static_cast<size_t>(position)] == place;
}

Member CondensedMembers::member_of(Place place) const {
  return {.pod = fmt::format("n{}", place.node),
          .pod_uid = fmt::format("n{}/{}", place.node, place.incarnation),
          .node = fmt::format("n{}", place.node),
          .address = {},
          .ranks = ranks_per_node_};
}

Member CondensedMembers::stretch(int from, int to) const {
  return {.pod = fmt::format("s{}", from),
          .pod_uid = fmt::format("{}{}/{}", kStretch, from, to),
          .node = fmt::format("s{}", from),
          .address = {},
          .ranks = (to - from) * ranks_per_node_};
}

bool CondensedMembers::is_stretch(const Member& member) {
  return member.pod_uid.starts_with(kStretch);
}

CondensedMembers::Place CondensedMembers::place_of(const Member& member) {
  const auto [node, incarnation] = numbers_in(member.pod_uid);
  return {node, incarnation};
}

std::vector<Member> CondensedMembers::condense(const std::set<int>& nodes) const {
  std::set<int> replicas = {0};
  for (const int node : nodes) {
    if (position_of(node) >= 0) replicas.insert(position_of(node) / nodes_per_replica_);
  }
  // Narrower worlds leave the last ones out, and a stretch cannot be divided.
  const int last = (width() - 1) / nodes_per_replica_;
  for (int spared = static_cast<int>(replicas.size()); spared >= 0; --spared) {
    replicas.insert(std::max(last - spared, 0));
  }
  std::vector<Member> members;
  int done = 0;
  for (const int replica : replicas) {
    const int from = std::min(replica * nodes_per_replica_, width());
    const int to = std::min(from + nodes_per_replica_, width());
    if (from > done) members.push_back(stretch(done, from));
    for (int i = from; i < to; ++i) members.push_back(member_of(order_[static_cast<size_t>(i)]));
    done = to;
  }
  if (done < width()) members.push_back(stretch(done, width()));
  return members;
}

CondensedMembers::Change CondensedMembers::replace_all(std::vector<Place> order) {
  Change change;
  const std::vector<Place> before = std::move(order_);
  order_.clear();
  for (const Place& place : before) positions_[static_cast<size_t>(place.node)] = -1;
  set(std::move(order));
  for (const Place& place : before) {
    if (!contains(place)) change.left.push_back(place);
  }
  if (before.size() - change.left.size() == order_.size()) return change;
  std::vector<int> old(positions_.size(), -1);
  for (const Place& place : before) old[static_cast<size_t>(place.node)] = place.incarnation;
  for (const Place& place : order_) {
    if (old[static_cast<size_t>(place.node)] != place.incarnation) change.came.push_back(place);
  }
  return change;
}

CondensedMembers::Change CondensedMembers::apply(const std::vector<Member>& before,
                                                 const std::vector<Member>& after) {
  const bool is_same_shape = std::equal(
      before.begin(), before.end(), after.begin(), after.end(), [](const auto& a, const auto& b) {
        return a.ranks == b.ranks && (a.pod_uid == b.pod_uid || (!is_stretch(a) && !is_stretch(b)));
      });
  if (!is_same_shape) {
    std::vector<Place> order;
    order.reserve(order_.size());
    for (const Member& member : after) {
      if (!is_stretch(member)) {
        order.push_back(place_of(member));
        continue;
      }
      const auto [from, to] = numbers_in(member.pod_uid);
      order.insert(order.end(), order_.begin() + from, order_.begin() + to);
    }
    return replace_all(std::move(order));
  }
  Change change;
  std::vector<int> at;
  int position = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    if (before[i].pod_uid != after[i].pod_uid) {
      change.left.push_back(place_of(before[i]));
      change.came.push_back(place_of(after[i]));
      at.push_back(position);
    }
    position += before[i].ranks / ranks_per_node_;
  }
  for (const Place& place : change.left) positions_[static_cast<size_t>(place.node)] = -1;
  for (size_t i = 0; i < at.size(); ++i) {
    order_[static_cast<size_t>(at[i])] = change.came[i];
    positions_[static_cast<size_t>(change.came[i].node)] = at[i];
  }
  return change;
}

}  // namespace pelton::scenario
