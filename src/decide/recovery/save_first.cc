// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/save_first.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pelton::decide::recovery {
namespace {

/// What the member says of this generation; nullptr: nothing yet.
const PodReport* report_of(const Evidence& evidence, const Generation& generation,
                           const Member& member) {
  const auto pod = evidence.pods.find(member.pod_uid);
  if (pod == evidence.pods.end() || pod->second->report.generation != generation.number) {
    return nullptr;
  }
  return &pod->second->report;
}

/// The newest step that a member says is durable; -1: none.
int64_t saved_step_of(const Evidence& evidence, const Generation& generation) {
  int64_t step = -1;
  for (const Member& member : generation.members) {
    const PodReport* report = report_of(evidence, generation, member);
    if (report != nullptr) step = std::max(step, report->saved_step);
  }
  return step;
}

}  // namespace

int64_t durable_step_of(const Evidence& evidence, const JobRecord& record) {
  if (!record.generation.save_by) return record.durable_step;
  return std::max(record.durable_step, saved_step_of(evidence, record.generation));
}

SaveFirst save_first(const Evidence& evidence, const Generation& generation, SaveBy wanted,
                     base::Instant now, base::Instant latest) {
  constexpr int64_t kNsPerMs = 1'000'000;  // as workers are told it
  wanted.at = base::Instant::from_unix_ns(wanted.at.unix_ns() / kNsPerMs * kNsPerMs);
  SaveFirst first{generation.save_by, false, ""};
  bool is_any_answering = false;
  bool do_all_know = true;
  for (const Member& member : generation.members) {
    const PodReport* report = report_of(evidence, generation, member);
    is_any_answering = is_any_answering || (report != nullptr && report->answers_saves);
    do_all_know = do_all_know && report != nullptr && report->told_save_by == wanted.at;
  }
  if (!is_any_answering || now >= wanted.at) return first;
  const int64_t saved = saved_step_of(evidence, generation);
  if (!first.save_by || first.save_by->at != wanted.at) {
    wanted.after = saved;
    first.save_by = std::move(wanted);
  } else {
    first.save_by->is_known = first.save_by->is_known || do_all_know;
  }
  first.is_awaited = saved <= first.save_by->after && now < latest;
  first.waits_for = fmt::format("node {} is to go ({}): a checkpoint is saved before",
                                first.save_by->node, first.save_by->cause);
  return first;
}

}  // namespace pelton::decide::recovery
