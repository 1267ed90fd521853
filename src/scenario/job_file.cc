// SPDX-License-Identifier: Apache-2.0
#include "scenario/job_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/strings.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;
using base::Status;

Duration seconds(double value) {
  return Duration::nanoseconds(static_cast<int64_t>(std::llround(value * 1e9)));
}

/// Reads the fields of one object and remembers the first thing that is wrong.
class Reader {
 public:
  Reader(const Json& json, std::string path) : json_(json), path_(std::move(path)) {
    if (!json_.is_object()) fail("", "must be an object");
  }
  void read(std::string_view name, Duration& value, double least = 0) {
    constexpr double kMost = 1e9;
    const Json& json = take(name);
    if (json.is_null()) return;
    const double number = json.as_double(-1);
    if (!json.is_number() || number < least || number > kMost) {
      return fail(name, fmt::format("must be a number of seconds from {} to {}", least, kMost));
    }
    value = seconds(number);
  }
  void read(std::string_view name, int& value, int least) {
    constexpr int kMost = 1'000'000;
    const Json& json = take(name);
    if (json.is_null()) return;
    if (!json.is_int() || json.as_int() < least || json.as_int() > kMost) {
      return fail(name, fmt::format("must be an integer from {} to {}", least, kMost));
    }
    value = static_cast<int>(json.as_int());
  }
  void read(std::string_view name, bool& value) {
    const Json& json = take(name);
    if (json.is_null()) return;
    if (!json.is_bool()) return fail(name, "must be true or false");
    value = json.as_bool();
  }
  const Json& take(std::string_view name) {
    known_.emplace_back(name);
    return json_[name];
  }
  void fail(std::string_view name, const std::string& why) {
    if (!error_.ok()) return;
    const std::string dot = path_.empty() || name.empty() ? "" : ".";
    error_ = base::invalid_argument(fmt::format("{}{}{} {}", path_, dot, name, why));
  }
  Status finish() {
    for (const auto& [name, value] : json_.members()) {
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        fail(name, "is no field here; known are " + base::join(known_, ", "));
      }
    }
    return error_;
  }

 private:
  const Json& json_;
  std::string path_;
  std::vector<std::string> known_;
  Status error_;
};

Status read_costs(const Json& json, RungCosts& costs) {
  if (json.is_null()) return base::ok();
  Reader reader(json, "costs");
  reader.read("inPlace", costs.in_place);
  reader.read("podRestart", costs.pod_restart);
  reader.read("swap", costs.swap);
  reader.read("shrink", costs.shrink);
  reader.read("grow", costs.grow);
  return reader.finish();
}

Status read_detect(const Json& json, JobModel& model) {
  if (json.is_null()) return base::ok();
  Reader reader(json, "detect");
  reader.read("worker", model.detect_worker);
  reader.read("hang", model.detect_hang);
  reader.read("node", model.detect_node);
  return reader.finish();
}

Status read_fault(const Json& json, size_t index, const JobModel& model,
                  std::vector<NodeEvent>& events) {
  Reader reader(json, fmt::format("faults[{}]", index));
  NodeEvent event;
  event.node = -1;
  reader.read("at", event.at);
  if (!json.contains("at")) reader.fail("at", "is required");
  const std::string& kind = reader.take("kind").as_string();
  const bool is_node = kind == "node";
  if (!is_node && kind != "worker" && kind != "hang") {
    reader.fail("kind", "must be worker, hang or node");
  }
  event.kind = is_node            ? NodeEvent::Kind::Down
               : kind == "worker" ? NodeEvent::Kind::WorkerExit
                                  : NodeEvent::Kind::WorkerHang;
  reader.read("node", event.node, 0);
  if (!is_node) reader.read("rank", event.rank, 0);
  if (event.node >= model.nodes || (event.node < 0 && event.rank < 0)) {
    reader.fail("node", fmt::format("must be from 0 to {}", model.nodes - 1));
  }
  NodeEvent back = {.at = event.at, .kind = NodeEvent::Kind::Up, .node = event.node};
  if (is_node) reader.read("backAt", back.at, event.at.to_seconds());
  PELTON_TRY(reader.finish());
  event.node = std::max(event.node, 0);
  events.push_back(event);
  if (is_node && json.contains("backAt")) events.push_back(back);
  return base::ok();
}

