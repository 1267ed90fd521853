// SPDX-License-Identifier: Apache-2.0
// `pelton sim`: a scenario file under virtual time, for one seed or many.
#include <fmt/format.h>

#include "cli/options.h"
#include "cli/verbs.h"
#include "os/os_world.h"
#include "scenario/cluster.h"
#include "scenario/fault_study.h"
#include "scenario/fault_trace.h"
#include "scenario/job_file.h"
#include "scenario/spec.h"

namespace pelton::cli {
namespace {

base::Json to_json(const scenario::Outcome& o) {
  base::Json json = base::Json::object({{"seed", static_cast<int64_t>(o.seed)},
                                        {"traceHash", fmt::format("{:016x}", o.trace_hash)},
                                        {"virtualSeconds", o.virtual_time.to_seconds()},
                                        {"events", static_cast<int64_t>(o.events)},
                                        {"completed", o.completed},
                                        {"failed", o.failed},
                                        {"nodeDeaths", o.node_deaths},
                                        {"partitions", o.partitions},
                                        {"serverCrashes", o.server_crashes},
                                        {"controllerCrashes", o.controller_crashes},
                                        {"agentCrashes", o.agent_crashes},
                                        {"supervisorCrashes", o.supervisor_crashes},
                                        {"generations", o.generations},
                                        {"steps", o.steps},
                                        {"restoredFromMemory", o.restored},
                                        {"violations", base::Json::array()}});
  for (const std::string& what : o.violations) json.child("violations").push_back(what);
  return json;
}

void print(const scenario::Outcome& o, const std::string& path) {
  fmt::print(
      "seed {:<6} trace {:016x}  {:7.1f} s virtual  {:8} events  {} completed, {} failed; "
      "broke: {} nodes, {} links, {} servers, {} controllers\n",
      o.seed, o.trace_hash, o.virtual_time.to_seconds(), o.events, o.completed, o.failed,
      o.node_deaths, o.partitions, o.server_crashes, o.controller_crashes);
  if (o.violations.empty()) return;
  for (const std::string& line : o.log_tail) fmt::print("    {}\n", line);
  for (const std::string& what : o.violations) fmt::print("  VIOLATED: {}\n", what);
  fmt::print("  replay: pelton sim {} --seed {}\n", path, o.seed);
}

base::Result<base::Json> read_json(world::Files& files, const std::string& path) {
  PELTON_ASSIGN(const std::string text, files.read(path));
  return base::Json::parse(text);
}

int fail(const std::string& path, const base::Status& status) {
  fmt::print(stderr, "pelton sim: {}: {}\n", path, status.message());
  return 1;
}

/// `pelton sim --job`.
int predict(const world::World& world, const std::string& path) {
  const auto json = read_json(world.files, path);
  if (!json.ok()) return fail(path, json.status());
  const auto file = scenario::parse_job_file(*json);
  if (!file.ok()) return fail(path, file.status());
  fmt::print("{}\n", scenario::to_json(scenario::simulate_job(file->model, file->events)).dump());
  return 0;
}

/// `pelton sim --trace`: the same events for every row.
int study(const world::World& world, const std::string& path, const scenario::StudyOptions& options,
          bool is_json) {
  constexpr int kNodesOfTrace = 400;
  const auto json = read_json(world.files, path);
  if (!json.ok()) return fail(path, json.status());
  const auto trace = scenario::FaultTrace::parse(*json, kNodesOfTrace);
  if (!trace.ok()) return fail(path, trace.status());
  const base::Rng rng(options.seed);
  const auto rows = scenario::study_rows(options, trace->failures_per_node_day());
  const base::Duration wall = rows.front().model.wall;
  std::vector<scenario::NodeEvent> events = trace->resample(options.nodes, wall, rng.fork("nodes"));
  scenario::add_worker_exits(options.worker_exits, options.nodes, wall, rng.fork("workers"),
                             events);
  if (!is_json) {
    fmt::print("{} nodes, {} days, {} events\n{:<58}{:>8}{:>8}{:>8}{:>10}{:>9}\n", options.nodes,
               options.days, events.size(), "", "ETTR %", "width %", "nodes %", "failures",
               "wall s");
  }
  for (const scenario::StudyRow& row : rows) {
    const base::Duration began = world.clock.elapsed();
    const scenario::JobResult result = scenario::simulate_job(row.model, events);
    base::Json out = to_json(row, result);
    out.set("wallSeconds", (world.clock.elapsed() - began).to_seconds());
    if (is_json) {
      fmt::print("{}\n", out.dump());
    } else {
      fmt::print("{:<58}{:>8.2f}{:>8.2f}{:>8.2f}{:>10}{:>9.2f}\n", row.name, 100 * result.goodput,
                 100 * result.accelerator_goodput, 100 * out["ofAllNodes"].as_double(),
                 result.failures, out["wallSeconds"].as_double());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int run_sim(int argc, char** argv) {
  std::string path, output, job, trace;
  scenario::StudyOptions wanted;
  int64_t nodes = wanted.nodes, days = 30;
  int64_t seed = 1, seeds = 1;
  Options options("pelton sim",
                  "Runs a scenario (what runs, what breaks, what must hold) in a simulation: the "
                  "real store, API server and controllers under virtual time.",
                  "  pelton sim scenarios/calm.yaml\n"
                  "  pelton sim --job job.json\n"
                  "  pelton sim --trace fault_trace.json --nodes 10000\n"
                  "  pelton sim scenarios/gangs-under-faults.yaml --seed 7 --seeds 100\n");
  options.optional_positional("scenario", path, "a scenario file", Values::files());
  options.text(
      "--job", job,
      "instead of a scenario: a job with its faults as JSON (scenario/job_file.h), of which "
      "the goodput is predicted",
      Values::files());
  options.text("--trace", trace,
               "instead of a scenario: when nodes of a real cluster failed (InfiniteHBD's "
               "fault_trace.json), for one job on all of --nodes, with and without each rung",
               Values::files());
  options.number("--nodes", nodes, "with --trace: how many, each with the history of a real one");
  options.number("--days", days, "with --trace");
  options.number("--seed", seed, "the first seed; one seed is one history");
  options.number("--seeds", seeds, "how many, one after the other");
  options.text("-o,--output", output, "json (one line per seed), or nothing for text",
               Values::one_of({"json"}));
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world({.log_level = base::Severity::Warning});
  if (!os.ok()) return fail("this machine", os.status());
  const world::World& world = (*os)->world();
  if (!job.empty()) return predict(world, job);
  if (!trace.empty()) {
    if (nodes < wanted.nodes_per_replica || nodes > 1'000'000 || days < 1 || days > 10'000) {
      fmt::print(stderr, "pelton sim: --nodes must be from {} to 1000000, --days from 1 to 10000\n",
                 wanted.nodes_per_replica);
      return 2;
    }
    wanted.nodes = static_cast<int>(nodes);
    wanted.days = static_cast<double>(days);
    wanted.seed = static_cast<uint64_t>(seed);
    wanted.bytes_per_member = scenario::record_bytes_per_member();
    return study(world, trace, wanted, output == "json");
  }
  if (path.empty()) {
    fmt::print(stderr, "pelton sim: name a scenario file, or give --job or --trace\n");
    return 2;
  }
  auto text = world.files.read(path);
  auto spec = text.ok() ? scenario::parse_spec(*text) : base::Result<scenario::Spec>(text.status());
  if (!spec.ok()) {
    fmt::print(stderr, "pelton sim: {}: {}\n", path, spec.status().message());
    return 1;
  }
  int exit_code = 0;
  for (int64_t i = 0; i < seeds; ++i) {
    const scenario::Outcome outcome =
        scenario::Cluster(*spec, static_cast<uint64_t>(seed + i)).run();
    if (output == "json") {
      fmt::print("{}\n", to_json(outcome).dump());
    } else {
      print(outcome, path);
    }
    std::fflush(stdout);
    if (!outcome.violations.empty()) exit_code = 1;
  }
  return exit_code;
}

}  // namespace pelton::cli
