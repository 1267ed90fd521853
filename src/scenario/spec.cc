// SPDX-License-Identifier: Apache-2.0
#include "scenario/spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/yaml.h"
#include "base/strings.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;
using base::Status;

/// Reads the fields of one mapping and remembers the first thing that is wrong.
class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {
    if (!json_.is_object()) fail("", "must be a mapping of fields");
  }

  Status finish(std::initializer_list<std::string_view> known) {
    for (const auto& [name, value] : json_.members()) {
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        std::vector<std::string> names(known.begin(), known.end());
        fail(name, "is no field here; known are " + base::join(names, ", "));
      }
    }
    return error_;
  }

  bool has(std::string_view name) const { return json_.contains(name); }
  const Json& operator[](std::string_view name) const { return json_[name]; }
  std::string path(std::string_view name) const {
    return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
  }

  void integer(std::string_view name, int64_t& value) {
    if (!has(name)) return;
    if (!json_[name].is_int() || json_[name].as_int() < 0) return fail(name, "must be an integer");
    value = json_[name].as_int();
  }

  void share(std::string_view name, double& value) {
    if (!has(name)) return;
    const double read = json_[name].as_double(-1);
    if (read < 0 || read > 1) return fail(name, "must be a share from 0 to 1");
    value = read;
  }

  void duration(std::string_view name, Duration& value) {
    if (!has(name)) return;
    auto read = parse_duration(json_[name].as_string());
    if (!read.ok()) return fail(name, read.status().message());
    value = *read;
  }

  void durations(std::string_view name, DurationRange& value) {
    if (!has(name)) return;
    const auto [low, high] = range(json_[name].as_string());
    auto from = parse_duration(low), to = parse_duration(high);
    if (!from.ok() || !to.ok() || *from > *to) {
      return fail(name, "must be a duration (\"5s\") or a range (\"5s..1m\")");
    }
    value = {*from, *to};
  }

  void counts(std::string_view name, CountRange& value) {
    if (!has(name)) return;
    const Json& json = json_[name];
    const std::string text = json.is_int() ? json.dump() : json.as_string();
    const auto [low, high] = range(text);
    auto from = base::parse_int(low), to = base::parse_int(high);
    if (!from.ok() || !to.ok() || *from < 1 || *from > *to) {
      return fail(name, "must be a count (4) or a range (\"2..8\")");
    }
    value = {*from, *to};
  }

  void recurring(std::string_view name, std::optional<Recurring>& value) {
    if (!has(name)) return;
    Reader inner(json_[name], path(name));
    Recurring read;
    inner.duration("every", read.every);
    inner.durations("downtime", read.downtime);
    Status status = inner.finish({"every", "downtime"});
    if (status.ok() && read.every <= Duration()) status = inner.missing("every");
    if (!status.ok() && error_.ok()) error_ = status;
    value = read;
  }

  Status missing(std::string_view name) const {
    return base::invalid_argument(fmt::format("{} is required", path(name)));
  }

  void fail(std::string_view name, const std::string& why) {
    if (error_.ok()) error_ = base::invalid_argument(fmt::format("{} {}", path(name), why));
  }

 private:
  static std::pair<std::string_view, std::string_view> range(std::string_view text) {
    const size_t dots = text.find("..");
    if (dots == std::string_view::npos) return {text, text};
    return {text.substr(0, dots), text.substr(dots + 2)};
  }

  const Json& json_;
  std::string path_;
  Status error_;
};

Status read_cluster(const Json& json, Spec& spec) {
  Reader reader(json, "cluster");
  reader.integer("nodes", spec.nodes);
  for (const auto& [name, count] : reader["accelerators"].members()) {
    spec.accelerators[name] = count.as_int();
  }
  reader.integer("history", spec.history);
  reader.integer("onDemand", spec.on_demand);
  reader.durations("boot", spec.boot);
  return reader.finish({"nodes", "accelerators", "history", "onDemand", "boot"});
}

Status read_training(const Json& json, const std::string& path, TrainingSpec& training) {
  Reader reader(json, path);
  reader.counts("steps", training.steps);
  reader.durations("step", training.step);
  reader.integer("checkpointEvery", training.checkpoint_every);
  reader.integer("spares", training.spares);
  reader.integer("minReplicas", training.min_replicas);
  reader.integer("memoryEvery", training.memory_every);
  reader.integer("memoryReplicas", training.memory_replicas);
  if (!reader.has("step")) return reader.missing("step");
  if (training.checkpoint_every < 1) reader.fail("checkpointEvery", "must be at least 1");
  return reader.finish({"steps", "step", "checkpointEvery", "spares", "minReplicas", "memoryEvery",
                        "memoryReplicas"});
}

