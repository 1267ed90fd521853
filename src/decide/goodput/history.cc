// SPDX-License-Identifier: Apache-2.0
#include "decide/goodput/history.h"

#include <algorithm>
#include <cmath>
#include <tuple>

namespace pelton::decide::goodput {
namespace {

using base::Duration;
using base::Instant;
using base::Json;
using Phase = recovery::Generation::Phase;

/// Within the steps, saves and the like are drawn in so many places.
constexpr int64_t kPlacesMost = 16;

Instant time_of(const Json& json) {
  const auto time = base::parse_time(json.as_string());
  return time.ok() ? *time : Instant();
}

Entry entry_of(const Json& json) {
  Entry entry;
  entry.number = json["number"].as_int();
  for (const Phase phase : {Phase::Running, Phase::Finished, Phase::Failed, Phase::Waiting}) {
    if (json["phase"].as_string() == recovery::phase_name(phase)) entry.phase = phase;
  }
  entry.began = time_of(json["began"]);
  entry.ended = time_of(json["ended"]);
  entry.width = static_cast<int>(json["worldSize"].as_int());
  entry.full_width = static_cast<int>(json["fullWorldSize"].as_int());
  entry.cause = json["cause"].as_string();
  entry.rank = static_cast<int>(json["rank"].as_int(-1));
  entry.node = json["node"].as_string();
  entry.failed_at = time_of(json["failedAt"]);
  entry.first_step = json["firstStep"].as_int(-1);
  entry.last_step = json["lastStep"].as_int(-1);
  entry.first_step_at = time_of(json["firstStepAt"]);
  entry.last_step_at = time_of(json["lastStepAt"]);
  for (const Json::Member& phase : json["phaseSeconds"].members()) {
    entry.phase_seconds[phase.name] = phase.value.as_double();
  }
  entry.folded = folded_of(json["sums"]);
  return entry;
}

/// What its pods say of the generation that runs. A step is done when the slowest has done it.
void add_reports(Entry& entry, const std::vector<recovery::PodReport>& reports) {
  double slowest = -1;
  for (const recovery::PodReport& report : reports) {
    if (report.generation != entry.number || report.first_step < 0) continue;
    const bool is_first = entry.first_step < 0;
    entry.first_step = is_first ? report.first_step : std::max(entry.first_step, report.first_step);
    entry.last_step = is_first ? report.last_step : std::min(entry.last_step, report.last_step);
    entry.first_step_at = std::max(entry.first_step_at, report.first_step_at);
    entry.last_step_at = std::max(entry.last_step_at, report.last_step_at);
    double held_up = 0;
    for (const auto& [phase, seconds] : report.phase_seconds) {
      if (phase != "step" && phase != "collective") held_up += seconds;
    }
    if (held_up <= slowest) continue;
    slowest = held_up;
    entry.phase_seconds = report.phase_seconds;
  }
}

/// The part of a timeline that one entry is.
class Reader {
 public:
  /// `before`: what came before the first of the entries that are read.
  Reader(const std::vector<Entry>& entries, Timeline& timeline, const Folded& before)
      : entries_(entries),
        timeline_(timeline),
        before_(before),
        at_(before.to),
        step_by_width_(before.step_by_width) {}

  const std::map<int, Duration>& step_by_width() const { return step_by_width_; }

  void read(size_t index) {
    entry_ = &entries_[index];
    const bool is_last = index + 1 == entries_.size();
    began_ = at_ = clamp(entry_->began, at_);
    const Instant end = is_last ? timeline_.to : clamp(entries_[index + 1].began, began_);
    if (entry_->phase == Phase::Waiting) {
      claim(Category::ElasticSliceDown, end, "Waiting");
      return;
    }
    // When it ended to train: it failed, or it was told to.
    const bool is_failed = !entry_->cause.empty();
    down_ = entry_->ended == Instant() ? end : clamp(entry_->ended, began_, end);
    // A step that was done after what is called the failure shows that it still ran then.
    if (is_failed && entry_->failed_at != Instant()) {
      down_ = clamp(std::max(entry_->failed_at, entry_->last_step_at), began_, down_);
    }
    const bool is_full = entry_->full_width <= 0 || entry_->width >= entry_->full_width;
    if (is_full)
      timeline_.placed.push_back({began_, down_, Category::Other, "", entry_->number, 0});

    const bool has_steps = entry_->first_step >= 0 && entry_->last_step >= entry_->first_step &&
                           entry_->first_step_at != Instant();
    if (has_steps) {
      read_steps(index);
    } else {
      read_start(index, down_);
    }
    read_end(index, end, is_last, is_failed);
  }

