// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/event_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string>

#include "base/strings.h"
#include "decide/goodput/step_log.h"

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;
using base::Json;

std::optional<Instant> seconds_at(const Json& entry, std::string_view name) {
  const Json* value = entry.find(name);
  if (!value || !value->is_number()) return std::nullopt;
  const double seconds = value->as_double();
  // Nanoseconds have to fit; whoever logs in milliseconds is not understood.
  if (!std::isfinite(seconds) || seconds < 0 || seconds > 9e9) return std::nullopt;
  const double whole = std::floor(seconds);
  return Instant::from_unix_ns(static_cast<int64_t>(whole) * 1'000'000'000 +
                               std::llround((seconds - whole) * 1e9));
}

/// Entries of ml-goodput-measurement and Orbax.
class StepEntries {
 public:
  explicit StepEntries(StepLog& log) : log_(log) {}

  void read(const Json& entry) {
    if (const auto at = seconds_at(entry, "job_start_time")) log_.job_started(*at);
    if (const auto at = seconds_at(entry, "job_end_time")) log_.job_ended(*at);
    if (const auto at = seconds_at(entry, "step_start_time")) {
      log_.step_began(entry["step_count"].as_int(), *at);
    }
    pair(entry, "tpu_init", Category::TpuInitialization, "");
    pair(entry, "training_prep", Category::TrainingPrep, "");
    pair(entry, "elastic_reinit", Category::ElasticReinitialization, "");
    const std::string wait = base::to_lower(entry["elastic_wait_event_type"].as_string());
    pair(entry, "elastic_wait",
         wait.find("scale_up") != std::string::npos ? Category::ElasticScaleUp
                                                    : Category::ElasticSliceDown,
         wait);
    pair(entry, "custom_badput_event", Category::Custom,
         entry["custom_badput_event_type"].as_string());
    read_data(entry);
    read_checkpoint(entry);
    if (const auto at = seconds_at(entry, "elastic_slice_counts_timestamp")) {
      log_.width_is(static_cast<int>(entry["active_slices"].as_int()),
                    static_cast<int>(entry["total_slices"].as_int()), *at);
    }
  }

 private:
  void pair(const Json& entry, const std::string& name, Category category,
            const std::string& cause) {
    const std::string key = name + "/" + cause;
    if (const auto from = seconds_at(entry, name + "_start_time")) open_[key] = *from;
    const auto to = seconds_at(entry, name + "_end_time");
    const auto from = open_.find(key);
    if (!to || from == open_.end()) return;
    log_.claim(from->second, *to, category, cause);
    open_.erase(from);
  }

  /// Only the first loading after a start holds a job up; later ones overlap with steps.
  void read_data(const Json& entry) {
    if (const auto from = seconds_at(entry, "data_loading_start_time")) data_from_ = *from;
    const auto to = seconds_at(entry, "data_loading_end_time");
    if (!to || !data_from_) return;
    if (log_.is_before_steps()) log_.claim(*data_from_, *to, Category::DataLoadingSync, "");
    data_from_.reset();
  }

  void read_checkpoint(const Json& entry) {
    const std::string& type = entry["event_type"].as_string();
    const bool is_save = type == "save";
    if (!is_save && type != "restore" && type != "emergency_restore") return;
    const std::string lead = is_save ? "checkpoint_manager_blocking_" : "checkpoint_manager_";
    const auto from = seconds_at(entry, lead + "start_time");
    const double seconds = entry[lead + "duration_secs"].as_double();
    if (!from || !(seconds > 0) || seconds > 1e6) return;
    log_.claim(*from, *from + Duration::nanoseconds(std::llround(seconds * 1e9)),
               is_save ? Category::CheckpointSave : Category::CheckpointRestore,
               type == "emergency_restore" ? "local" : "");
  }

  StepLog& log_;
  std::map<std::string, Instant> open_;
  std::optional<Instant> data_from_;
};

struct CheckpointEvent {
  Instant at;
  int order = 0;  ///< of events at one instant
  std::string type;
  int64_t step = 0;
};

std::optional<CheckpointEvent> checkpoint_event_of(const Json& entry) {
  constexpr const char* kTypes[] = {"user_scheduled",   "job_started",     "checkpoint_loaded",
                                    "checkpoint_saved", "user_terminated", "job_terminated"};
  const auto* type =
      std::find(std::begin(kTypes), std::end(kTypes), entry["event_type"].as_string());
  if (type == std::end(kTypes)) return std::nullopt;
  std::string text = entry["timestamp"].as_string();
  // Python's isoformat() of a time without a zone: theirs is UTC.
  if (text.find_first_of("Zz+") == std::string::npos && text.rfind('-') < 10) text += "Z";
  const auto at = base::parse_time(text);
  if (!at.ok()) return std::nullopt;
  return CheckpointEvent{*at, static_cast<int>(type - std::begin(kTypes)), *type,
                         static_cast<int64_t>(entry["step"].as_double())};
}

void read_checkpoint_events(std::vector<CheckpointEvent> events, StepLog& log) {
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
    return a.at != b.at ? a.at < b.at : a.order < b.order;
  });
  // Every node says that it started and ended: the first and last of a row are the job's.
  std::optional<Instant> started, terminated;
  int64_t reached = 0;
  for (const CheckpointEvent& event : events) {
    if (event.type == "user_scheduled") {
      log.scheduled(event.at);
    } else if (event.type == "job_started") {
      if (!started || terminated || !log.is_before_steps()) {
        log.job_started(event.at);
        started = event.at;
      }
      terminated.reset();
    } else if (event.type == "checkpoint_loaded") {
      if (!log.is_before_steps()) continue;
      if (started) log.claim(*started, event.at, Category::CheckpointRestore, "");
      log.step_began(reached = event.step, event.at);
    } else if (event.type == "checkpoint_saved") {
      const bool is_first = log.is_before_steps();
      // Nothing was loaded: it began at step 0, when it started.
      if (is_first && started) log.step_began(reached = 0, *started);
      if (event.step > reached) log.step_began(reached = event.step, event.at);
    } else {
      if (!terminated) log.generation_ended(event.at);
      terminated = event.at;
    }
    log.log_ended(event.at);
  }
}

template <typename F>
void for_each_entry(std::string_view text, const F& f) {
  for (const std::string_view line : base::split(text, '\n')) {
    if (base::trim(line).empty()) continue;
    const auto entry = Json::parse(line);
    if (entry.ok() && entry->is_object()) f(*entry);
  }
}

}  // namespace

base::Result<Timeline> timeline_of_log(std::string_view text, Instant now) {
  StepLog log;
  StepEntries steps(log);
  std::vector<CheckpointEvent> checkpoints;
  std::string job;
  std::string other_job;
  for_each_entry(text, [&](const Json& entry) {
    const std::string& name = entry["job_name"].as_string();
    if (job.empty()) job = name;
    if (!name.empty() && name != job) other_job = name;
    if (auto event = checkpoint_event_of(entry)) {
      checkpoints.push_back(*std::move(event));
    } else {
      steps.read(entry);
    }
  });
  if (!other_job.empty()) {
    return base::invalid_argument(fmt::format(
        "the log is of several jobs (job_name \"{}\" and \"{}\"): give the lines of one", job,
        other_job));
  }
  read_checkpoint_events(std::move(checkpoints), log);
  return log.timeline(now);
}

}  // namespace pelton::decide::goodput
