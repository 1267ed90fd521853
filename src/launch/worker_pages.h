// SPDX-License-Identifier: Apache-2.0
// The heartbeat pages of this pod's workers: made before a worker starts, read while it runs, and
// told in the pod's report.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "decide/recovery/records.h"
#include "launch/follower.h"
#include "launch/progress.h"
#include "world/world.h"

namespace pelton::launch {

class WorkerPages {
 public:
  using OnBeat = std::function<void(WorkerId, const Beat&)>;
  /// `directory` should be in memory. `on_beat` gets each record that is read, in order. `world`
  /// must outlive it.
  WorkerPages(world::World& world, std::string directory, OnBeat on_beat)
      : world_(world), directory_(std::move(directory)), on_beat_(std::move(on_beat)) {}

  /// A new page; its path, which the worker is told. `rank`: as it stands in the page.
  base::Result<std::string> make(WorkerId worker, int rank);
  /// The page of a worker that a predecessor started. Without one there is no progress to see.
  void open(WorkerId worker, int rank);
  void remove(WorkerId worker);
  bool empty() const { return pages_.empty(); }

  /// Reads what is new; whether there was anything.
  bool read();
  bool read(WorkerId worker);
  /// The exception that it left, where it did.
  std::optional<LastWords> last_words(WorkerId worker);
  /// The process that writes its page; 0: none yet.
  int writer(WorkerId worker) const;
  Tick tick(WorkerId worker) const;
  /// Remembers beside its page that it hangs, for a successor; and what was remembered.
  void note_hang(WorkerId worker, const Hang& hang);
  std::optional<Hang> hang_of(WorkerId worker) const;
  /// Whether each of these is in its first step, or beyond.
  bool do_all_step(const std::vector<WorkerId>& workers) const;
  /// Asks all workers of this generation, those that are still to be made included, to save by
  /// then. `may_agree`: every rank of the job has been asked.
  void ask_to_save(int64_t generation, base::Instant by, bool may_agree);
  /// What a page of this generation asks already, by us or a predecessor.
  std::optional<base::Instant> asked_to_save(int64_t generation) const;
  /// Of these, the answer that says most.
  SaveAnswer save_answer(int64_t generation) const;
  /// Adds to the report of this generation what its pages say.
  void complete(decide::recovery::PodReport& report);

 private:
  struct Page {
    std::string path;
    std::unique_ptr<world::MappedFile> bytes;
    PageReader reader;
    Progress progress;
    /// When its first step ended, once that is known: read off the clock again and again, it would
    /// be another moment each time.
    base::Instant first_step_at;
  };
  void add(WorkerId worker, int rank, std::string path);
  bool read(WorkerId worker, Page& page);
  std::string path_of(WorkerId worker) const;

  struct SaveRequest {
    int64_t generation = 0;
    base::Instant by;
    bool may_agree = false;
  };
  void ask_to_save(const Page& page) const;

  world::World& world_;
  std::string directory_;
  std::optional<SaveRequest> save_;  ///< the last one
  OnBeat on_beat_;
  std::map<WorkerId, Page> pages_;
  std::vector<Beat> beats_;  ///< kept for its memory
};

}  // namespace pelton::launch
