// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/node_lifecycle/taints.h"

#include <algorithm>

namespace pelton::decide::workload {
namespace {

using base::Instant;
using base::Json;

bool is_condition_taint(const Json& taint) {
  const std::string& key = taint["key"].as_string();
  return key == kUnreachable || key == kNotReady;
}

/// When this taint makes the pod leave; nullopt: tolerated for ever.
std::optional<Instant> leave_for(const Json& taint, const Json& pod) {
  auto added = base::parse_time(taint["timeAdded"].as_string());
  const Instant since = added.ok() ? *added : Instant();
  std::optional<int64_t> seconds;
  bool is_tolerated = false;
  for (const Json& toleration : pod["spec"]["tolerations"].items()) {
    if (!tolerates(toleration, taint)) continue;
    is_tolerated = true;
    const Json& limit = toleration["tolerationSeconds"];
    if (!limit.is_int()) continue;
    const int64_t value = std::max<int64_t>(limit.as_int(), 0);
    seconds = seconds ? std::min(*seconds, value) : value;
  }
  if (!is_tolerated) return since;
  if (!seconds) return std::nullopt;
  return since + base::Duration::seconds(*seconds);
}

}  // namespace

bool tolerates(const Json& toleration, const Json& taint) {
  const std::string& effect = toleration["effect"].as_string();
  if (!effect.empty() && effect != taint["effect"].as_string()) return false;
  const std::string& key = toleration["key"].as_string();
  const bool exists = toleration["operator"].as_string() == "Exists";
  if (key.empty()) return exists;
  if (key != taint["key"].as_string()) return false;
  return exists || toleration["value"].as_string() == taint["value"].as_string();
}

bool apply_condition_taints(Json& node, std::string_view ready_status, Instant now) {
  const std::string_view wanted = ready_status == "Unknown" ? kUnreachable
                                  : ready_status == "False" ? kNotReady
                                                            : std::string_view();
  Json taints = Json::array();
  bool has_schedule = wanted.empty();
  bool has_execute = wanted.empty();
  bool changed = false;
  for (const Json& taint : node["spec"]["taints"].items()) {
    if (is_condition_taint(taint) && taint["key"].as_string() != wanted) {
      changed = true;
      continue;
    }
    if (taint["key"].as_string() == wanted) {
      has_schedule = has_schedule || taint["effect"].as_string() == "NoSchedule";
      has_execute = has_execute || taint["effect"].as_string() == "NoExecute";
    }
    taints.push_back(taint);
  }
  const auto add = [&](const char* effect) {
    changed = true;
    taints.push_back(
        Json::object({{"key", wanted}, {"effect", effect}, {"timeAdded", base::format_time(now)}}));
  };
  if (!has_schedule) add("NoSchedule");
  if (!has_execute) add("NoExecute");
  if (!changed) return false;
  Json& spec = node.child("spec");
  if (taints.empty()) {
    spec.erase("taints");
  } else {
    spec.set("taints", std::move(taints));
  }
  return true;
}

std::optional<Instant> eviction_time(const Json& node, const Json& pod) {
  std::optional<Instant> earliest;
  for (const Json& taint : node["spec"]["taints"].items()) {
    if (taint["effect"].as_string() != "NoExecute") continue;
    const auto at = leave_for(taint, pod);
    if (at && (!earliest || *at < *earliest)) earliest = at;
  }
  return earliest;
}

}  // namespace pelton::decide::workload
