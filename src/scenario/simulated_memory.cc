// SPDX-License-Identifier: Apache-2.0
#include "scenario/simulated_memory.h"

#include "decide/checkpoint/memory.h"

namespace pelton::scenario {
namespace {

using decide::checkpoint::Holding;

constexpr size_t kAreas = 2;
constexpr size_t kHeldVersions = 4;  // as launch/supervisor.cc

}  // namespace

void SimulatedMemory::make_room(Versions& versions, const Part& part) {
  std::vector<std::optional<Version>> areas;
  for (const auto& [version, held] : versions) {
    if (version != part.version && held.parts.contains(part.writer)) areas.emplace_back(version);
  }
  if (areas.size() < kAreas) return;
  const size_t area =
      decide::checkpoint::decide_area(areas, part.version.generation, part.restored);
  const auto given_up = versions.find(*areas[area]);
  given_up->second.parts.erase(part.writer);
  if (given_up->second.parts.empty()) versions.erase(given_up);
}

void SimulatedMemory::begin(const std::string& node, const Part& part) {
  make_room(nodes_[node][part.job_uid], part);
}

void SimulatedMemory::put(const std::string& node, const Part& part) {
  Versions& versions = nodes_[node][part.job_uid];
  make_room(versions, part);
  Held& held = versions[part.version];
  held.writers = part.writers;
  held.parts.emplace(part.writer, clock_.now());
}

void SimulatedMemory::publish(const std::string& node, const Part& part,
                              const std::vector<std::string>& targets, base::Duration copying) {
  put(node, part);
  for (const std::string& target : targets) {
    timers_.after(copying, [this, node, part, target] {
      // Gone from there, by a death or a newer save: then there is nothing to be sent.
      const auto from = nodes_.find(node);
      if (from == nodes_.end()) return;
      const auto version = from->second[part.job_uid].find(part.version);
      if (version == from->second[part.job_uid].end()) return;
      if (version->second.parts.contains(part.writer)) put(target, part);
    });
  }
}

void SimulatedMemory::forget(const std::string& job_uid) {
  for (auto& [name, jobs] : nodes_) jobs.erase(job_uid);
}

std::vector<Holding> SimulatedMemory::held(const std::string& node,
                                           const std::string& job_uid) const {
  std::vector<Holding> all;
  const auto found = nodes_.find(node);
  if (found == nodes_.end() || !found->second.contains(job_uid)) return all;
  const Versions& versions = found->second.at(job_uid);
  for (auto each = versions.rbegin(); each != versions.rend(); ++each) {
    if (all.size() >= kHeldVersions) break;
    Holding holding{each->first, each->second.writers, {}};
    for (const auto& [writer, at] : each->second.parts) holding.parts.push_back(writer);
    all.push_back(std::move(holding));
  }
  return all;
}

bool SimulatedMemory::is_whole(const std::string& job_uid, const std::set<std::string>& nodes,
                               const Version& version) const {
  std::set<int> parts;
  int writers = 0;
  for (const std::string& name : nodes) {
    const auto node = nodes_.find(name);
    if (node == nodes_.end() || !node->second.contains(job_uid)) continue;
    const auto held = node->second.at(job_uid).find(version);
    if (held == node->second.at(job_uid).end()) continue;
    writers = held->second.writers;
    for (const auto& [writer, at] : held->second.parts) parts.insert(writer);
  }
  return writers > 0 && static_cast<int>(parts.size()) == writers;
}

std::optional<SimulatedMemory::Version> SimulatedMemory::newest_whole(
    const std::string& job_uid, const std::set<std::string>& nodes, base::Instant before) const {
  std::map<Version, std::pair<int, std::set<int>>> all;
  for (const std::string& name : nodes) {
    const auto node = nodes_.find(name);
    if (node == nodes_.end() || !node->second.contains(job_uid)) continue;
    for (const auto& [version, held] : node->second.at(job_uid)) {
      auto& [writers, parts] = all[version];
      writers = held.writers;
      for (const auto& [writer, at] : held.parts) {
        if (at < before) parts.insert(writer);
      }
    }
  }
  for (auto each = all.rbegin(); each != all.rend(); ++each) {
    const auto& [writers, parts] = each->second;
    if (static_cast<int>(parts.size()) == writers) return each->first;
  }
  return std::nullopt;
}

}  // namespace pelton::scenario
