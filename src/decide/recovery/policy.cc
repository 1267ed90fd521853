// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/policy.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pelton::decide::recovery {
namespace {

using base::Json;

constexpr std::array<std::pair<Rung, const char*>, 10> kRungs = {
    {{Rung::Start, "Start"},
     {Rung::RestartInPlace, "RestartInPlace"},
     {Rung::RestartPod, "RestartPod"},
     {Rung::SwapSpare, "SwapSpare"},
     {Rung::Shrink, "Shrink"},
     {Rung::ChangeMesh, "ChangeMesh"},
     {Rung::Wait, "Wait"},
     {Rung::Grow, "Grow"},
     {Rung::Finish, "Finish"},
     {Rung::Stop, "Stop"}}};

/// `value` becomes the field's number where it is there.
base::Status read(const Json& object, const char* prefix, const char* name, int least, int& value) {
  const Json& json = object[name];
  if (json.is_null()) return base::ok();
  constexpr int64_t kMax = 1'000'000;
  if (!json.is_int() || json.as_int() < least || json.as_int() > kMax) {
    return base::invalid_argument(
        fmt::format("{}.{}: must be an integer from {} to {}", prefix, name, least, kMax));
  }
  value = static_cast<int>(json.as_int());
  return base::ok();
}

base::Status read_meshes(const Json& meshes, Policy& policy) {
  for (size_t i = 0; i < meshes.size(); ++i) {
    Mesh mesh;
    mesh.name = meshes[i]["name"].as_string();
    PELTON_TRY(read(meshes[i], fmt::format("spec.meshes[{}]", i).c_str(), "ranks", 1, mesh.ranks));
    if (mesh.ranks == 0) {
      return base::invalid_argument(fmt::format("spec.meshes[{}].ranks: required", i));
    }
    policy.meshes.push_back(std::move(mesh));
  }
  return base::ok();
}

base::Status read_rungs(const Json& rungs, Policy& policy) {
  if (!rungs.is_array()) return base::ok();
  const std::set<Rung> all = std::exchange(policy.rungs, {});
  for (size_t i = 0; i < rungs.size(); ++i) {
    const std::string field = fmt::format("spec.rungs[{}]", i);
    PELTON_ASSIGN(const Rung rung, rung_of(rungs[i], field));
    if (!all.contains(rung)) {
      return base::invalid_argument(
          fmt::format("{}: {} is no rung that can be left out", field, rung_name(rung)));
    }
    policy.rungs.insert(rung);
  }
  return base::ok();
}

base::Status read_tiers(const Json& tiers, Policy& policy) {
  if (tiers.is_null()) return base::ok();
  policy.tiers.clear();
  for (size_t i = 0; i < tiers.size(); ++i) {
    const std::string& name = tiers[i].as_string();
    if (name != "Memory" && name != "Peers") {
      return base::invalid_argument(
          fmt::format("spec.tiers[{}]: \"{}\" is none of Memory, Peers", i, name));
    }
    policy.tiers.insert(name == "Memory" ? Tier::Memory : Tier::Peers);
  }
  if (policy.tiers.contains(Tier::Peers) && !policy.tiers.contains(Tier::Memory)) {
    return base::invalid_argument(
        "spec.tiers: Peers hold copies of what Memory has: list Memory, too");
  }
  if (!policy.tiers.contains(Tier::Peers)) policy.memory_replicas = 0;
  return base::ok();
}

}  // namespace

const char* rung_name(Rung rung) {
  for (const auto& [each, name] : kRungs) {
    if (each == rung) return name;
  }
  return "";
}

base::Result<Rung> rung_of(const Json& json, const std::string& field) {
  std::string allowed;
  for (const auto& [each, name] : kRungs) {
    if (json.as_string() == name) return each;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  return base::invalid_argument(
      fmt::format("{}: \"{}\" is none of {}", field, json.as_string(), allowed));
}

base::Result<Policy> policy_of(const Json& spec) {
  Policy policy;
  PELTON_TRY(read(spec, "spec", "minReplicas", 1, policy.min_replicas));
  PELTON_TRY(read(spec, "spec", "maxReplicas", 1, policy.max_replicas));
  PELTON_TRY(read(spec, "spec", "ranksPerReplica", 1, policy.ranks_per_replica));
  PELTON_TRY(read(spec, "spec", "spares", 0, policy.spares));
  PELTON_TRY(read(spec, "spec", "memoryReplicas", 0, policy.memory_replicas));
  if (policy.max_replicas > 0 && policy.min_replicas > policy.max_replicas) {
    return base::invalid_argument(
        fmt::format("spec.minReplicas: {} is more than spec.maxReplicas, {}: lower the one or "
                    "raise the other",
                    policy.min_replicas, policy.max_replicas));
  }
  PELTON_TRY(read_tiers(spec["tiers"], policy));
  PELTON_TRY(read_meshes(spec["meshes"], policy));
  PELTON_TRY(read_rungs(spec["rungs"], policy));
  const Json& budget = spec["budget"];
  int seconds = static_cast<int>(policy.budget.window.ms() / 1000);
  PELTON_TRY(read(budget, "spec.budget", "windowSeconds", 1, seconds));
  policy.budget.window = base::Duration::seconds(seconds);
  PELTON_TRY(read(budget, "spec.budget", "generations", 1, policy.budget.generations));
  PELTON_TRY(read(budget, "spec.budget", "podReplacements", 0, policy.budget.pod_replacements));
  PELTON_TRY(read(budget, "spec.budget", "quarantines", 0, policy.budget.quarantines));
  return policy;
}

std::vector<int> allowed_worlds(const Policy& policy, int total, int per_pod) {
  const int usable = total - policy.spares * per_pod;
  int most = usable / policy.ranks_per_replica;
  if (policy.max_replicas > 0) most = std::min(most, policy.max_replicas);
  const int least = policy.min_replicas > 0   ? policy.min_replicas
                    : policy.max_replicas > 0 ? policy.max_replicas
                                              : most;
  std::vector<int> worlds;
  for (int replicas = most; replicas >= std::max(least, 1); --replicas) {
    const int world = replicas * policy.ranks_per_replica;
    if (world % per_pod == 0) worlds.push_back(world);
  }
  if (policy.meshes.empty()) return worlds;
  for (const Mesh& mesh : policy.meshes) {
    if (mesh.ranks <= usable && mesh.ranks % per_pod == 0) worlds.push_back(mesh.ranks);
  }
  std::sort(worlds.rbegin(), worlds.rend());
  worlds.erase(std::unique(worlds.begin(), worlds.end()), worlds.end());
  return worlds;
}

}  // namespace pelton::decide::recovery
