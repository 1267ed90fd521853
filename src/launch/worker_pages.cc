// SPDX-License-Identifier: Apache-2.0
#include "launch/worker_pages.h"

#include <algorithm>
#include <utility>

namespace pelton::launch {
namespace {

using decide::recovery::PodReport;
using decide::recovery::WorkerReport;
using decide::recovery::WorkerState;

/// What an exception's file may hold for it to be read.
constexpr size_t kLongestWords = 64 << 10;
/// Beside the page: {"cause", "detail", "since"}.
constexpr const char* kHangSuffix = ".hang";

}  // namespace

std::string WorkerPages::path_of(WorkerId worker) const {
  return directory_ + "/" + std::to_string(worker.generation) + "-" + std::to_string(worker.rank) +
         ".page";
}

base::Result<std::string> WorkerPages::make(WorkerId worker, int rank) {
  const std::string path = path_of(worker);
  PELTON_TRY(world_.files.replace(path, make_page(worker.generation, rank)));
  add(worker, rank, path);
  return path;
}

void WorkerPages::open(WorkerId worker, int rank) {
  add(worker, rank, path_of(worker));
}

void WorkerPages::add(WorkerId worker, int rank, std::string path) {
  auto mapped = world_.files.map(path, kPageSize);
  if (!mapped.ok()) return;
  const base::Status fits = PageReader::check(mapped.value()->bytes(), worker.generation, rank);
  if (!fits.ok()) {
    return world_.log.warning("launch.page", {{"path", path}, {"message", fits.message()}});
  }
  pages_.erase(worker);
  const auto page =
      pages_.emplace(worker, Page{std::move(path), std::move(mapped).value(), PageReader(),
                                  Progress(world_.clock.elapsed().ns())});
  if (save_ && save_->generation == worker.generation) ask_to_save(page.first->second);
}

void WorkerPages::ask_to_save(int64_t generation, base::Instant by, bool may_agree) {
  if (save_ && save_->generation == generation && save_->by == by &&
      save_->may_agree == may_agree) {
    return;
  }
  // Who may agree must not meet one who has not been asked.
  for (const bool step : {false, true}) {
    if (step && !may_agree) break;
    save_ = SaveRequest{generation, by, step};
    for (const auto& [worker, page] : pages_) {
      if (worker.generation == generation) ask_to_save(page);
    }
  }
}

void WorkerPages::ask_to_save(const Page& page) const {
  const auto file = world_.files.open(page.path, world::OpenMode::ReadWrite);
  base::Status written = file.status();
  if (written.ok()) written = file.value()->write_at(kPageAsks, save_request(save_->by));
  if (written.ok() && save_->may_agree)
    written = file.value()->write_at(kPageMayAgree, may_agree());
  if (!written.ok()) {
    world_.log.error("launch.page", {{"path", page.path}, {"message", written.message()}});
  }
}

std::optional<base::Instant> WorkerPages::asked_to_save(int64_t generation) const {
  for (const auto& [worker, page] : pages_) {
    if (worker.generation != generation) continue;
    if (const auto by = save_request_in(page.bytes->bytes())) return by;
  }
  return std::nullopt;
}

SaveAnswer WorkerPages::save_answer(int64_t generation) const {
  SaveAnswer most;
  for (const auto& [worker, page] : pages_) {
    if (worker.generation != generation) continue;
    const SaveAnswer answer = save_answer_in(page.bytes->bytes());
    most.is_looking = most.is_looking || answer.is_looking;
    most.saved_step = std::max(most.saved_step, answer.saved_step);
  }
  return most;
}

void WorkerPages::remove(WorkerId worker) {
  const auto page = pages_.find(worker);
  if (page == pages_.end()) return;
  for (const char* suffix : {kExceptionSuffix, kHangSuffix}) {
    world_.files.remove(page->second.path + suffix).ignore("mostly there is none");
  }
  world_.files.remove(page->second.path).ignore("its directory goes in the end");
  pages_.erase(page);
}

bool WorkerPages::read(WorkerId worker, Page& page) {
  beats_.clear();
  page.reader.read(page.bytes->bytes(), beats_);
  for (const Beat& beat : beats_) {
    page.progress.on_beat(beat);
    on_beat_(worker, beat);
  }
  return !beats_.empty();
}

bool WorkerPages::read() {
  bool is_any_new = false;
  for (auto& [worker, page] : pages_) is_any_new = read(worker, page) || is_any_new;
  return is_any_new;
}

bool WorkerPages::read(WorkerId worker) {
  const auto page = pages_.find(worker);
  return page != pages_.end() && read(worker, page->second);
}

std::optional<LastWords> WorkerPages::last_words(WorkerId worker) {
  const auto page = pages_.find(worker);
  if (page == pages_.end()) return std::nullopt;
  auto file = world_.files.open(page->second.path + kExceptionSuffix, world::OpenMode::Read);
  if (!file.ok()) return std::nullopt;
  const auto text = file.value()->read_at(0, kLongestWords);
  if (!text.ok()) return std::nullopt;
  const auto json = base::Json::parse(*text);
  if (!json.ok() || (*json)["type"].as_string().empty()) return std::nullopt;
  std::string message = (*json)["message"].as_string();
  std::replace(message.begin(), message.end(), '\n', ' ');
  return LastWords{(*json)["type"].as_string(), message.substr(0, 500),
                   (*json)["where"].as_string()};
}

int WorkerPages::writer(WorkerId worker) const {
  const auto page = pages_.find(worker);
  return page == pages_.end() ? 0 : writer_of(page->second.bytes->bytes());
}

Tick WorkerPages::tick(WorkerId worker) const {
  const auto page = pages_.find(worker);
  return page == pages_.end() ? Tick() : tick_in(page->second.bytes->bytes());
}

void WorkerPages::note_hang(WorkerId worker, const Hang& hang) {
  const base::Json json = base::Json::object({{"cause", hang.cause},
                                              {"detail", hang.detail},
                                              {"raised", hang.has_raised},
                                              {"since", base::format_micro_time(hang.since)}});
  world_.files.replace(path_of(worker) + kHangSuffix, json.dump())
      .ignore("a successor would name the signal that ended it");
}

std::optional<Hang> WorkerPages::hang_of(WorkerId worker) const {
  const auto text = world_.files.read(path_of(worker) + kHangSuffix);
  if (!text.ok()) return std::nullopt;
  const auto json = base::Json::parse(*text);
  if (!json.ok() || (*json)["cause"].as_string().empty()) return std::nullopt;
  const auto since = base::parse_time((*json)["since"].as_string());
  return Hang{(*json)["cause"].as_string(), (*json)["detail"].as_string(),
              since.ok() ? *since : base::Instant(), (*json)["raised"].as_bool()};
}

bool WorkerPages::do_all_step(const std::vector<WorkerId>& workers) const {
  return std::all_of(workers.begin(), workers.end(), [this](const WorkerId& worker) {
    const auto page = pages_.find(worker);
    return page != pages_.end() && page->second.progress.step() >= 0;
  });
}

void WorkerPages::complete(PodReport& report) {
  const int64_t now_ns = world_.clock.elapsed().ns();
  const auto instant = [&](int64_t at_ns) {
    return world_.clock.now() - base::Duration::nanoseconds(now_ns - at_ns);
  };
  const SaveAnswer answer = save_answer(report.generation);
  report.answers_saves = answer.is_looking;
  report.saved_step = answer.saved_step;
  if (save_ && save_->generation == report.generation) report.told_save_by = save_->by;
  const Progress* slowest = nullptr;
  for (WorkerReport& worker : report.workers) {
    const auto page = pages_.find({report.generation, worker.rank});
    if (page == pages_.end() || !page->second.progress.has_begun()) continue;
    const Progress& progress = page->second.progress;
    worker.step = progress.step();
    worker.phase = phase_name(progress.phase());
    if (worker.state == WorkerState::Starting) {
      worker.state = WorkerState::Running;
      worker.since = instant(progress.begun_ns());
    }
    base::Instant& first_step_at = page->second.first_step_at;
    if (progress.first_step() >= 0) {
      if (first_step_at == base::Instant()) first_step_at = instant(progress.first_step_ns());
      report.first_step_at = std::max(report.first_step_at, first_step_at);
    }
    if (slowest == nullptr || progress.last_step() < slowest->last_step()) slowest = &progress;
  }
  if (slowest == nullptr) return;
  report.phase_seconds = slowest->phase_seconds(now_ns);
  report.first_step = slowest->first_step();
  report.last_step = slowest->last_step();
  if (report.last_step >= 0) report.last_step_at = instant(slowest->last_step_ns());
}

}  // namespace pelton::launch
