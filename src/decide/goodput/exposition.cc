// SPDX-License-Identifier: Apache-2.0
// The text that Prometheus scrapes.
#include <fmt/format.h>

#include <utility>

#include "decide/goodput/job_metrics.h"

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using Jobs = std::vector<JobMetrics>;

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

class Text {
 public:
  explicit Text(const Jobs& jobs) : jobs_(jobs) {}

  /// Of the samples that follow; without any it is left out.
  void family(const char* name, const char* type, const char* help) {
    name_ = name;
    head_ = fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  /// `more`: further labels, each `name="value"`.
  void sample(const JobMetrics& job, const std::string& more, double value,
              const char* suffix = "") {
    out_ += std::exchange(head_, {});
    out_ += fmt::format("{}{}{{namespace=\"{}\",jobset=\"{}\"{}{}}} {}\n", name_, suffix,
                        escaped(job.namespace_name), escaped(job.name), more.empty() ? "" : ",",
                        more, value);
  }

  /// One sample for each job that has a report.
  template <typename Value>
  void of_reports(const char* name, const char* help, const Value& value) {
    family(name, "gauge", help);
    for (const JobMetrics& job : jobs_) {
      if (job.report) sample(job, "", value(*job.report));
    }
  }
  /// One sample for each JobSet.
  template <typename Value>
  void of_jobsets(const char* name, const char* help, const Value& value) {
    family(name, "gauge", help);
    for (const JobMetrics& job : jobs_) {
      if (job.state) sample(job, "", static_cast<double>(value(job)));
    }
  }

  void histogram(const char* name, const char* help, const std::vector<double>& bounds,
                 std::vector<Duration> Report::* times, TimeSums Folded::* before) {
    family(name, "histogram", help);
    for (const JobMetrics& job : jobs_) {
      if (!job.report) continue;
      TimeSums all = job.report->before.*before;
      for (const Duration time : (*job.report).*times) all.add(time, bounds);
      all.below.resize(bounds.size());
      for (size_t i = 0; i < bounds.size(); ++i) {
        sample(job, fmt::format("le=\"{}\"", bounds[i]), static_cast<double>(all.below[i]),
               "_bucket");
      }
      sample(job, "le=\"+Inf\"", static_cast<double>(all.count), "_bucket");
      sample(job, "", all.sum.to_seconds(), "_sum");
      sample(job, "", static_cast<double>(all.count), "_count");
    }
  }

  std::string take() { return std::move(out_); }

 private:
  const Jobs& jobs_;
  const char* name_ = "";
  std::string head_, out_;
};

void put_shares(Text& text) {
  text.of_reports("pelton_jobset_goodput_ratio",
                  "Time in steps whose result was kept, over the time since the first start.",
                  [](const Report& report) { return report.goodput; });
  text.of_reports("pelton_jobset_accelerator_goodput_ratio",
                  "Goodput, each second times its share of all ranks that the job asks for.",
                  [](const Report& report) { return report.accelerator_goodput; });
  text.of_reports("pelton_jobset_effective_training_time_ratio",
                  "Time in steps whose result was kept, over the time since the job was made.",
                  [](const Report& report) { return report.ettr; });
  text.of_reports("pelton_jobset_scheduling_goodput_ratio",
                  "Share of the time since the job was made in which all ranks had a place.",
                  [](const Report& report) { return report.scheduling_goodput; });
}

void put_times(Text& text, const Jobs& jobs) {
  text.family("pelton_jobset_time_seconds", "gauge",
              "Wall time of a job by category of ml-goodput-measurement and cause; they add up to "
              "the time since it was made.");
  for (const JobMetrics& job : jobs) {
    if (!job.report) continue;
    for (int i = 0; i < kCategories; ++i) {
      const auto category = static_cast<Category>(i);
      const std::string label = fmt::format("category=\"{}\"", category_name(category));
      const auto found = job.report->breakdown.find(category);
      if (found == job.report->breakdown.end()) {
        text.sample(job, label + ",cause=\"\"", 0);
        continue;
      }
      for (const auto& [cause, time] : found->second) {
        text.sample(job, fmt::format("{},cause=\"{}\"", label, escaped(cause)), time.to_seconds());
      }
    }
  }
  text.of_reports("pelton_jobset_wall_seconds",
                  "Time since the job was made, until its end where it is over.",
                  [](const Report& report) { return report.wall().to_seconds(); });
  text.of_reports("pelton_jobset_uptime_seconds",
                  "Sum over all starts of the time from the first step to the end.",
                  [](const Report& report) { return report.uptime.to_seconds(); });
  text.histogram("pelton_jobset_times_to_recover_seconds",
                 "Time from an interruption to the next step; sum over count is the MTTR.",
                 recover_bounds(), &Report::times_to_recover, &Folded::recoveries);
  text.histogram("pelton_jobset_times_between_interruptions_seconds",
                 "Uptime from one interruption to the next; sum over count is the MTBI.",
                 between_bounds(), &Report::times_between_interruptions, &Folded::betweens);
}

void put_interruptions(Text& text, const Jobs& jobs) {
  text.family("pelton_jobset_interruptions_total", "counter",
              "Failures that ended a run of steps, by cause.");
  for (const JobMetrics& job : jobs) {
    if (!job.report) continue;
    std::map<std::string, int64_t> causes = job.report->before.interruptions;
    for (const Interruption& each : job.report->interruptions) ++causes[each.cause];
    for (const auto& [cause, count] : causes) {
      text.sample(job, fmt::format("cause=\"{}\"", escaped(cause)), static_cast<double>(count));
    }
  }
  text.family("pelton_jobset_generations_total", "counter",
              "Generations that began, by rung of the recovery ladder and by the cause of the "
              "failure before.");
  for (const JobMetrics& job : jobs) {
    for (const auto& [which, count] : job.generations) {
      text.sample(
          job, fmt::format("rung=\"{}\",cause=\"{}\"", escaped(which.first), escaped(which.second)),
          static_cast<double>(count));
    }
  }
}

void put_present(Text& text, const Jobs& jobs) {
  text.family("pelton_jobset_state", "gauge", "What a job does now: 1 for its state, else 0.");
  for (const JobMetrics& job : jobs) {
    for (int i = 0; job.state && i < kJobStates; ++i) {
      const auto state = static_cast<JobState>(i);
      text.sample(job, fmt::format("state=\"{}\"", job_state_name(state)),
                  state == *job.state ? 1 : 0);
    }
  }
  text.of_jobsets("pelton_jobset_generation", "Number of the present generation.",
                  [](const JobMetrics& job) { return job.generation; });
  text.of_jobsets("pelton_jobset_ranks", "Ranks that the present generation runs on.",
                  [](const JobMetrics& job) { return job.ranks; });
  text.of_jobsets("pelton_jobset_full_ranks", "Ranks that the job asks for.",
                  [](const JobMetrics& job) { return job.full_ranks; });
  text.of_jobsets("pelton_jobset_spares", "Pods that have joined and have no rank.",
                  [](const JobMetrics& job) { return job.spares; });
  text.of_jobsets("pelton_jobset_step", "The last step that all ranks have done; -1: none yet.",
                  [](const JobMetrics& job) { return job.step; });
}

}  // namespace

std::string exposition(const Jobs& jobs) {
  Text text(jobs);
  put_shares(text);
  put_times(text, jobs);
  put_interruptions(text, jobs);
  put_present(text, jobs);
  return text.take();
}

}  // namespace pelton::decide::goodput
