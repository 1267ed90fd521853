// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "decide/checkpoint/manifest.h"

namespace pelton::decide::checkpoint {
namespace {

using base::Json;

constexpr const char* kFormat = "pelton-checkpoint-log";
constexpr const char* kKinds[] = {"fence", "commit", "drop", "state"};
constexpr size_t kRecordsKept = 64, kRunsKept = 64;

Json commit_json(const Commit& commit) {
  return Json::object({{"step", commit.step},
                       {"epoch", commit.epoch},
                       {"directory", commit.directory},
                       {"writers", static_cast<int64_t>(commit.writers)},
                       {"plan", commit.plan}});
}

base::Result<Commit> commit_of(const Json& json) {
  Commit commit{json["step"].as_int(-1), json["epoch"].as_int(-1), json["directory"].as_string(),
                static_cast<uint64_t>(json["writers"].as_int()), json["plan"].as_string()};
  if (!step_and_epoch(commit.directory)) {
    return base::invalid_argument("directory: must be step-STEP-eEPOCH");
  }
  if (step_and_epoch(commit.directory) != std::pair(commit.step, commit.epoch)) {
    return base::invalid_argument("directory: does not fit step and epoch");
  }
  return commit;
}

bool is_later(const Commit& a, const Commit& b) {
  return std::pair(a.epoch, a.step) > std::pair(b.epoch, b.step);
}

base::Status fenced(std::string message) {
  return {base::Code::FailedPrecondition, "Fenced", std::move(message)};
}

std::optional<int64_t> digits(std::string_view text) {
  if (text.empty() || text.front() == '-' || text.front() == '+') return std::nullopt;
  const auto number = base::parse_int(text);
  if (!number.ok()) return std::nullopt;
  return *number;
}

}  // namespace

std::string step_directory(int64_t step, int64_t epoch) {
  return fmt::format("step-{:012d}-e{}", step, epoch);
}

std::optional<std::pair<int64_t, int64_t>> step_and_epoch(std::string_view directory) {
  constexpr std::string_view kPrefix = "step-";
  const size_t dash = directory.rfind("-e");
  if (!directory.starts_with(kPrefix) || dash == std::string_view::npos || dash < kPrefix.size()) {
    return std::nullopt;
  }
  const auto step = digits(directory.substr(kPrefix.size(), dash - kPrefix.size()));
  const auto epoch = digits(directory.substr(dash + 2));
  if (!step || !epoch || step_directory(*step, *epoch) != directory) return std::nullopt;
  return std::pair(*step, *epoch);
}

std::string record_name(int64_t number) {
  return fmt::format("{:012d}.record", number);
}

std::optional<int64_t> record_number(std::string_view name) {
  const size_t dot = name.find('.');
  const auto number = digits(name.substr(0, dot));
  if (!number || record_name(*number) != name) return std::nullopt;
  return number;
}

Json to_json(const Record& record) {
  Json json = Json::object({{"format", kFormat},
                            {"version", kFormatVersion},
                            {"kind", kKinds[static_cast<size_t>(record.kind)]},
                            {"epoch", record.epoch}});
  if (record.kind == Record::Kind::Fence || record.kind == Record::Kind::State) {
    json.set("job", record.job);
    json.set("run", record.run);
    json.set("generation", record.generation);
  }
  if (record.kind == Record::Kind::Committed || record.kind == Record::Kind::Dropped) {
    json.set("commit", commit_json(record.commit));
  }
  if (!record.reason.empty()) json.set("reason", record.reason);
  if (record.kind == Record::Kind::State) {
    Json::Array commits;
    for (const Commit& commit : record.commits) commits.push_back(commit_json(commit));
    json.set("commits", std::move(commits));
    Json::Array runs;
    for (const std::string& run : record.past_runs) runs.emplace_back(run);
    json.set("pastRuns", std::move(runs));
  }
  return json;
}

base::Result<Record> record_of(const Json& json) {
  if (json["format"].as_string() != kFormat) {
    return base::invalid_argument(fmt::format("format: this is no {}", kFormat));
  }
  if (json["version"].as_int() > kFormatVersion) {
    return base::Status(base::Code::FailedPrecondition, "NewerFormat",
                        fmt::format("version: written in format {}; this program reads up to {}: "
                                    "use a newer pelton",
                                    json["version"].as_int(), kFormatVersion));
  }
  Record record;
  const auto kind = std::find(std::begin(kKinds), std::end(kKinds), json["kind"].as_string());
  if (kind == std::end(kKinds)) return base::invalid_argument("kind: is none that is known");
  record.kind = static_cast<Record::Kind>(kind - std::begin(kKinds));
  record.epoch = json["epoch"].as_int();
  record.job = json["job"].as_string();
  record.run = json["run"].as_string();
  record.generation = json["generation"].as_int();
  record.reason = json["reason"].as_string();
  if (record.kind == Record::Kind::Committed || record.kind == Record::Kind::Dropped) {
    PELTON_ASSIGN(record.commit, commit_of(json["commit"]));
  }
  for (const Json& each : json["commits"].items()) {
    PELTON_ASSIGN(Commit commit, commit_of(each));
    record.commits.push_back(std::move(commit));
  }
  for (const Json& run : json["pastRuns"].items()) record.past_runs.push_back(run.as_string());
  return record;
}

void LogState::add(int64_t number, const Record& record) {
  last = std::max(last, number);
  switch (record.kind) {
    case Record::Kind::Fence:
      if (epoch != 0 && run != record.run) past_runs.push_back(run);
      epoch = number;
      job = record.job;
      run = record.run;
      generation = record.generation;
      return;
    case Record::Kind::Committed:
      if (std::find(unreadable.begin(), unreadable.end(), record.commit.epoch) !=
          unreadable.end()) {
        epoch = record.commit.epoch;
      }
      if (record.commit.epoch != epoch) return;
      if (std::find(commits.begin(), commits.end(), record.commit) != commits.end()) return;
      commits.push_back(record.commit);
      return;
    case Record::Kind::Dropped:
      if (record.epoch != epoch) return;
      std::erase_if(commits,
                    [&](const Commit& each) { return each.directory == record.commit.directory; });
      return;
    case Record::Kind::State:
      epoch = record.epoch;
      job = record.job;
      run = record.run;
      generation = record.generation;
      commits = record.commits;
      past_runs = record.past_runs;
      return;
  }
}

void LogState::add_unreadable(int64_t number) {
  last = std::max(last, number);
  unreadable.push_back(number);
}

const Commit* LogState::newest() const {
  const Commit* best = nullptr;
  for (const Commit& each : commits) {
    if (!best || is_later(each, *best)) {
      best = &each;
    }
  }
  return best;
}

Record LogState::to_record() const {
  Record record;
  record.kind = Record::Kind::State;
  record.job = job;
  record.run = run;
  record.generation = generation;
  record.epoch = epoch;
  record.commits = commits;
  // Those of long ago are gone for good.
  const size_t old = past_runs.size() > kRunsKept ? past_runs.size() - kRunsKept : 0;
  record.past_runs.assign(past_runs.begin() + static_cast<ptrdiff_t>(old), past_runs.end());
  return record;
}

base::Result<std::optional<int64_t>> decide_begin(const LogState& state, const Attempt& attempt) {
  if (state.epoch == 0) return std::optional<int64_t>();
  // Where the fence that named it is damaged, it is whoever comes.
  const bool is_known = !state.job.empty() || state.unreadable.empty();
  if (is_known && state.job != attempt.job) {
    return base::Status(base::Code::FailedPrecondition, "OtherJob",
                        fmt::format("it holds the checkpoints of job \"{}\", and this is job "
                                    "\"{}\": name that job to continue it, or give this one a "
                                    "directory of its own",
                                    state.job, attempt.job));
  }
  if (std::find(state.past_runs.begin(), state.past_runs.end(), attempt.run) !=
      state.past_runs.end()) {
    return fenced(fmt::format("run \"{}\" has been followed by run \"{}\": it is over", attempt.run,
                              state.run));
  }
  if (state.run == attempt.run) {
    if (attempt.generation == state.generation) return std::optional<int64_t>(state.epoch);
    if (attempt.generation < state.generation) {
      return fenced(fmt::format("generation {} has been followed by generation {}: it is over",
                                attempt.generation, state.generation));
    }
  }
  return std::optional<int64_t>();
}

base::Status decide_commit(const LogState& state, const Commit& commit) {
  if (std::find(state.commits.begin(), state.commits.end(), commit) != state.commits.end()) {
    return {base::Code::AlreadyExists, commit.directory + " is committed"};
  }
  if (commit.epoch != state.epoch) {
    return fenced(fmt::format("{} was written before generation {} began: it is not committed",
                              commit.directory, state.generation));
  }
  return base::ok();
}

Cleaning decide_cleaning(const LogState& state, const std::vector<std::string>& directories,
                         size_t records, size_t keep) {
  Cleaning cleaning;
  std::vector<Commit> newest_first = state.commits;
  std::sort(newest_first.begin(), newest_first.end(), is_later);
  std::set<std::string> kept;
  int64_t newest_here = -1;
  for (size_t i = 0; i < newest_first.size(); ++i) {
    if (i < std::max<size_t>(keep, 1)) {
      kept.insert(newest_first[i].directory);
    } else {
      cleaning.drop.push_back(newest_first[i]);
    }
    if (newest_first[i].epoch == state.epoch) {
      newest_here = std::max(newest_here, newest_first[i].step);
    }
  }
  for (const std::string& directory : directories) {
    const auto name = step_and_epoch(directory);
    if (!name || kept.contains(directory)) continue;
    const auto [step, epoch] = *name;
    // An epoch that this reader does not know of has begun since: not ours to judge.
    if (epoch > state.epoch) continue;
    if (epoch == state.epoch && step > newest_here) continue;
    cleaning.remove.push_back(directory);
  }
  if (records > kRecordsKept) cleaning.state_after = state.last;
  return cleaning;
}

}  // namespace pelton::decide::checkpoint
