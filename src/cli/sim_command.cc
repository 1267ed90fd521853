// SPDX-License-Identifier: Apache-2.0
// `pelton sim`: a scenario file under virtual time, for one seed or many.
#include <fmt/format.h>

#include "cli/options.h"
#include "cli/verbs.h"
#include "os/os_world.h"
#include "scenario/cluster.h"
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

}  // namespace

int run_sim(int argc, char** argv) {
  std::string path, output;
  int64_t seed = 1, seeds = 1;
  Options options("pelton sim",
                  "Runs a scenario (what runs, what breaks, what must hold) in a simulation: the "
                  "real store, API server and controllers under virtual time.",
                  "  pelton sim scenarios/calm.yaml\n"
                  "  pelton sim scenarios/gangs-under-faults.yaml --seed 7 --seeds 100\n");
  options.positional("scenario", path, "a scenario file", Values::files());
  options.number("--seed", seed, "the first seed; one seed is one history");
  options.number("--seeds", seeds, "how many, one after the other");
  options.text("-o,--output", output, "json (one line per seed), or nothing for text",
               Values::one_of({"json"}));
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world({.log_level = base::Severity::Warning});
  auto text = os.ok() ? (*os)->world().files.read(path) : base::Result<std::string>(os.status());
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
