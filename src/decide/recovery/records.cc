// SPDX-License-Identifier: Apache-2.0
#include "decide/recovery/records.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "api/object.h"

namespace pelton::decide::recovery {
namespace {

using base::Json;

template <typename E>
using Names = std::vector<std::pair<E, const char*>>;

const Names<Generation::Phase>& phases() {
  using enum Generation::Phase;
  static const Names<Generation::Phase> all = {
      {Running, "Running"}, {Finished, "Finished"}, {Failed, "Failed"}, {Waiting, "Waiting"}};
  return all;
}

const Names<WorkerState>& states() {
  using enum WorkerState;
  static const Names<WorkerState> all = {
      {Starting, "Starting"}, {Running, "Running"}, {Succeeded, "Succeeded"},
      {Exited, "Exited"},     {Raised, "Raised"},   {Hung, "Hung"},
      {Slow, "Slow"}};
  return all;
}

const Names<PodReport::Stage>& stages() {
  using enum PodReport::Stage;
  static const Names<PodReport::Stage> all = {{Joined, "Joined"},
                                              {Running, "Running"},
                                              {Stopped, "Stopped"},
                                              {Succeeded, "Succeeded"},
                                              {Refused, "Refused"}};
  return all;
}

template <typename E>
const char* name_in(const Names<E>& all, E value) {
  for (const auto& [each, name] : all) {
    if (each == value) return name;
  }
  return "";
}

template <typename E>
base::Result<E> value_in(const Names<E>& all, const Json& json, std::string_view field) {
  std::string allowed;
  for (const auto& [each, name] : all) {
    if (json.as_string() == name) return each;
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  return base::invalid_argument(
      fmt::format("{}: \"{}\" is none of {}", field, json.as_string(), allowed));
}

base::Result<base::Instant> time_in(const Json& json, std::string_view field) {
  if (json.is_null()) return base::Instant();
  base::Result<base::Instant> time = base::parse_time(json.as_string());
  if (!time.ok())
    return base::invalid_argument(fmt::format("{}: {}", field, time.error().message()));
  return time;
}

/// An integer from `least` to what an int holds.
base::Result<int> count_in(const Json& json, int least, std::string_view field) {
  const int64_t value = json.as_int(least);
  if ((!json.is_null() && !json.is_int()) || value < least || value > 1'000'000) {
    return base::invalid_argument(
        fmt::format("{}: must be an integer from {} to 1000000", field, least));
  }
  return static_cast<int>(value);
}

void put_time(Json& json, const char* name, base::Instant time) {
  if (time != base::Instant()) json.set(name, base::format_micro_time(time));
}

void put_text(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) json.set(name, text);
}

Json to_json(const WorkerReport& worker) {
  Json json = Json::object({{"rank", worker.rank}, {"state", state_name(worker.state)}});
  if (worker.exit_code) json.set("exitCode", *worker.exit_code);
  if (worker.signal) json.set("signal", *worker.signal);
  put_text(json, "cause", worker.cause);
  put_text(json, "detail", worker.detail);
  put_text(json, "phase", worker.phase);
  if (worker.step >= 0) json.set("step", worker.step);
  put_time(json, "since", worker.since);
  return json;
}

base::Result<WorkerReport> worker_of(const Json& json, const std::string& field) {
  WorkerReport worker;
  PELTON_ASSIGN(worker.rank, count_in(json["rank"], 0, field + ".rank"));
  PELTON_ASSIGN(worker.state, value_in(states(), json["state"], field + ".state"));
  if (json["exitCode"].is_int()) worker.exit_code = static_cast<int>(json["exitCode"].as_int());
  if (json["signal"].is_int()) worker.signal = static_cast<int>(json["signal"].as_int());
  worker.cause = json["cause"].as_string();
  worker.detail = json["detail"].as_string();
  worker.phase = json["phase"].as_string();
  worker.step = json["step"].as_int(-1);
  PELTON_ASSIGN(worker.since, time_in(json["since"], field + ".since"));
  return worker;
}

Json to_json(const checkpoint::MemoryVersion& version) {
  return Json::object({{"generation", version.generation}, {"step", version.step}});
}

base::Result<checkpoint::MemoryVersion> version_of(const Json& json, const std::string& field) {
  const checkpoint::MemoryVersion version{json["generation"].as_int(-1), json["step"].as_int(-1)};
  if (version.generation < 0 || version.step < 0) {
    return base::invalid_argument(field + ": must have a generation and a step, integers from 0");
  }
  return version;
}

Json to_json(const checkpoint::ObservedFailures& observed) {
  return Json::object({{"nodeSeconds", observed.node_seconds},
                       {"memory", observed.memory},
                       {"durable", observed.durable}});
}

/// What cannot be is none: saves may come too seldom by it, and the job goes on.
checkpoint::ObservedFailures observed_of(const Json& json) {
  const auto count = [&](const char* name) {
    return std::clamp<int64_t>(json[name].as_int(0), 0, checkpoint::kMostObserved);
  };
  return {count("nodeSeconds"), count("memory"), count("durable")};
}

Json to_json(const checkpoint::Holding& holding) {
  Json json = to_json(holding.version);
  Json::Array parts;
  for (const int part : holding.parts) parts.push_back(part);
  json.set("writers", holding.writers);
  json.set("parts", std::move(parts));
  return json;
}

base::Result<checkpoint::Holding> holding_of(const Json& json, const std::string& field) {
  checkpoint::Holding holding;
  PELTON_ASSIGN(holding.version, version_of(json, field));
  PELTON_ASSIGN(holding.writers, count_in(json["writers"], 1, field + ".writers"));
  for (const Json& each : json["parts"].items()) {
    PELTON_ASSIGN(const int part, count_in(each, 0, field + ".parts[]"));
    holding.parts.push_back(part);
  }
  return holding;
}

Json to_json(const SaveBy& save_by) {
  Json json = Json::object({{"at", base::format_micro_time(save_by.at)}});
  put_text(json, "cause", save_by.cause);
  put_text(json, "node", save_by.node);
  if (save_by.after >= 0) json.set("after", save_by.after);
  if (save_by.is_known) json.set("known", true);
  return json;
}

base::Result<SaveBy> save_by_of(const Json& json) {
  SaveBy save_by;
  PELTON_ASSIGN(save_by.at, time_in(json["at"], "saveBy.at"));
  if (save_by.at == base::Instant()) return base::invalid_argument("saveBy.at: required");
  save_by.cause = json["cause"].as_string();
  save_by.node = json["node"].as_string();
  save_by.after = json["after"].as_int(-1);
  save_by.is_known = json["known"].as_bool();
  return save_by;
}

base::Result<Member> member_of(const Json& json, const std::string& field) {
  Member member;
  member.pod = json["pod"].as_string();
  member.pod_uid = json["podUID"].as_string();
  member.node = json["node"].as_string();
  member.address = json["address"].as_string();
  member.rack = json["rack"].as_string();
  if (member.pod_uid.empty()) return base::invalid_argument(field + ".podUID: required");
  PELTON_ASSIGN(member.ranks,
                count_in(json["ranks"].is_null() ? Json(1) : json["ranks"], 1, field + ".ranks"));
  return member;
}

}  // namespace

int Generation::world_size() const {
  return first_rank_of(members.size());
}

std::optional<size_t> Generation::index_of(std::string_view pod_uid) const {
  for (size_t i = 0; i < members.size(); ++i) {
    if (members[i].pod_uid == pod_uid) return i;
  }
  return std::nullopt;
}

int Generation::first_rank_of(size_t index) const {
  int rank = 0;
  for (size_t i = 0; i < index; ++i) rank += members[i].ranks;
  return rank;
}

int Generation::port_from(int base_port) const {
  return base_port + static_cast<int>(number % 64);
}

const char* phase_name(Generation::Phase phase) {
  return name_in(phases(), phase);
}

Json to_json(const Generation& generation) {
  Json::Array members;
  for (const Member& member : generation.members) {
    Json json = Json::object({{"podUID", member.pod_uid}, {"ranks", member.ranks}});
    put_text(json, "pod", member.pod);
    put_text(json, "node", member.node);
    put_text(json, "address", member.address);
    put_text(json, "rack", member.rack);
    members.push_back(std::move(json));
  }
  Json json = Json::object({{"number", generation.number},
                            {"jobUID", generation.job_uid},
                            {"phase", phase_name(generation.phase)},
                            {"members", std::move(members)}});
  put_text(json, "reason", generation.reason);
  put_time(json, "began", generation.began);
  if (generation.restore) json.set("restore", to_json(*generation.restore));
  if (generation.is_restore_open) json.set("restoreOpen", true);
  if (generation.observed != checkpoint::ObservedFailures()) {
    json.set("observedFailures", to_json(generation.observed));
  }
  if (generation.save_by) json.set("saveBy", to_json(*generation.save_by));
  return json;
}

base::Result<Generation> generation_of(const Json& json) {
  if (!json.is_object()) return base::invalid_argument("a generation: must be an object");
  Generation generation;
  generation.number = json["number"].as_int(-1);
  if (generation.number < 1) return base::invalid_argument("number: must be 1 or more");
  generation.job_uid = json["jobUID"].as_string();
  generation.reason = json["reason"].as_string();
  PELTON_ASSIGN(generation.phase, value_in(phases(), json["phase"], "phase"));
  PELTON_ASSIGN(generation.began, time_in(json["began"], "began"));
  if (!json["restore"].is_null()) {
    PELTON_ASSIGN(generation.restore, version_of(json["restore"], "restore"));
  }
  generation.is_restore_open = json["restoreOpen"].as_bool();
  generation.observed = observed_of(json["observedFailures"]);
  if (json["saveBy"].is_object()) {
    PELTON_ASSIGN(generation.save_by, save_by_of(json["saveBy"]));
  }
  std::unordered_set<std::string_view> uids;
  const Json::Array& members = json["members"].items();
  generation.members.reserve(members.size());
  for (size_t i = 0; i < members.size(); ++i) {
    PELTON_ASSIGN(Member member, member_of(members[i], fmt::format("members[{}]", i)));
    if (!uids.insert(members[i]["podUID"].as_string()).second) {
      return base::invalid_argument(fmt::format("members[{}].podUID: twice", i));
    }
    generation.members.push_back(std::move(member));
  }
  return generation;
}

const char* state_name(WorkerState state) {
  return name_in(states(), state);
}

bool is_failure(WorkerState state) {
  return state == WorkerState::Exited || state == WorkerState::Raised || state == WorkerState::Hung;
}

const char* stage_name(PodReport::Stage stage) {
  return name_in(stages(), stage);
}

Json to_json(const PodReport& report) {
  Json::Array workers;
  for (const WorkerReport& worker : report.workers) workers.push_back(to_json(worker));
  Json json = Json::object({{"generation", report.generation},
                            {"stage", stage_name(report.stage)},
                            {"ranks", report.ranks},
                            {"parked", report.parked},
                            {"workers", std::move(workers)}});
  put_text(json, "cause", report.cause);
  put_text(json, "detail", report.detail);
  for (const auto& [phase, seconds] : report.phase_seconds)
    json.child("phaseSeconds").set(phase, seconds);
  if (report.first_step >= 0) json.set("firstStep", report.first_step);
  if (report.last_step >= 0) json.set("lastStep", report.last_step);
  put_time(json, "firstStepAt", report.first_step_at);
  put_time(json, "lastStepAt", report.last_step_at);
  Json::Array held;
  for (const checkpoint::Holding& holding : report.held) held.push_back(to_json(holding));
  if (!held.empty()) json.set("held", std::move(held));
  if (report.held_at > 0) json.set("heldAt", report.held_at);
  if (report.quiet_before > 0) json.set("quietBefore", report.quiet_before);
  if (report.answers_saves) json.set("answersSaves", true);
  put_time(json, "toldSaveBy", report.told_save_by);
  if (report.saved_step >= 0) json.set("savedStep", report.saved_step);
  return json;
}

base::Result<PodReport> pod_report_of(const Json& json) {
  if (!json.is_object()) return base::invalid_argument("a report: must be an object");
  PodReport report;
  report.generation = json["generation"].as_int(0);
  report.parked = json["parked"].as_bool();
  report.cause = json["cause"].as_string();
  report.detail = json["detail"].as_string();
  report.first_step = json["firstStep"].as_int(-1);
  report.last_step = json["lastStep"].as_int(-1);
  PELTON_ASSIGN(report.stage, value_in(stages(), json["stage"], "stage"));
  PELTON_ASSIGN(report.ranks,
                count_in(json["ranks"].is_null() ? Json(1) : json["ranks"], 1, "ranks"));
  PELTON_ASSIGN(report.first_step_at, time_in(json["firstStepAt"], "firstStepAt"));
  PELTON_ASSIGN(report.last_step_at, time_in(json["lastStepAt"], "lastStepAt"));
  for (size_t i = 0; i < json["workers"].size(); ++i) {
    PELTON_ASSIGN(WorkerReport worker,
                  worker_of(json["workers"][i], fmt::format("workers[{}]", i)));
    report.workers.push_back(std::move(worker));
  }
  for (const Json::Member& phase : json["phaseSeconds"].members()) {
    report.phase_seconds[phase.name] = phase.value.as_double();
  }
  for (size_t i = 0; i < json["held"].size(); ++i) {
    PELTON_ASSIGN(checkpoint::Holding holding,
                  holding_of(json["held"][i], fmt::format("held[{}]", i)));
    report.held.push_back(std::move(holding));
  }
  report.held_at = std::max<int64_t>(json["heldAt"].as_int(0), 0);
  report.quiet_before = std::max<int64_t>(json["quietBefore"].as_int(0), 0);
  report.answers_saves = json["answersSaves"].as_bool();
  report.saved_step = json["savedStep"].as_int(-1);
  PELTON_ASSIGN(report.told_save_by, time_in(json["toldSaveBy"], "toldSaveBy"));
  return report;
}

PodReport report_in(const Json& pod) {
  for (const Json& condition : pod.at("status.conditions").items()) {
    if (condition["type"].as_string() != kWorkersCondition) continue;
    const base::Result<Json> json = Json::parse(condition["message"].as_string());
    if (!json.ok()) return {};
    base::Result<PodReport> report = pod_report_of(*json);
    return report.ok() ? *std::move(report) : PodReport();
  }
  return {};
}

}  // namespace pelton::decide::recovery