 private:
  Instant clamp(Instant time, Instant from) const { return clamp(time, from, timeline_.to); }
  static Instant clamp(Instant time, Instant from, Instant to) {
    return std::min(std::max(time, from), std::max(from, to));
  }

  void claim(Category category, Instant to, std::string cause) {
    if (to <= at_) return;
    const int width = entry_->phase == Phase::Waiting ? 0 : entry_->width;
    timeline_.claims.push_back({at_, to, category, std::move(cause), entry_->number, width});
    at_ = to;
  }

  Duration seconds_of(const char* phase) const {
    const auto found = entry_->phase_seconds.find(phase);
    // A week bounds what a broken report can do.
    const double seconds = found == entry_->phase_seconds.end() ? 0 : found->second;
    return Duration::nanoseconds(
        std::isfinite(seconds) ? std::llround(std::clamp(seconds, 0.0, 604'800.0) * 1e9) : 0);
  }

  /// Why the previous one ended: what this one has to thank its beginning to.
  std::string cause_before(size_t index) const {
    return is_first(index) ? before_.cause : entries_[index - 1].cause;
  }
  /// Of those that are read here.
  bool is_first(size_t index) const { return index == 0 || entries_[index - 1].folded; }
  bool is_resized(size_t index) const {
    for (size_t i = index; !is_first(i); --i) {
      const Entry& earlier = entries_[i - 1];
      if (earlier.phase != Phase::Waiting) return earlier.width != entry_->width;
    }
    return before_.width > 0 && before_.width != entry_->width;
  }

  Duration usual_step(Duration own) const {
    const auto found = step_by_width_.find(entry_->width);
    return found == step_by_width_.end() ? own : found->second;
  }

  void read_start(size_t index, Instant end) {
    const bool is_resized_now = is_resized(index);
    const std::string cause = cause_before(index);
    Duration left = end - at_;
    const Duration compile = std::min(seconds_of("compile"), left);
    const Duration restore = std::min(seconds_of("restore"), left - compile);
    const Duration start = std::min(seconds_of("start"), left - compile - restore);
    left = left - compile - restore - start;
    Category first = Category::InfrastructureRecovery;
    if (is_first(index) && before_.generations == 0) first = Category::TpuInitialization;
    if (is_resized_now) first = Category::ElasticReinitialization;
    claim(first, at_ + left, cause);
    claim(is_resized_now ? first : Category::TpuInitialization, at_ + start, cause);
    claim(Category::CheckpointRestore, at_ + restore, cause);
    claim(is_resized_now ? first : Category::ProgramStartup, at_ + compile, cause);
    compiled_ = compile;
    restored_ = restore;
  }

  void read_steps(size_t index) {
    const Instant first_end = clamp(entry_->first_step_at, began_, down_);
    const Instant last_end = clamp(entry_->last_step_at, first_end, down_);
    const int64_t steps = entry_->last_step - entry_->first_step + 1;
    const Duration held_up = seconds_of("save") + seconds_of("eval") + seconds_of("data");
    Duration step =
        std::min(seconds_of("step") + seconds_of("collective"), last_end - began_) / steps;
    if (steps > 1) {
      const Duration between = last_end - first_end;
      step = std::max(Duration(), between - std::min(held_up, between)) / (steps - 1);
    }
    // Of those before it, where there are any: it then does not change with each further step, and
    // neither does what a recovery took.
    const Duration usual = usual_step(step);
    if (steps > 1) step_by_width_[entry_->width] = step;
    const Instant first_begin = std::max(began_, first_end - usual);
    read_start(index, first_begin);
    timeline_.runs.push_back(
        {first_begin, down_, entry_->number, false, "", entry_->rank, entry_->node});

    // Those that were done again are the last ones.
    int64_t resumed = entry_->last_step + 1;
    for (size_t i = index + 1; i < entries_.size(); ++i) {
      if (entries_[i].first_step >= 0) resumed = std::min(resumed, entries_[i].first_step);
    }
    const int64_t kept = std::clamp<int64_t>(resumed - entry_->first_step, 0, steps);
    const auto all = static_cast<double>((last_end - first_begin).ns());
    const auto kept_ns = std::llround(all * static_cast<double>(kept) / static_cast<double>(steps));
    draw_steps(kept == steps ? last_end : first_begin + Duration::nanoseconds(kept_ns),
               static_cast<double>(kept) / static_cast<double>(steps));
    claim(Category::WastedProgress, last_end, entry_->cause);
  }

  /// [at_, end): productive, and what held it up, spread evenly.
  void draw_steps(Instant end, double share) {
    const auto part = [&](Duration time) {
      return Duration::nanoseconds(std::llround(static_cast<double>(time.ns()) * share));
    };
    const std::vector<std::tuple<Category, const char*, Duration>> phases = {
        {Category::CheckpointSave, "", part(seconds_of("save"))},
        {Category::Custom, "eval", part(seconds_of("eval"))},
        {Category::DataLoadingSync, "", part(seconds_of("data"))},
        {Category::ProgramStartup, "", part(seconds_of("compile") - compiled_)},
        {Category::CheckpointRestore, "", part(seconds_of("restore") - restored_)}};
    Duration left = end - at_;
    std::vector<std::tuple<Category, const char*, Duration>> held_up;
    for (auto [category, cause, time] : phases) {
      time = std::min(time, left);
      left = left - time;
      if (time > Duration()) held_up.emplace_back(category, cause, time);
    }
    const Instant from = at_;
    const Duration length = end - from;
    const int64_t places =
        held_up.empty() ? 1 : std::clamp<int64_t>(length.ns() / 2'000'000'000, 1, kPlacesMost);
    for (int64_t place = 1; place <= places; ++place) {
      const Instant place_end = from + Duration::nanoseconds(length.ns() / places * place +
                                                             length.ns() % places * place / places);
      Duration bad;
      for (const auto& [category, cause, time] : held_up) bad = bad + share_at(time, place, places);
      claim(Category::Productive, std::max(at_, place_end - bad), "");
      for (const auto& [category, cause, time] : held_up) {
        claim(category, std::min(end, at_ + share_at(time, place, places)), cause);
      }
    }
    claim(Category::Productive, end, "");
  }
  static Duration share_at(Duration time, int64_t place, int64_t places) {
    return time * place / places - time * (place - 1) / places;
  }

  void read_end(size_t index, Instant end, bool is_last, bool is_failed) {
    const Entry* next = is_last ? nullptr : &entries_[index + 1];
    const bool grows = next && !is_failed && next->width > entry_->width;
    if (is_failed) {
      claim(Category::WastedProgress, down_, entry_->cause);
      if (!timeline_.runs.empty() && timeline_.runs.back().generation == entry_->number) {
        timeline_.runs.back().is_interrupted = true;
        timeline_.runs.back().cause = entry_->cause;
      }
      if (entry_->phase != Phase::Failed || next) {
        claim(Category::InfrastructureRecovery, end, entry_->cause);
      }
    } else if (grows) {
      claim(Category::ElasticScaleUp, end, "Grow");
    } else if (next) {
      claim(Category::InfrastructureRecovery, end, "Replaced");
    } else {
      claim(Category::Other, end, timeline_.is_over ? "Shutdown" : "StepInProgress");
    }
  }

  const std::vector<Entry>& entries_;
  Timeline& timeline_;
  const Folded& before_;
  const Entry* entry_ = nullptr;
  Instant at_;  ///< all before is claimed
  Instant began_, down_;
  Duration compiled_, restored_;           ///< of the entry, before its first step
  std::map<int, Duration> step_by_width_;  ///< mean, of the newest generation of that width
};

/// In as many places as one can tell apart, each with its part of all.
void claim_folded(const Folded& folded, Timeline& timeline) {
  Instant at = timeline.started;
  for (int64_t place = 1; place <= kPlacesMost; ++place) {
    for (const auto& [kind, time] : folded.times) {
      const Duration part = time * place / kPlacesMost - time * (place - 1) / kPlacesMost;
      if (part <= Duration()) continue;
      timeline.claims.push_back({at, at + part, kind.category, kind.cause, 0, kind.width});
      at = at + part;
    }
  }
}

}  // namespace

Timeline timeline_of_oldest(const std::vector<Entry>& entries, Folded& before) {
  Timeline timeline;
  const Entry& oldest = entries.front();
  timeline.from = timeline.started =
      before.generations > 0 ? before.to : std::max(oldest.began, before.to);
  timeline.to = timeline.from;
  for (const Entry& entry : entries)
    timeline.to = std::max({timeline.to, entry.began, entry.ended});
  Reader reader(entries, timeline, before);
  reader.read(0);
  if (entries.size() > 1) {
    timeline.to = std::min(std::max(entries[1].began, timeline.from), timeline.to);
  }
  before.step_by_width = reader.step_by_width();
  before.cause = oldest.cause;
  if (oldest.phase != Phase::Waiting) before.width = oldest.width;
  return timeline;
}

std::vector<Entry> entries_of(const Json& record, const std::vector<recovery::PodReport>& reports) {
  std::vector<Entry> entries;
  for (const Json& past : record["history"].items()) entries.push_back(entry_of(past));
  const auto generation = recovery::generation_of(record["generation"]);
  if (!generation.ok() || (!entries.empty() && entries.back().number >= generation->number)) {
    return entries;
  }
  Entry entry;
  entry.number = generation->number;
  entry.phase = generation->phase;
  entry.began = generation->began;
  entry.width = generation->world_size();
  entry.full_width = static_cast<int>(record["fullWorldSize"].as_int());
  if (entry.full_width == 0 && !entries.empty()) entry.full_width = entries.back().full_width;
  add_reports(entry, reports);
  entries.push_back(std::move(entry));
  return entries;
}

base::Result<Timeline> timeline_of(const std::vector<Entry>& entries, Instant created,
                                   Instant now) {
  if (entries.empty()) {
    return base::Status(base::Code::FailedPrecondition,
                        "no generation has begun: its pods are not all there yet");
  }
  Timeline timeline;
  const Entry& last = entries.back();
  timeline.is_over = last.phase == Phase::Finished || last.phase == Phase::Failed;
  timeline.started = entries.front().began;
  timeline.from = created == Instant() ? timeline.started : std::min(created, timeline.started);
  // Who finished is over with its last step, where nothing says more.
  const Instant end = last.ended != Instant() ? last.ended : last.last_step_at;
  timeline.to = timeline.is_over && end != Instant() ? end : now;
  timeline.to = std::max(timeline.to, timeline.started);
  for (const Entry& entry : entries) {
    timeline.full_width = std::max({timeline.full_width, entry.full_width, entry.width});
  }
  timeline.claims.push_back({timeline.from, timeline.started, Category::Other, "Scheduling", 0, 0});
  timeline.before = entries.front().folded;
  if (timeline.before) claim_folded(*timeline.before, timeline);
  static const Folded kNone;
  Reader reader(entries, timeline, timeline.before ? *timeline.before : kNone);
  for (size_t i = timeline.before ? 1 : 0; i < entries.size(); ++i) reader.read(i);
  return timeline;
}

}  // namespace pelton::decide::goodput