Status read_workload(const Json& json, Spec& spec) {
  for (size_t i = 0; i < json.size(); ++i) {
    Reader reader(json[i], fmt::format("workload[{}]", i));
    WorkloadSpec w;
    reader.integer("jobsets", w.jobsets);
    reader.counts("pods", w.pods);
    reader.integer("accelerators", w.accelerators);
    reader.durations("run", w.run);
    reader.durations("arrive", w.arrive);
    reader.share("failing", w.failing);
    reader.integer("maxRestarts", w.max_restarts);
    if (reader.has("training")) {
      PELTON_TRY(read_training(reader["training"], reader.path("training"), w.training.emplace()));
    }
    PELTON_TRY(reader.finish({"jobsets", "pods", "accelerators", "run", "arrive", "failing",
                              "maxRestarts", "training"}));
    spec.workload.push_back(w);
  }
  return base::ok();
}

Status read_user(const Json& json, UserSpec& user) {
  Reader reader(json, "faults.user");
  reader.recurring("deletesPods", user.deletes_pods);
  reader.recurring("deletesJobSets", user.deletes_jobsets);
  reader.recurring("edits", user.edits);
  reader.recurring("suspends", user.suspends);
  reader.recurring("scales", user.scales);
  return reader.finish({"deletesPods", "deletesJobSets", "edits", "suspends", "scales"});
}

Status read_faults(const Json& json, Spec& spec) {
  Reader reader(json, "faults");
  reader.durations("messageDelay", spec.message_delay);
  reader.share("lostMessages", spec.lost_messages);
  reader.recurring("nodeDeaths", spec.node_deaths);
  reader.recurring("partitions", spec.partitions);
  reader.recurring("serverCrashes", spec.server_crashes);
  reader.recurring("controllerCrashes", spec.controller_crashes);
  reader.recurring("nodeDeletions", spec.node_deletions);
  reader.share("nodesDeletedWhileBinding", spec.nodes_deleted_while_binding);
  if (reader.has("staleReads")) {
    Reader stale(json["staleReads"], "faults.staleReads");
    stale.share("share", spec.stale_reads.share);
    stale.durations("lag", spec.stale_reads.lag);
    PELTON_TRY(stale.finish({"share", "lag"}));
  }
  reader.durations("watchDelay", spec.watch_delay);
  reader.share("duplicatedEvents", spec.duplicated_events);
  reader.share("droppedWatches", spec.dropped_watches);
  reader.recurring("slowWatchers", spec.slow_watchers);
  reader.recurring("workerCrashes", spec.worker_crashes);
  reader.recurring("workerExceptions", spec.worker_exceptions);
  reader.recurring("workerStops", spec.worker_stops);
  reader.recurring("workerStalls", spec.worker_stalls);
  reader.recurring("supervisorCrashes", spec.supervisor_crashes);
  reader.recurring("agentCrashes", spec.agent_crashes);
  reader.share("badSpares", spec.bad_spares);
  reader.duration("until", spec.until);
  if (reader.has("user")) PELTON_TRY(read_user(json["user"], spec.user));
  return reader.finish({"messageDelay",     "lostMessages",
                        "nodeDeaths",       "partitions",
                        "serverCrashes",    "controllerCrashes",
                        "nodeDeletions",    "nodesDeletedWhileBinding",
                        "staleReads",       "watchDelay",
                        "duplicatedEvents", "droppedWatches",
                        "slowWatchers",     "workerCrashes",
                        "workerExceptions", "workerStops",
                        "workerStalls",     "supervisorCrashes",
                        "agentCrashes",     "until",
                        "badSpares",        "user"});
}

}  // namespace

bool Spec::is_calm() const {
  return !node_deaths && !agent_crashes && !server_crashes && !controller_crashes && !partitions &&
         !node_deletions && lost_messages == 0 && nodes_deleted_while_binding == 0 &&
         stale_reads.share == 0 && dropped_watches == 0 &&
         watch_delay.high < Duration::milliseconds(500);
}

base::Result<Duration> parse_duration(std::string_view text) {
  static constexpr std::pair<std::string_view, int64_t> kUnits[] = {
      {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  for (const auto& [unit, ns] : kUnits) {
    if (!text.ends_with(unit)) continue;
    auto number = base::parse_int(text.substr(0, text.size() - unit.size()));
    if (number.ok() && *number >= 0) return Duration::nanoseconds(*number * ns);
  }
  return base::invalid_argument(
      fmt::format("\"{}\" is not a duration such as 20ms, 5s, 2m or 1h", text));
}

base::Result<Spec> parse_spec(std::string_view yaml) {
  PELTON_ASSIGN(const Json json, api::parse_yaml(yaml));
  Spec spec;
  Reader reader(json, "");
  PELTON_TRY(reader.finish({"name", "cluster", "workload", "faults", "expect"}));
  spec.name = json["name"].as_string();
  if (spec.name.empty()) return reader.missing("name");
  if (!reader.has("workload")) return reader.missing("workload");
  if (reader.has("cluster")) PELTON_TRY(read_cluster(json["cluster"], spec));
  PELTON_TRY(read_workload(json["workload"], spec));
  if (reader.has("faults")) PELTON_TRY(read_faults(json["faults"], spec));
  if (reader.has("expect")) {
    Reader expect(json["expect"], "expect");
    expect.duration("within", spec.within);
    PELTON_TRY(expect.finish({"within"}));
  }
  return spec;
}

}  // namespace pelton::scenario
