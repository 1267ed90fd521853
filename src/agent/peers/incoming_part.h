// SPDX-License-Identifier: Apache-2.0
// A part that arrives from a peer: verified as it comes, and published when it is whole.
//
// On the wire (GET /memory/JOB/VERSION/PART, Upgrade: pelton-part):
//
//   {"manifest": BYTES, "data": BYTES}\n   then the manifest's bytes, then those of the data file
//
// While it comes the data lie in .peer-w00003.data in the version's directory. Nothing has the
// part's own name before each chunk has been checked against the manifest; the manifest is last.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/peers/block_writer.h"
#include "agent/peers/part_id.h"
#include "base/strings.h"
#include "decide/checkpoint/manifest.h"
#include "world/files.h"

namespace pelton::agent {

class IncomingPart {
 public:
  /// What is not published yet begins with this.
  static constexpr const char* kHalf = ".peer-";

  /// Of the job with this uid, which is its manifests' `run` (their `job` is what the script calls
  /// it), below its memory directory. `files` must outlive it.
  IncomingPart(world::Files& files, const std::string& memory, std::string job, PartId part);
  /// What was not published is removed.
  ~IncomingPart();
  IncomingPart(const IncomingPart&) = delete;
  IncomingPart& operator=(const IncomingPart&) = delete;

  /// The next bytes. DataLoss: they are not what the manifest says; InvalidArgument: it is another
  /// part's, or no such stream. Then there is no more.
  base::Status feed(std::string_view bytes);
  /// `on_written` is told when some of what was fed is in the file. ResourceExhausted: the memory
  /// is full. Before feed().
  void tell(std::function<void(base::Status)> on_written) { on_written_ = std::move(on_written); }
  /// More than is being written should not be fed now.
  bool is_busy() const { return writer_ && writer_->is_busy(); }
  /// All has come, and been verified.
  bool is_fed() const { return state_ == State::Complete; }
  /// It is in the file too.
  bool is_complete() const { return is_fed() && (!writer_ || writer_->is_done()); }
  /// Gives data and manifest their names. Ok where somebody else has put the part there meanwhile.
  base::Status publish();

 private:
  enum class State : uint8_t { Line, Manifest, Data, Complete };
  /// A stretch of the data file; those between slices have no checksum.
  struct Stretch {
    uint64_t begin = 0, end = 0;
    bool is_checked = false;
    uint64_t checksum = 0;
  };
  base::Status take_line(std::string_view& bytes);
  base::Status take_manifest(std::string_view& bytes);
  base::Status take_data(std::string_view& bytes);
  base::Status begin_data();
  base::Status plan_stretches(const decide::checkpoint::Manifest& manifest);
  void add_gap(uint64_t begin, uint64_t end);
  std::string hidden(const std::string& name) const { return directory_ + "/" + kHalf + name; }

  world::Files& files_;
  std::string directory_;  ///< of the version
  std::string job_;
  PartId part_;
  State state_ = State::Line;
  uint64_t manifest_bytes_ = 0, data_bytes_ = 0;
  std::string line_, manifest_;  ///< as far as they have come
  std::vector<Stretch> stretches_;
  size_t next_ = 0;         ///< stretch
  uint64_t data_come_ = 0;  ///< of data_bytes_
  base::Hash64 hash_;       ///< of the stretch under way
  std::unique_ptr<BlockWriter> writer_;
  std::function<void(base::Status)> on_written_ = [](const base::Status&) {};
  bool has_made_data_ = false;
};

}  // namespace pelton::agent
