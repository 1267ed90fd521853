// SPDX-License-Identifier: Apache-2.0
// Loading one version: each chunk is verified as it is copied, and taken from the next place where
// it is wrong.
#pragma once
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "decide/checkpoint/restore.h"
#include "world/files.h"

namespace pelton::checkpoint {

struct Target {
  decide::checkpoint::Wanted wanted;
  char* to = nullptr;
};

/// Runs the function on several threads at once, the caller's among them, and returns when all have
/// returned.
using OnThreads = std::function<void(const std::function<void()>&)>;

/// How far away bytes are.
enum class Tier : uint8_t {
  Memory,   ///< of this node
  Fetched,  ///< the same, having come from a peer for this restore
  Peers,    ///< have to be fetched
  Durable,
};
inline constexpr size_t kTiers = 4;

/// One version, of one tier or of several.
class StepReader {
 public:
  /// Reads on the caller's thread where `on_threads` is empty.
  explicit StepReader(world::Files& files, OnThreads on_threads = {});
  ~StepReader();

  /// Adds the manifests of a step's directory. DataLoss names the file.
  base::Status add(const std::string& directory, Tier tier);
  /// Adds one, whose data file lies in `directory`.
  void add(const decide::checkpoint::Manifest& manifest, const std::string& directory, Tier tier);
  const std::vector<decide::checkpoint::Manifest>& manifests() const { return manifests_; }
  /// Every writer's part is there, in whatever tier (decide/checkpoint/manifest.h:check_complete).
  base::Status check_complete() const;
  /// The writers of parts which are nearest in this tier, and which the boxes take part in.
  /// InvalidArgument as read().
  base::Result<std::set<uint64_t>> needed(const std::vector<Target>& targets, Tier tier) const;

  /// Fills each target with verified bytes only: after an error what it holds is undefined.
  /// InvalidArgument names the tensor (plan_reads); DataLoss names tensor, file and place: no tier
  /// has these bytes intact; damaged() says whose they are.
  base::Status read(const std::vector<Target>& targets);
  /// Writers of parts of which bytes are damaged or gone in every tier.
  const std::set<uint64_t>& damaged() const { return damaged_; }
  /// How many bytes came from each tier, whole chunks.
  std::array<uint64_t, kTiers> bytes_read() const;

 private:
  struct Source;
  struct Piece;
  std::vector<decide::checkpoint::Holder> holders() const;
  base::Status plan(const Target& target, std::vector<Piece>& pieces);
  void open(Source& source);
  base::Status read_piece(const Piece& piece, std::string& scratch);
  base::Status read_chunk(const decide::checkpoint::Read::Place& place, uint64_t chunk, char* to);
  base::Status read_any(const decide::checkpoint::Read& read, uint64_t chunk, char* to);

  world::Files& files_;
  OnThreads on_threads_;
  std::vector<decide::checkpoint::Manifest> manifests_;
  std::vector<std::unique_ptr<Source>> sources_;  ///< of manifests_, by place
  std::vector<std::unique_ptr<decide::checkpoint::Read>> reads_;
  std::set<uint64_t> damaged_;
  std::array<std::atomic<uint64_t>, kTiers> bytes_read_ = {};
};

}  // namespace pelton::checkpoint
