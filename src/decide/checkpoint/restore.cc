// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/restore.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace pelton::decide::checkpoint {
namespace {

std::string shape_text(const Tensor& tensor) {
  std::string text = tensor.dtype + "[";
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    text += fmt::format("{}{}", d == 0 ? "" : ", ", tensor.shape[d]);
  }
  return text + "]";
}

/// The place of the tensor in the manifest; absent where there is none of that name.
base::Result<std::optional<size_t>> find_tensor(const Manifest& manifest, const Tensor& wanted) {
  for (size_t i = 0; i < manifest.tensors.size(); ++i) {
    const Tensor& tensor = manifest.tensors[i];
    if (tensor.name != wanted.name) continue;
    if (tensor != wanted) {
      return base::invalid_argument(
          fmt::format("tensor {}: the checkpoint of step {} has {}, and "
                      "{} is asked for",
                      wanted.name, manifest.step, shape_text(tensor), shape_text(wanted)));
    }
    return std::optional(i);
  }
  return std::optional<size_t>();
}

}  // namespace

std::optional<Version> decide_restore(const std::vector<std::vector<Version>>& offers) {
  std::map<Version, size_t> ranks;
  for (std::vector<Version> offer : offers) {
    std::sort(offer.begin(), offer.end());
    offer.erase(std::unique(offer.begin(), offer.end()), offer.end());
    for (const Version& version : offer) ++ranks[version];
  }
  for (auto it = ranks.rbegin(); it != ranks.rend(); ++it) {
    if (it->second == offers.size()) return it->first;
  }
  return std::nullopt;
}

base::Result<std::vector<Read>> plan_reads(const Wanted& wanted,
                                           const std::vector<Holder>& holders) {
  PELTON_TRY(check(wanted.tensor, wanted.box));
  std::map<Box, std::vector<Read::Place>> by_box;
  bool is_known = false;
  for (size_t h = 0; h < holders.size(); ++h) {
    const Manifest& manifest = *holders[h].manifest;
    PELTON_ASSIGN(const auto place, find_tensor(manifest, wanted.tensor));
    if (!place) continue;
    is_known = true;
    for (size_t s = 0; s < manifest.slices.size(); ++s) {
      const Slice& slice = manifest.slices[s];
      if (slice.tensor == *place) by_box[slice.box].push_back({h, s});
    }
  }
  if (!is_known) {
    return base::invalid_argument(
        fmt::format("tensor {}: the checkpoint has no tensor of that name", wanted.tensor.name));
  }
  std::vector<Read> reads;
  std::vector<Box> parts;
  for (auto& [box, places] : by_box) {
    const auto part = intersection(box, wanted.box);
    if (!part || volume(part->extent) == 0) continue;
    std::stable_sort(places.begin(), places.end(), [&](const auto& a, const auto& b) {
      return holders[a.holder].tier < holders[b.holder].tier;
    });
    parts.push_back(*part);
    for (size_t d = 0; d < part->offset.size(); ++d) {
      parts.back().offset[d] -= wanted.box.offset[d];
    }
    reads.push_back({box, std::move(places)});
  }
  // The wanted box, seen as a tensor of its own.
  Tensor target = wanted.tensor;
  target.shape = wanted.box.extent;
  PELTON_TRY(check_cover(target, std::move(parts)));
  return reads;
}

}  // namespace pelton::decide::checkpoint
