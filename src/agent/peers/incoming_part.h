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
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "agent/peers/part_id.h"
#include "decide/checkpoint/manifest.h"
#include "world/files.h"

namespace pelton::agent {

class IncomingPart {
 public:
  /// What is not published yet begins with this.
  static constexpr const char* kHalf = ".peer-";

  /// Of `job`, below its memory directory. `files` must outlive it.
  IncomingPart(world::Files& files, const std::string& memory, std::string job, PartId part);
  /// What was not published is removed.
  ~IncomingPart();
  IncomingPart(const IncomingPart&) = delete;
  IncomingPart& operator=(const IncomingPart&) = delete;

  /// The next bytes. DataLoss: they are not what the manifest says; InvalidArgument: it is another
  /// part's, or no such stream; ResourceExhausted: the memory is full. Then there is no more.
  base::Status feed(std::string_view bytes);
  bool is_complete() const { return state_ == State::Complete; }
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
  base::Status put(const Stretch& stretch, std::string_view bytes);
  std::string hidden(const std::string& name) const { return directory_ + "/" + kHalf + name; }

  world::Files& files_;
  std::string directory_;  ///< of the version
  std::string job_;
  PartId part_;
  State state_ = State::Line;
  uint64_t manifest_bytes_ = 0, data_bytes_ = 0;
  std::string pending_;  ///< of the line, the manifest, or the stretch under way
  std::string manifest_;
  std::vector<Stretch> stretches_;
  size_t next_ = 0;  ///< stretch
  std::unique_ptr<world::File> data_;
  bool has_made_data_ = false;
};

}  // namespace pelton::agent
