// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/job_record.h"

#include <algorithm>
#include <utility>

#include "api/object.h"

namespace pelton::decide::recovery {
namespace {

using base::Instant;
using base::Json;

Instant time_of(const Json& json) {
  const base::Result<Instant> time = base::parse_time(json.as_string());
  return time.ok() ? *time : Instant();
}

void put_time(Json& json, const char* name, Instant time) {
  if (time != Instant()) json.set(name, base::format_micro_time(time));
}

void put_text(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) json.set(name, text);
}

void put_step(Json& json, const char* name, int64_t step) {
  if (step >= 0) json.set(name, step);
}

Rung rung_in(const Json& json) {
  const base::Result<Rung> rung = rung_of(json, "rung");
  return rung.ok() ? *rung : Rung::Wait;
}

Json to_json(const Alternative& alternative) {
  Json json = Json::object({{"rung", rung_name(alternative.rung)},
                            {"possible", alternative.possible},
                            {"lostAcceleratorSeconds", alternative.lost_accelerator_seconds}});
  put_text(json, "why", alternative.why);
  return json;
}

Json to_json(const LastDecision& last) {
  Json::Array alternatives;
  for (const Alternative& alternative : last.alternatives) {
    alternatives.push_back(to_json(alternative));
  }
  Json json = Json::object({{"rung", rung_name(last.rung)}, {"reason", last.reason}});
  put_time(json, "at", last.at);
  if (!alternatives.empty()) json.set("alternatives", std::move(alternatives));
  return json;
}

LastDecision last_of(const Json& json) {
  LastDecision last;
  last.rung = rung_in(json["rung"]);
  last.reason = json["reason"].as_string();
  last.at = time_of(json["at"]);
  for (const Json& each : json["alternatives"].items()) {
    last.alternatives.push_back({rung_in(each["rung"]), each["possible"].as_bool(),
                                 each["lostAcceleratorSeconds"].as_double(),
                                 each["why"].as_string()});
  }
  return last;
}

void put_failure(Json& json, const Failure& failure) {
  if (failure.cause.empty()) return;
  json.set("cause", failure.cause);
  put_text(json, "detail", failure.detail);
  if (failure.rank >= 0) json.set("rank", failure.rank);
  put_text(json, "podUID", failure.pod_uid);
  put_text(json, "node", failure.node);
  put_step(json, "failedStep", failure.step);
  put_time(json, "failedAt", failure.at);
}

Json to_json(const PastGeneration& past) {
  Json json = Json::object({{"number", past.number},
                            {"phase", phase_name(past.phase)},
                            {"rung", rung_name(past.rung)},
                            {"worldSize", past.world_size},
                            {"fullWorldSize", past.full_world_size}});
  if (past.folded > 0) json.set("folded", past.folded);
  if (past.sums) json.set("sums", goodput::to_json(*past.sums));
  put_text(json, "reason", past.reason);
  put_time(json, "began", past.began);
  put_time(json, "ended", past.ended);
  put_failure(json, past.failure);
  put_step(json, "firstStep", past.first_step);
  put_step(json, "lastStep", past.last_step);
  put_time(json, "firstStepAt", past.first_step_at);
  put_time(json, "lastStepAt", past.last_step_at);
  for (const auto& [phase, seconds] : past.phase_seconds) {
    json.child("phaseSeconds").set(phase, seconds);
  }
  if (past.restore) {
    json.set("restore", Json::object({{"generation", past.restore->generation},
                                      {"step", past.restore->step}}));
  }
  return json;
}

Generation::Phase phase_in(const Json& json) {
  using enum Generation::Phase;
  for (const Generation::Phase phase : {Running, Finished, Failed, Waiting}) {
    if (json.as_string() == phase_name(phase)) return phase;
  }
  return Waiting;
}

PastGeneration past_of(const Json& json) {
  PastGeneration past;
  past.number = json["number"].as_int();
  past.folded = json["folded"].as_int();
  past.sums = goodput::folded_of(json["sums"]);
  past.phase = phase_in(json["phase"]);
  past.rung = rung_in(json["rung"]);
  past.began = time_of(json["began"]);
  past.ended = time_of(json["ended"]);
  past.world_size = static_cast<int>(json["worldSize"].as_int());
  past.full_world_size = static_cast<int>(json["fullWorldSize"].as_int());
  past.reason = json["reason"].as_string();
  past.failure = {json["cause"].as_string(),
                  json["detail"].as_string(),
                  static_cast<int>(json["rank"].as_int(-1)),
                  json["podUID"].as_string(),
                  json["node"].as_string(),
                  json["failedStep"].as_int(-1),
                  time_of(json["failedAt"])};
  past.first_step = json["firstStep"].as_int(-1);
  past.last_step = json["lastStep"].as_int(-1);
  past.first_step_at = time_of(json["firstStepAt"]);
  past.last_step_at = time_of(json["lastStepAt"]);
  for (const Json::Member& phase : json["phaseSeconds"].members()) {
    past.phase_seconds[phase.name] = phase.value.as_double();
  }
  if (const Json& restore = json["restore"]; restore.is_object()) {
    past.restore = {restore["generation"].as_int(), restore["step"].as_int()};
  }
  return past;
}

Json to_json(const Replacement& replacement) {
  Json json = Json::object({{"pod", replacement.pod}, {"podUID", replacement.pod_uid}});
  put_text(json, "node", replacement.node);
  put_text(json, "why", replacement.why);
  if (replacement.force) json.set("force", true);
  put_time(json, "at", replacement.at);
  return json;
}

const char* quarantine_name(NodeMemory::Quarantine quarantine) {
  return quarantine == NodeMemory::Quarantine::Due    ? "Due"
         : quarantine == NodeMemory::Quarantine::Done ? "Done"
                                                      : "";
}

void fold(PastGeneration& into, const PastGeneration& next) {
  into.folded = std::max<int64_t>(into.folded, 1) + std::max<int64_t>(next.folded, 1);
  into.number = next.number;
  into.ended = next.ended;
  into.failure = next.failure;
  into.restore = next.restore;
  into.world_size = std::min(into.world_size, next.world_size);
  into.last_step = std::max(into.last_step, next.last_step);
  into.last_step_at = std::max(into.last_step_at, next.last_step_at);
  if (into.first_step < 0) {
    into.first_step = next.first_step;
    into.first_step_at = next.first_step_at;
  }
  for (const auto& [phase, seconds] : next.phase_seconds) into.phase_seconds[phase] += seconds;
}

/// From the entry at `first` on.
Json history_json(const JobRecord& record, size_t first) {
  Json::Array history;
  for (size_t i = first; i < record.history.size(); ++i) {
    history.push_back(to_json(record.history[i]));
  }
  return history;
}

}  // namespace

