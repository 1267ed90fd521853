// SPDX-License-Identifier: Apache-2.0
// RecoveryPolicy's rules.
#include <fmt/format.h>

#include <set>

#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

constexpr int64_t kRanksMax = 1'000'000;

void check_count(Findings& findings, const Path& path, const Json& value, int64_t least) {
  check_at_least(findings, path, value, least);
  if (value.is_int() && value.as_int() > kRanksMax) {
    findings.invalid(path, value, fmt::format("must be less than or equal to {}", kRanksMax));
  }
}

void check_meshes(Findings& findings, const Path& path, const Json& meshes) {
  std::set<std::string> names;
  size_t index = 0;
  for (const Json& mesh : meshes.items()) {
    const Path at = path[index++];
    const std::string& name = mesh["name"].as_string();
    if (name.empty()) {
      findings.required(at / "name");
    } else if (!names.insert(name).second) {
      findings.duplicate(at / "name", name);
    }
    check_count(findings, at / "ranks", mesh["ranks"], 1);
  }
}

}  // namespace

void validate_recovery_policy(Findings& findings, const Json& policy) {
  const Json& spec = policy["spec"];
  const Path path("spec");
  for (const char* field : {"minReplicas", "maxReplicas", "ranksPerReplica"}) {
    check_count(findings, path / field, spec[field], 1);
  }
  check_count(findings, path / "spares", spec["spares"], 0);
  check_count(findings, path / "memoryReplicas", spec["memoryReplicas"], 0);
  if (spec["minReplicas"].is_int() && spec["maxReplicas"].is_int() &&
      spec["minReplicas"].as_int() > spec["maxReplicas"].as_int()) {
    findings.invalid(path / "minReplicas", spec["minReplicas"],
                     fmt::format("must be less than or equal to spec.maxReplicas, {}",
                                 spec["maxReplicas"].as_int()));
  }
  check_meshes(findings, path / "meshes", spec["meshes"]);
  size_t index = 0;
  for (const Json& rung : spec["rungs"].items()) {
    check_one_of(findings, (path / "rungs")[index++], rung,
                 {"RestartInPlace", "RestartPod", "SwapSpare", "Shrink", "ChangeMesh", "Grow"});
  }
  index = 0;
  bool has_memory = spec["tiers"].is_null(), has_peers = false;
  for (const Json& tier : spec["tiers"].items()) {
    check_one_of(findings, (path / "tiers")[index++], tier, {"Memory", "Peers"});
    has_memory = has_memory || tier.as_string() == "Memory";
    has_peers = has_peers || tier.as_string() == "Peers";
  }
  if (has_peers && !has_memory) {
    findings.invalid(path / "tiers", spec["tiers"],
                     "Peers hold copies of what Memory has: list Memory, too");
  }
  const Path budget = path / "budget";
  check_count(findings, budget / "windowSeconds", spec["budget"]["windowSeconds"], 1);
  check_count(findings, budget / "generations", spec["budget"]["generations"], 1);
  check_count(findings, budget / "podReplacements", spec["budget"]["podReplacements"], 0);
  check_count(findings, budget / "quarantines", spec["budget"]["quarantines"], 0);
}

}  // namespace pelton::api
