// SPDX-License-Identifier: Apache-2.0
#include "agent/log_stream.h"

namespace pelton::agent {
namespace {

constexpr size_t kPiece = 256 * 1024;
constexpr size_t kMaxBacklog = 1024 * 1024;
constexpr base::Duration kBacklogPause = base::Duration::milliseconds(20);

}  // namespace

LogStream::LogStream(world::World world, ContainerPaths paths, bool is_following,
                     LogOptions options, net::ResponseSinkPtr sink, std::function<void()> ended)
    : world_(world),
      paths_(std::move(paths)),
      is_following_(is_following),
      tail_lines_(options.tail_lines),
      reader_(options),
      sink_(std::move(sink)),
      ended_(std::move(ended)),
      timer_(world.timers),
      log_(world.files, paths_) {}

void LogStream::start() {
  sink_->on_gone([this] { end(); });
  sink_->head({.status = 200, .headers = {{"Content-Type", "text/plain; charset=utf-8"}}});
  if (is_following_) {
    // The directory tells of the log's first appearance, of rotations and of the container's end.
    auto watch = world_.files.watch(paths_.directory, [this] {
      watch_log();
      pump();
    });
    if (watch.ok()) directory_watch_ = std::move(watch).value();
  }
  pump();
}

void LogStream::pump() {
  if (is_over_ || timer_.is_pending()) return;
  // Asked before reading: what is written before the end is read before the end.
  const bool is_last = !is_following_ || !world_.files.exists(paths_.directory) ||
                       read_exit(world_.files, paths_).has_value();
  if (!open()) return is_last ? end() : void();
  for (;;) {
    if (sink_->backlog() > kMaxBacklog) {
      return timer_.start(kBacklogPause, [this] { pump(); });
    }
    const auto piece = log_.read(kPiece);
    if (!piece.ok()) return end();
    const std::string text = reader_.read(*piece);
    if (!text.empty()) sink_->write(text);
    if (is_over_ || reader_.is_exhausted()) return end();
    if (piece->empty()) break;
  }
  if (is_last) end();
}

bool LogStream::open() {
  if (log_.is_open()) return true;
  if (!log_.open()) return false;
  if (is_following_) watch_log();
  if (tail_lines_) {
    const auto whole = world_.files.read(paths_.log());
    if (whole.ok()) log_.skip_to(tail_offset(*whole, *tail_lines_));
  }
  return true;
}

/// A watch is of the file that had the name then, and a rotation puts another one there.
void LogStream::watch_log() {
  auto watch = world_.files.watch(paths_.log(), [this] { pump(); });
  if (watch.ok()) log_watch_ = std::move(watch).value();
}

/// Once; then this object is destroyed soon.
void LogStream::end() {
  if (std::exchange(is_over_, true)) return;
  timer_.cancel();
  sink_->on_gone(nullptr);
  if (!sink_->is_gone()) sink_->end();
  world_.timers.post(ended_);
}

}  // namespace pelton::agent
