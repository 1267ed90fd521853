// SPDX-License-Identifier: Apache-2.0
// What one writer has of one checkpoint, and the form in which records lie in files.
//
// docs/adr/0014-checkpoint-format.md describes the directory. A record is sealed: one line of JSON,
// then a line with the xxHash3 of the first in 16 hex digits.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "decide/checkpoint/tensors.h"

namespace pelton::decide::checkpoint {

inline constexpr int64_t kFormatVersion = 1;
/// Each stretch of so many bytes of a slice has a checksum of its own, so that a part of a slice
/// can be read and verified without the rest.
inline constexpr uint64_t kChunkBytes = uint64_t{1} << 20;
/// Slices begin at multiples of this in the data file; its size is a multiple of kFileAlignment.
inline constexpr uint64_t kSliceAlignment = 64, kFileAlignment = 4096;

struct Slice {
  uint64_t tensor = 0;  ///< place in Manifest::tensors
  Box box;
  uint64_t at = 0;                  ///< where its first byte lies in the data file
  std::vector<uint64_t> checksums;  ///< xxHash3 (64 bits, seed 0) of each chunk
  bool operator==(const Slice&) const = default;
};

/// Written when the data file is complete. Every writer lists all tensors of the job, and the
/// slices that its own data file holds.
struct Manifest {
  std::string job;          ///< uid of the job that wrote it
  std::string run;          ///< which launch of the job (log.h:Record)
  int64_t generation = -1;  ///< of that run; -1: not told
  int64_t step = 0;         ///< training steps that are in it
  int64_t epoch = 0;        ///< the fence under which it was written (log.h)
  uint64_t writer = 0;      ///< from 0
  uint64_t writers = 1;
  std::string file;  ///< name of the data file, in the same directory
  uint64_t file_bytes = 0;
  std::string extra;  ///< the writer's own: its RNG state and place in the data, as JSON text
  std::vector<Tensor> tensors;
  std::vector<Slice> slices;
  bool operator==(const Manifest&) const = default;
};

base::Json to_json(const Manifest& manifest);
/// All that it says of itself has been checked: slices within their tensors and the file, one
/// checksum per chunk, no path in `file`. FailedPrecondition: a newer format; InvalidArgument names
/// the field.
base::Result<Manifest> manifest_of(const base::Json& json);

/// Sets `at` of each slice and `file_bytes`: the layout of the data file.
void lay_out(Manifest& manifest);
uint64_t chunks_in(uint64_t bytes);

std::string seal(const base::Json& json);
/// DataLoss: torn or changed. `what` (a path) begins each message.
base::Result<base::Json> unseal(std::string_view text, std::string_view what);

/// A checkpoint of which every writer's manifest is there. InvalidArgument says what is missing or
/// does not fit: other jobs, steps, epochs or plans, a writer twice or absent, a part of a tensor
/// that no slice covers.
base::Status check_complete(const std::vector<Manifest>& manifests);
/// The same of manifests that stay where they are.
base::Status check_complete(const std::vector<const Manifest*>& manifests);

}  // namespace pelton::decide::checkpoint
