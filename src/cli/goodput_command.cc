// SPDX-License-Identifier: Apache-2.0
// `pelton goodput`: where the time of a job, or of all, went.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "api/object.h"
#include "base/strings.h"
#include "cli/admin_client.h"
#include "cli/blocking.h"
#include "cli/goodput_list.h"
#include "cli/goodput_text.h"
#include "cli/live_names.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "decide/goodput/event_log.h"
#include "decide/goodput/history.h"
#include "decide/goodput/job_metrics.h"
#include "os/os_world.h"
#include "os/self.h"

namespace pelton::cli {
namespace {

namespace goodput = decide::goodput;
namespace recovery = decide::recovery;
using base::Json;

constexpr int kStdout = 1;
constexpr const char* kJobSetLabel = "jobset.sigs.k8s.io/jobset-name";

struct GoodputOptions {
  std::string data_dir = default_data_directory();
  std::string subject;
  std::string namespace_name = "default";
  std::string log;
  std::string output;
  bool is_all_namespaces = false;
  bool is_list() const { return log.empty() && subject.empty(); }
};

base::Status no_policy(const GoodputSubject& subject) {
  return base::not_found(fmt::format(
      "jobset {}/{} has no label {}, so nobody keeps the history that goodput is made of: make a "
      "RecoveryPolicy (pelton.dev/v1alpha1; an empty spec will do) and name it in that label",
      subject.namespace_name, subject.name, recovery::kPolicyLabel));
}

/// The policy's entry for this very JobSet.
base::Result<Json> record_of(os::OsWorld& os, AdminClient& admin, const GoodputSubject& subject,
                             const Json& job_set) {
  const std::string policy = job_set.at("metadata.labels")[recovery::kPolicyLabel].as_string();
  if (policy.empty()) return no_policy(subject);
  using Done = base::Result<client::Response>;
  const auto response = await<Done>(os, [&](auto done) {
    net::Request request;
    request.target =
        fmt::format("/apis/pelton.dev/v1alpha1/namespaces/{}/recoverypolicies/{}",
                    base::percent_encode(subject.namespace_name), base::percent_encode(policy));
    admin.client().raw(std::move(request), std::move(done));
  });
  if (!response.ok()) return response.status().with("reading the RecoveryPolicy");
  if (response->status == 404) {
    return base::not_found(fmt::format(
        "jobset {}/{} names RecoveryPolicy \"{}\" in its label {}, and there is none: make it, or "
        "name another",
        subject.namespace_name, subject.name, policy, recovery::kPolicyLabel));
  }
  PELTON_ASSIGN(const Json object, Json::parse(response->body));
  if (response->status != 200) {
    return base::unavailable(fmt::format("reading RecoveryPolicy {}/{}: {}", subject.namespace_name,
                                         policy, object["message"].as_string()));
  }
  const Json& record = goodput::record_of(object, job_set);
  if (!record.is_null()) return record;
  return base::Status(
      base::Code::FailedPrecondition,
      fmt::format("RecoveryPolicy {}/{} says nothing of jobset {} yet: its pods are not all there, "
                  "or do not run under 'pelton run'; 'pelton top' shows them",
                  subject.namespace_name, policy, subject.name));
}

/// What the report of a JobSet is made from.
struct Observed {
  Json job_set, record;
  Json::Array pods;
};

base::Result<Observed> observe_job_set(os::OsWorld& os, const std::string& data_dir,
                                       const GoodputSubject& subject) {
  PELTON_ASSIGN(auto admin, AdminClient::make(os.world(), data_directory(data_dir)));
  using Object = base::Result<Json>;
  const client::ObjectKey key{"JobSet", subject.namespace_name, subject.name};
  const Object job_set =
      await<Object>(os, [&](auto done) { admin->client().get(key, std::move(done)); });
  if (!job_set.ok()) {
    if (job_set.error().code() != base::Code::NotFound) return job_set.status();
    return base::not_found(fmt::format("there is no jobset {}/{}: 'pelton top -A' lists them",
                                       subject.namespace_name, subject.name));
  }
  PELTON_ASSIGN(Json record, record_of(os, *admin, subject, *job_set));
  using List = base::Result<client::ObjectList>;
  List pods = await<List>(os, [&](auto done) {
    admin->client().list("Pod", subject.namespace_name,
                         {.label_selector = fmt::format("{}={}", kJobSetLabel, subject.name)},
                         std::move(done));
  });
  if (!pods.ok()) return pods.status().with("listing the pods");
  return Observed{*job_set, std::move(record), std::move(pods->items)};
}

base::Result<goodput::Timeline> timeline_of(const Observed& observed, const GoodputSubject& subject,
                                            base::Instant now) {
  std::vector<recovery::PodReport> reports;
  for (const Json& pod : observed.pods) reports.push_back(recovery::report_in(pod));
  const auto created =
      base::parse_time(observed.job_set.at("metadata.creationTimestamp").as_string());
  auto timeline = goodput::timeline_of(goodput::entries_of(observed.record, reports),
                                       created.ok() ? *created : base::Instant(), now);
  if (!timeline.ok()) {
    return timeline.status().with(
        fmt::format("jobset {}/{}", subject.namespace_name, subject.name));
  }
  return timeline;
}

base::Result<goodput::Timeline> observe_log(os::OsWorld& os, const std::string& path) {
  PELTON_ASSIGN(const std::string text, os.world().files.read(path));
  auto timeline = goodput::timeline_of_log(text, os.world().clock.now());
  if (!timeline.ok()) return timeline.status().with(path);
  return timeline;
}

base::Result<GoodputSubject> subject_of(const GoodputOptions& chosen) {
  if (!chosen.log.empty()) return GoodputSubject{"", chosen.log};
  const size_t slash = chosen.subject.find('/');
  const std::string kind = slash == std::string::npos ? "jobset" : chosen.subject.substr(0, slash);
  const std::string name =
      slash == std::string::npos ? chosen.subject : chosen.subject.substr(slash + 1);
  if ((kind != "jobset" && kind != "jobsets") || name.empty()) {
    return base::invalid_argument(
        fmt::format("\"{}\" has no goodput; what has: jobset/NAME, or --log FILE", chosen.subject));
  }
  return GoodputSubject{chosen.namespace_name, name};
}

goodput::JobMetrics metrics_of(const Observed& observed, base::Instant now) {
  std::vector<const Json*> pods;
  for (const Json& pod : observed.pods) pods.push_back(&pod);
  return goodput::observe_job(observed.job_set, observed.record, pods, now);
}

base::Status show(const GoodputOptions& chosen, const GoodputSubject& subject) {
  PELTON_ASSIGN(auto os, os::make_world({.log_level = base::Severity::Warning}));
  const base::Instant now = os->world().clock.now();
  goodput::JobMetrics metrics;
  goodput::Timeline timeline;
  if (chosen.log.empty()) {
    PELTON_ASSIGN(const Observed observed, observe_job_set(*os, chosen.data_dir, subject));
    PELTON_ASSIGN(timeline, timeline_of(observed, subject, now));
    metrics = metrics_of(observed, now);
  } else {
    PELTON_ASSIGN(timeline, observe_log(*os, chosen.log));
    metrics.name = subject.name;
  }
  const goodput::Report report = goodput::account(timeline);
  if (chosen.output == "json") {
    Json json = goodput::to_json(report);
    json.set("name", subject.name);
    if (!subject.namespace_name.empty()) json.set("namespace", subject.namespace_name);
    fmt::print("{}\n", json.dump(2));
  } else if (chosen.output == "html") {
    fmt::print("{}", goodput_html(subject, report));
  } else if (chosen.output == "prometheus") {
    metrics.report = report;
    fmt::print("{}", goodput::exposition({metrics}));
  } else {
    const int columns = os::is_terminal(kStdout) ? os::terminal_columns(0) : 0;
    fmt::print("{}",
               goodput_text(subject, report, columns > 0 ? static_cast<size_t>(columns) : 120));
  }
  return base::ok();
}

using List = base::Result<client::ObjectList>;

List list(os::OsWorld& os, AdminClient& admin, const char* kind, const std::string& namespace_name,
          const std::string& selector = "") {
  List all = await<List>(os, [&](auto done) {
    admin.client().list(kind, namespace_name, {.label_selector = selector}, std::move(done));
  });
  if (!all.ok()) return all.status().with(fmt::format("listing {}s", kind));
  return all;
}

/// Of every JobSet there that names a RecoveryPolicy, by namespace and name.
base::Result<std::vector<goodput::JobMetrics>> observe_all(os::OsWorld& os,
                                                           const GoodputOptions& chosen) {
  PELTON_ASSIGN(auto admin, AdminClient::make(os.world(), data_directory(chosen.data_dir)));
  const std::string where = chosen.is_all_namespaces ? "" : chosen.namespace_name;
  PELTON_ASSIGN(const client::ObjectList job_sets,
                list(os, *admin, "JobSet", where, recovery::kPolicyLabel));
  PELTON_ASSIGN(const client::ObjectList policies, list(os, *admin, "RecoveryPolicy", where));
  PELTON_ASSIGN(const client::ObjectList pods,
                list(os, *admin, "Pod", where, recovery::kPolicyLabel));
  const base::Instant now = os.world().clock.now();
  static const Json kNone;
  std::vector<goodput::JobMetrics> jobs;
  for (const Json& job_set : job_sets.items) {
    const Json* record = &kNone;
    for (const Json& policy : policies.items) {
      if (api::namespace_of(policy) == api::namespace_of(job_set) &&
          api::name_of(policy) == api::label_of(job_set, recovery::kPolicyLabel)) {
        record = &goodput::record_of(policy, job_set);
      }
    }
    std::vector<const Json*> own;
    for (const Json& pod : pods.items) {
      if (api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid") == api::uid_of(job_set)) {
        own.push_back(&pod);
      }
    }
    jobs.push_back(goodput::observe_job(job_set, *record, own, now));
  }
  std::sort(jobs.begin(), jobs.end(), [](const auto& a, const auto& b) {
    return std::tie(a.namespace_name, a.name) < std::tie(b.namespace_name, b.name);
  });
  return jobs;
}

base::Status show_all(const GoodputOptions& chosen) {
  PELTON_ASSIGN(auto os, os::make_world({.log_level = base::Severity::Warning}));
  PELTON_ASSIGN(const std::vector<goodput::JobMetrics> jobs, observe_all(*os, chosen));
  if (chosen.output == "json") {
    fmt::print("{}\n", goodput_list(jobs).dump(2));
  } else if (chosen.output == "prometheus") {
    fmt::print("{}", goodput::exposition(jobs));
  } else if (jobs.empty()) {
    // As kubectl says it, and where it does.
    fmt::print(stderr, "No jobsets with a RecoveryPolicy found{}.\n",
               chosen.is_all_namespaces
                   ? ""
                   : fmt::format(" in {} namespace: -A looks in all", chosen.namespace_name));
  } else {
    fmt::print("{}", goodput_table(jobs, chosen.is_all_namespaces));
  }
  return base::ok();
}

/// "jobset/NAME" of those that are there.
Values job_sets(const GoodputOptions& chosen) {
  const Values names = live_names("JobSet", chosen.data_dir, chosen.namespace_name);
  return Values::asked([names] {
    std::vector<Candidate> candidates = names.ask();
    for (Candidate& candidate : candidates) candidate.word = "jobset/" + candidate.word;
    return candidates;
  });
}

constexpr const char* kExamples =
    "  pelton goodput -A                               # a line for each job\n"
    "  pelton goodput jobset/train                     # what was lost to what, MTTR, MTBI\n"
    "  pelton goodput jobset/train -o html >train.html # one page with the plot, for a browser\n"
    "  pelton goodput jobset/train -o json | jq .goodputPercent\n"
    "  pelton goodput --log events.jsonl               # a log of ml-goodput-measurement\n"
    "\n"
    "Every nanosecond is in one category, named as in ml-goodput-measurement. With -o json:\n"
    "  from, started, to, over, fullWidth, wallNanoseconds, wallSeconds, productiveSeconds,\n"
    "  uptimeSeconds\n"
    "  goodputPercent, acceleratorGoodputPercent, ettrPercent, schedulingGoodputPercent\n"
    "  mttrSeconds, mtbiSeconds (null: none), timesToRecoverSeconds[],\n"
    "  timesBetweenInterruptionsSeconds[]\n"
    "  breakdown[]      category, nanoseconds, seconds, percent, causes {CAUSE: seconds}\n"
    "  interruptionCount; where the record lists only the newest, the lists do too\n"
    "  interruptions[]  at, cause, generation, rank, node, recoverySeconds\n"
    "  segments[]       from, to, category, cause, generation, width\n";

}  // namespace

int run_goodput(int argc, char** argv) {
  GoodputOptions chosen;
  Options options("pelton goodput",
                  "Says where the time of a JobSet went: productive steps, and what each failure, "
                  "save and start cost. Its history is kept by its RecoveryPolicy. Without a name: "
                  "of all.",
                  kExamples);
  options.optional_positional("jobset", chosen.subject, "jobset/NAME; without: all",
                              job_sets(chosen));
  options.text("-n,--namespace", chosen.namespace_name, "its namespace",
               live_names("Namespace", chosen.data_dir));
  options.toggle("-A,--all-namespaces", chosen.is_all_namespaces,
                 "every JobSet that names a RecoveryPolicy, wherever it is");
  options.text("--log", chosen.log,
               "of a log of events instead: of ml-goodput-measurement or of "
               "AI-Hypercomputer/resiliency, one JSON object a line",
               Values::files());
  options.text("-o,--output", chosen.output, "json, html, prometheus, or nothing for a table",
               Values::one_of({"json", "html", "prometheus"}));
  options.text("--data-dir", chosen.data_dir, "the cluster's data directory",
               Values::directories());
  if (auto code = options.parse(argc, argv)) return *code;
  const std::string& form = chosen.output;
  if (!form.empty() && form != "json" && form != "html" && form != "prometheus") {
    fmt::print(stderr,
               "pelton goodput: -o {}: the forms are a table (no -o), json, html and prometheus; "
               "see --help\n",
               form);
    return 2;
  }
  if (!chosen.log.empty() && !chosen.subject.empty()) {
    fmt::print(stderr, "pelton goodput: give either jobset/NAME or --log FILE; see --help\n");
    return 2;
  }
  if (chosen.is_all_namespaces && !chosen.is_list()) {
    fmt::print(stderr,
               "pelton goodput: one jobset or log is in one place: leave out -A, or the name\n");
    return 2;
  }
  if (chosen.is_list() && form == "html") {
    fmt::print(stderr, "pelton goodput: -o html is a page of one job: give jobset/NAME\n");
    return 2;
  }
  if (chosen.is_list()) {
    const base::Status shown = show_all(chosen);
    if (shown.ok()) return 0;
    fmt::print(stderr, "pelton goodput: {}\n", shown.message());
    return 1;
  }
  const auto subject = subject_of(chosen);
  const base::Status status = subject.ok() ? show(chosen, *subject) : subject.status();
  if (status.ok()) return 0;
  fmt::print(stderr, "pelton goodput: {}\n", status.message());
  return subject.ok() ? 1 : 2;
}

}  // namespace pelton::cli