Json to_json(const JobRecord& record) {
  Json json = Json::object({{"name", record.name}, {"uid", record.uid}});
  if (record.attempt > 0) json.set("attempt", record.attempt);
  if (record.generation.number > 0) {
    json.set("fullWorldSize", record.full_world_size);
    json.set("generation", recovery::to_json(record.generation));
    json.set("lastDecision", to_json(record.last));
  }
  put_step(json, "durableStep", record.durable_step);
  if (!record.history.empty()) json.set("history", history_json(record, 0));
  Json::Array replaced;
  for (const Replacement& each : record.replaced) replaced.push_back(to_json(each));
  if (!replaced.empty()) json.set("replaced", std::move(replaced));
  if (!record.conditions.empty()) json.set("conditions", Json(record.conditions));
  return json;
}

JobRecord job_record_of(const Json& json) {
  JobRecord record;
  record.name = json["name"].as_string();
  record.uid = json["uid"].as_string();
  record.attempt = json["attempt"].as_int();
  record.full_world_size = static_cast<int>(json["fullWorldSize"].as_int());
  base::Result<Generation> generation = generation_of(json["generation"]);
  if (generation.ok()) record.generation = *std::move(generation);
  record.last = last_of(json["lastDecision"]);
  record.durable_step = json["durableStep"].as_int(-1);
  for (const Json& past : json["history"].items()) record.history.push_back(past_of(past));
  for (const Json& each : json["replaced"].items()) {
    record.replaced.push_back({each["pod"].as_string(), each["podUID"].as_string(),
                               each["node"].as_string(), each["why"].as_string(),
                               each["force"].as_bool(), time_of(each["at"])});
  }
  record.conditions = json["conditions"].items();
  return record;
}

Json to_json(const NodeMemories& nodes) {
  Json::Array all;
  for (const auto& [name, memory] : nodes) {
    Json::Array failures;
    for (const Instant at : memory.failures) failures.push_back(base::format_micro_time(at));
    Json json = Json::object({{"name", name}, {"failures", std::move(failures)}});
    put_text(json, "cause", memory.cause);
    put_text(json, "quarantine", quarantine_name(memory.quarantine));
    put_time(json, "quarantinedAt", memory.quarantined_at);
    all.push_back(std::move(json));
  }
  return all;
}

NodeMemories node_memories_of(const Json& json) {
  NodeMemories nodes;
  for (const Json& each : json.items()) {
    NodeMemory& memory = nodes[each["name"].as_string()];
    for (const Json& at : each["failures"].items()) memory.failures.push_back(time_of(at));
    memory.cause = each["cause"].as_string();
    memory.quarantined_at = time_of(each["quarantinedAt"]);
    for (const auto state : {NodeMemory::Quarantine::Due, NodeMemory::Quarantine::Done}) {
      if (each["quarantine"].as_string() == quarantine_name(state)) memory.quarantine = state;
    }
  }
  return nodes;
}

void remember(JobRecord& record, PastGeneration past) {
  record.history.push_back(std::move(past));
  while (record.history.size() > JobRecord::kHistoryMax) {
    std::optional<goodput::Folded>& sums = record.history[0].sums;
    // Where an older version of ours has folded without them they are of what it has left.
    if (!sums) goodput::fold_oldest(sums.emplace(), history_json(record, 0));
    goodput::fold_oldest(*sums, history_json(record, 1));
    fold(record.history[0], record.history[1]);
    record.history.erase(record.history.begin() + 1);
  }
}

}  // namespace pelton::decide::recovery
