// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/restore_choice.h"

#include <algorithm>
#include <set>
#include <utility>
#include <vector>

namespace pelton::decide::recovery {
namespace {

/// What the member's supervisor said last; nullptr: its pod is gone.
const PodReport* report_of(const Evidence& evidence, const Member& member) {
  const auto pod = evidence.pods.find(member.pod_uid);
  return pod == evidence.pods.end() ? nullptr : &pod->second->report;
}

/// The newest version that the members hold together, that none of them has found damaged, and that
/// is not older than what is known to be durable.
std::optional<checkpoint::MemoryVersion> restorable(const Evidence& evidence,
                                                    const JobRecord& record) {
  std::vector<std::vector<checkpoint::Holding>> held;
  for (const Member& member : record.generation.members) {
    if (const PodReport* report = report_of(evidence, member)) held.push_back(report->held);
  }
  std::set<checkpoint::MemoryVersion> damaged;
  for (const PastGeneration& past : record.history) {
    if (past.failure.cause == kDamaged && past.restore) damaged.insert(*past.restore);
  }
  auto newest = checkpoint::newest_complete(held, damaged);
  if (newest && newest->step < record.durable_step) newest.reset();
  return newest;
}

}  // namespace

void choose_restore(const Evidence& evidence, JobRecord& record) {
  Generation& next = record.generation;
  bool is_any_held = false;
  bool is_quiet = true;
  for (const Member& member : next.members) {
    const PodReport* report = report_of(evidence, member);
    if (report == nullptr) continue;
    is_any_held = is_any_held || !report->held.empty();
    is_quiet = is_quiet && report->quiet_before >= next.number;
  }
  next.is_restore_open = is_any_held && !is_quiet;
  if (is_any_held && is_quiet) next.restore = restorable(evidence, record);
}

std::string settle_restore(const Evidence& evidence, JobRecord& record) {
  Generation& generation = record.generation;
  std::string missing;
  for (const Member& member : generation.members) {
    const PodReport* report = report_of(evidence, member);
    const bool has_said = report != nullptr && report->generation == generation.number &&
                          report->quiet_before >= generation.number;
    if (!has_said) missing += (missing.empty() ? "" : ", ") + member.pod;
  }
  if (!missing.empty()) return missing;
  generation.is_restore_open = false;
  generation.restore = restorable(evidence, record);
  return "";
}

}  // namespace pelton::decide::recovery
