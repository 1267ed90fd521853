// SPDX-License-Identifier: Apache-2.0
// Global tensors and the boxes that they are cut into.
//
// A tensor is known to the whole job by its name; each rank holds boxes of it. Elements lie in row
// order (the last dimension is contiguous), in the whole tensor and in each box. A scalar has no
// dimension and one element.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::decide::checkpoint {

using Extents = std::vector<uint64_t>;

struct Tensor {
  std::string name;   ///< a path such as "params/layer0/w"; unique in a checkpoint
  std::string dtype;  ///< numpy's name: "float32", "bfloat16"
  uint32_t item_bytes = 0;
  Extents shape;
  bool operator==(const Tensor&) const = default;
};

/// A part of a tensor: from `offset` on, `extent` elements in each dimension.
struct Box {
  Extents offset, extent;
  bool operator==(const Box&) const = default;
  auto operator<=>(const Box&) const = default;
};

/// How many elements; 1 for a scalar. The product fits where check() was passed.
uint64_t volume(const Extents& extent);
uint64_t bytes_of(const Tensor& tensor, const Box& box);
Box whole(const Tensor& tensor);
/// Where both are; absent where that is nothing.
std::optional<Box> intersection(const Box& a, const Box& b);
std::string to_string(const Box& box);  ///< "[0:4, 128:256]"; "[]" for a scalar

/// InvalidArgument names the tensor: no name, a name twice, an item size out of 1…64, more than 16
/// dimensions, more than 2^60 bytes.
base::Status check(const std::vector<Tensor>& tensors);
/// InvalidArgument names the tensor and the dimension that sticks out.
base::Status check(const Tensor& tensor, const Box& box);

/// Each element of the tensor lies in exactly one of the boxes; equal boxes count once (replicas),
/// empty ones not at all. InvalidArgument names the tensor and a part that none, or two, cover.
/// Cheap for grids of any size (sorting); boxes that cut each other up in more than 2^22 pieces
/// are refused.
base::Status check_cover(const Tensor& tensor, std::vector<Box> boxes);

/// One contiguous stretch of bytes to copy, relative to the beginnings of both boxes.
struct Stretch {
  uint64_t from = 0, to = 0, bytes = 0;
};
/// Calls `fn` for each stretch of what `from` and `to` share, in the order of `from`; both are
/// boxes of the same tensor. Neighbouring rows that are contiguous on both sides are one stretch.
void for_each_stretch(const Tensor& tensor, const Box& from, const Box& to,
                      const std::function<void(const Stretch&)>& fn);

/// What a job must agree about to load a checkpoint: names, types and shapes. 16 hex digits.
std::string plan_digest(const std::vector<Tensor>& tensors);

base::Json to_json(const Tensor& tensor);
base::Json to_json(const Extents& extents);
base::Result<Tensor> tensor_of(const base::Json& json);
base::Result<Extents> extents_of(const base::Json& json, std::string_view field);

/// The share of one of `writers` in a tensor that all of them hold: a cut along the first dimension
/// that is long enough, else the whole for one of them (by `turn`, say its place in the list) and
/// nothing (absent) for the others.
std::optional<Box> share_of(const Tensor& tensor, uint64_t writer, uint64_t writers, uint64_t turn);

}  // namespace pelton::decide::checkpoint
