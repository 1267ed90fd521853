// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pelton::checkpoint {
namespace {

using decide::checkpoint::Commit;
using decide::checkpoint::Manifest;
using decide::checkpoint::Record;

/// From the newest commit back, until one is intact.
class Restore : public std::enable_shared_from_this<Restore> {
 public:
  Restore(const Place& place, std::vector<Target> targets, bool is_alone, RestoreDone done,
          OnThreads on_threads)
      : place_(place),
        targets_(std::move(targets)),
        is_alone_(is_alone),
        done_(std::move(done)),
        on_threads_(std::move(on_threads)) {}

  void start() {
    const auto state = place_.log.read();
    if (!state.ok()) return done_(state.error());
    const Commit* const newest = state->newest();
    if (!newest) return give_up();
    base::Status status = load(*newest);
    if (status.ok()) return done_(std::move(restored_));
    if (status.code() != base::Code::DataLoss) return done_(std::move(status));
    restored_.passed_over.push_back(status.message());
    drop(*newest, status.message());
  }

 private:
  base::Status load(const Commit& commit) {
    StepReader reader(place_.files, on_threads_);
    base::Status status = reader.add(place_.directory + "/" + commit.directory, Tier::Durable);
    if (status.code() == base::Code::NotFound || status.code() == base::Code::InvalidArgument) {
      return {base::Code::DataLoss, status.message()};
    }
    PELTON_TRY(status);
    status = decide::checkpoint::check_complete(reader.manifests());
    if (!status.ok() || reader.manifests().front().step != commit.step) {
      return {base::Code::DataLoss,
              fmt::format("{}/{}: {}", place_.directory, commit.directory,
                          status.ok() ? "its manifests are of another step" : status.message())};
    }
    PELTON_TRY(reader.read(targets_));
    restored_.bytes = reader.bytes_read();
    restored_.generation = reader.manifests().front().generation;
    restored_.version = {commit.epoch, commit.step};
    restored_.extras.resize(commit.writers);
    for (const Manifest& manifest : reader.manifests()) {
      restored_.extras[manifest.writer] = manifest.extra;
    }
    return base::ok();
  }

  void drop(const Commit& commit, const std::string& why) {
    place_.log.append(
        [commit, why](const LogFile::LogState& now) -> base::Result<Record> {
          Record record;
          record.kind = Record::Kind::Dropped;
          record.epoch = now.epoch;
          record.commit = commit;
          record.reason = why;
          return record;
        },
        [self = shared_from_this()](const auto& state) {
          if (!state.ok()) return self->done_(state.error());
          self->is_alone_ ? self->start() : self->give_up();
        });
  }

  void give_up() {
    if (restored_.passed_over.empty()) {
      return done_(base::not_found(place_.directory + ": nothing is committed there"));
    }
    if (!is_alone_) {
      return done_(base::Status(base::Code::DataLoss,
                                restored_.passed_over.front() +
                                    ": it is not used any more; start the job's ranks again, and "
                                    "they take the one before it"));
    }
    done_(base::Status(base::Code::DataLoss,
                       fmt::format("{}: no checkpoint there is intact; the newest: {}",
                                   place_.directory, restored_.passed_over.front())));
  }

  Place place_;
  std::vector<Target> targets_;
  bool is_alone_;
  RestoreDone done_;
  OnThreads on_threads_;
  Restored restored_;
};

}  // namespace

void restore_newest(const Place& place, std::vector<Target> targets, bool is_alone,
                    RestoreDone done, OnThreads on_threads) {
  std::make_shared<Restore>(place, std::move(targets), is_alone, std::move(done),
                            std::move(on_threads))
      ->start();
}

}  // namespace pelton::checkpoint
