// SPDX-License-Identifier: Apache-2.0
// `pelton explain pod NAME`: the scheduler's own decision, told for one pod; `pelton explain job
// NAME`: that of the recovery controller, told for one JobSet.
#include <fmt/format.h>

#include <map>

#include "cli/admin_client.h"
#include "cli/blocking.h"
#include "cli/explain_job.h"
#include "cli/live_names.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "decide/placement/explain.h"
#include "os/os_world.h"

namespace pelton::cli {
namespace {

using List = base::Result<client::ObjectList>;
namespace placement = decide::placement;

/// The kinds that the decision rests on.
struct Observed {
  std::map<std::string, base::Json::Array> kinds;

  placement::Objects objects(const std::string& kind) const {
    placement::Objects result;
    for (const base::Json& object : kinds.at(kind)) result.push_back(&object);
    return result;
  }
  placement::World world() const {
    return {objects("Node"), objects("Pod"), objects("Job"), objects("JobSet"),
            objects("Namespace")};
  }
};

base::Result<Observed> observe(os::OsWorld& os, AdminClient& admin,
                               std::initializer_list<const char*> kinds) {
  Observed observed;
  for (const char* kind : kinds) {
    List list =
        await<List>(os, [&](auto done) { admin.client().list(kind, "", {}, std::move(done)); });
    if (!list.ok()) return std::move(list).status().with(fmt::format("listing {}s", kind));
    observed.kinds[kind] = std::move(list->items);
  }
  return observed;
}

struct ExplainOptions {
  std::string data_dir = default_data_directory();
  std::string kind, name;
  std::string namespace_name = "default";
  std::string output;
};

base::Status explain_pod(const ExplainOptions& chosen, os::OsWorld& os, AdminClient& admin) {
  PELTON_ASSIGN(const Observed observed,
                observe(os, admin, {"Node", "Pod", "Job", "JobSet", "Namespace"}));
  PELTON_ASSIGN(const placement::PodExplanation explanation,
                placement::explain_pod(observed.world(), chosen.namespace_name, chosen.name));
  if (chosen.output == "json") {
    fmt::print("{}\n", explanation.to_json().dump(2));
    return base::ok();
  }
  fmt::print("pod {}/{}: {}\n", explanation.namespace_name, explanation.pod_name,
             explanation.message);
  const char* lead = "what would help: ";
  for (const placement::Suggestion& suggestion : explanation.suggestions) {
    fmt::print("{}{}\n", lead, suggestion.to_string());
    lead = "             or: ";
  }
  return base::ok();
}

base::Status explain_jobset(const ExplainOptions& chosen, os::OsWorld& os, AdminClient& admin) {
  PELTON_ASSIGN(Observed observed, observe(os, admin, {"JobSet", "Pod", "RecoveryPolicy", "Node"}));
  PELTON_ASSIGN(
      const base::Json job,
      explain_job({std::move(observed.kinds["JobSet"]), std::move(observed.kinds["RecoveryPolicy"]),
                   std::move(observed.kinds["Pod"]), std::move(observed.kinds["Node"])},
                  chosen.namespace_name, chosen.name, os.world().clock.now()));
  fmt::print("{}", chosen.output == "json" ? job.dump(2) + "\n" : job_text(job));
  return base::ok();
}

/// "jobset/train" is as good as "job train".
void split_subject(ExplainOptions& chosen) {
  const size_t slash = chosen.kind.find('/');
  if (slash == std::string::npos || !chosen.name.empty()) return;
  chosen.name = chosen.kind.substr(slash + 1);
  chosen.kind.resize(slash);
}

bool is_about_job(const ExplainOptions& chosen) {
  return chosen.kind == "job" || chosen.kind == "jobset" || chosen.kind == "jobsets";
}

/// A kind, or what is asked about as KIND/NAME.
Values kinds(const ExplainOptions& chosen) {
  const Values names = live_names("JobSet", chosen.data_dir, chosen.namespace_name);
  return Values::asked([names] {
    std::vector<Candidate> candidates = {{"pod", ""}, {"job", ""}};
    for (Candidate& each : names.ask()) candidates.push_back({"jobset/" + each.word, ""});
    return candidates;
  });
}

/// Of the kind that stands before.
Values names(const ExplainOptions& chosen) {
  const Values pods = live_names("Pod", chosen.data_dir, chosen.namespace_name);
  const Values jobs = live_names("JobSet", chosen.data_dir, chosen.namespace_name);
  return Values::asked(
      [&chosen, pods, jobs] { return is_about_job(chosen) ? jobs.ask() : pods.ask(); });
}

base::Status explain(const ExplainOptions& chosen) {
  const bool is_pod = chosen.kind == "pod" || chosen.kind == "pods" || chosen.kind == "po";
  if (!is_pod && !is_about_job(chosen)) {
    return base::invalid_argument(
        fmt::format("\"{}\" cannot be explained; what can: pod, job", chosen.kind));
  }
  PELTON_ASSIGN(auto os, os::make_world({.log_level = base::Severity::Warning}));
  PELTON_ASSIGN(auto admin, AdminClient::make(os->world(), data_directory(chosen.data_dir)));
  return is_pod ? explain_pod(chosen, *os, *admin) : explain_jobset(chosen, *os, *admin);
}

}  // namespace

int run_explain(int argc, char** argv) {
  ExplainOptions chosen;
  Options options(
      "pelton explain",
      "Says why a pod is pending (the first binding constraint, with numbers) and the smallest "
      "changes that would help, or where it is; or of a job with a RecoveryPolicy: its generation, "
      "its members, what it waits for, and the last decision with the price of each rung.",
      "  pelton explain pod train-workers-0-0-abcde\n"
      "  pelton explain pod web -n shop -o json\n"
      "  pelton explain job train\n"
      "  pelton explain jobset/train\n");
  options.positional("kind", chosen.kind, "pod or job, or KIND/NAME", kinds(chosen));
  options.optional_positional("name", chosen.name, "its name", names(chosen));
  options.text("-n,--namespace", chosen.namespace_name, "its namespace",
               live_names("Namespace", chosen.data_dir));
  options.text("-o,--output", chosen.output, "json, or nothing for text", Values::one_of({"json"}));
  options.text("--data-dir", chosen.data_dir, "the cluster's data directory",
               Values::directories());
  if (auto code = options.parse(argc, argv)) return *code;
  split_subject(chosen);
  if (chosen.name.empty()) {
    fmt::print(stderr, "pelton explain: name: {} {}; see --help\n", chosen.kind,
               "is followed by a name, or written as KIND/NAME");
    return 2;
  }
  if (!chosen.output.empty() && chosen.output != "json") {
    fmt::print(stderr, "pelton explain: -o {}: the forms are text (no -o) and json; see --help\n",
               chosen.output);
    return 2;
  }
  const base::Status status = explain(chosen);
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton explain: {}\n", status.message());
  return 1;
}

}  // namespace pelton::cli