/// As a RecoveryPolicy's spec, so that its rules and words are the same.
Status read_policy(Reader& reader, JobModel& model) {
  Json spec = Json::object();
  for (const char* name : {"spares", "minReplicas", "maxReplicas", "ranksPerReplica", "rungs"}) {
    const Json& value = reader.take(name);
    if (!value.is_null()) spec.set(name, value);
  }
  PELTON_ASSIGN(model.policy, decide::recovery::policy_of(spec));
  const int ranks = model.nodes * model.ranks_per_node;
  if (model.policy.ranks_per_replica > model.ranks_per_node &&
      model.policy.ranks_per_replica % model.ranks_per_node != 0) {
    return base::invalid_argument(
        fmt::format("ranksPerReplica {} must be a multiple of ranksPerNode, {}",
                    model.policy.ranks_per_replica, model.ranks_per_node));
  }
  if (decide::recovery::allowed_worlds(model.policy, ranks, model.ranks_per_node).empty()) {
    return base::invalid_argument(
        fmt::format("nodes {} less spares {} make no width that minReplicas and ranksPerReplica "
                    "allow",
                    model.nodes, model.policy.spares));
  }
  return base::ok();
}

}  // namespace

base::Result<JobFile> parse_job_file(const Json& json) {
  JobFile file;
  JobModel& model = file.model;
  Reader reader(json, "");
  reader.read("nodes", model.nodes, 1);
  if (!json.contains("nodes")) reader.fail("nodes", "is required");
  reader.read("ranksPerNode", model.ranks_per_node, 1);
  reader.read("stepSeconds", model.step, 1e-6);
  int every = 1;
  reader.read("checkpointEverySteps", every, 0);
  model.memory.every = model.step * every;
  reader.read("saveStallSeconds", model.memory.stall);
  model.replicate = Duration();
  reader.read("maxRestarts", model.max_restarts, 0);
  reader.read("startSeconds", model.start);
  reader.read("wallSeconds", model.wall, 1e-3);
  reader.read("plain", model.is_plain);
  const Json& faults = reader.take("faults");
  if (!faults.is_null() && !faults.is_array()) reader.fail("faults", "must be a list");
  PELTON_TRY(read_costs(reader.take("costs"), model.costs));
  PELTON_TRY(read_detect(reader.take("detect"), model));
  const Status policy = read_policy(reader, model);
  PELTON_TRY(reader.finish());
  PELTON_TRY(policy);
  for (size_t i = 0; i < faults.size(); ++i) {
    PELTON_TRY(read_fault(faults[i], i, model, file.events));
  }
  std::stable_sort(file.events.begin(), file.events.end(),
                   [](const NodeEvent& a, const NodeEvent& b) { return a.at < b.at; });
  return file;
}

Json to_json(const JobResult& result) {
  Json categories = Json::object();
  for (const auto& [category, time] : result.categories) {
    categories.set(decide::goodput::category_name(category), time.to_seconds());
  }
  Json taken = Json::object();
  for (const auto& [rung, count] : result.taken) {
    taken.set(decide::recovery::rung_name(rung), count);
  }
  Json json = Json::object({{"goodput", result.goodput},
                            {"acceleratorGoodput", result.accelerator_goodput},
                            {"categories", categories},
                            {"failures", result.failures},
                            {"decisions", result.decisions},
                            {"taken", taken},
                            {"jobSetRestarts", static_cast<int64_t>(result.restarts)},
                            {"mostWorkLostSeconds", result.lost_most.to_seconds()}});
  if (result.has_stopped) json.set("stopped", result.diagnosis);
  return json;
}

}  // namespace pelton::scenario
