// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/tensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace pelton::decide::checkpoint {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 60;
constexpr size_t kMostDimensions = 16;
constexpr size_t kMostPieces = size_t{1} << 22;

/// Cuts the dimensions one after the other at all edges of the boxes; in each piece exactly one box
/// may be left at the end.
class CoverCheck {
 public:
  CoverCheck(const Tensor& tensor, const std::vector<Box>& boxes)
      : tensor_(tensor), boxes_(boxes), piece_(whole(tensor)) {}

  base::Status check(const std::vector<size_t>& present, size_t dimension) {
    if (dimension == tensor_.shape.size()) {
      if (present.size() == 1) return base::ok();
      return wrong(present.empty() ? "is covered by no slice" : "is covered by two slices");
    }
    std::vector<uint64_t> cuts = {0, tensor_.shape[dimension]};
    for (const size_t i : present) {
      cuts.push_back(boxes_[i].offset[dimension]);
      cuts.push_back(boxes_[i].offset[dimension] + boxes_[i].extent[dimension]);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<std::vector<size_t>> within(cuts.size() - 1);
    for (const size_t i : present) {
      const uint64_t begin = boxes_[i].offset[dimension];
      const uint64_t end = begin + boxes_[i].extent[dimension];
      const auto first = std::lower_bound(cuts.begin(), cuts.end(), begin) - cuts.begin();
      for (size_t k = static_cast<size_t>(first); cuts[k] < end; ++k) {
        if (++pieces_ > kMostPieces) return wrong("is cut up in more than 4194304 pieces");
        within[k].push_back(i);
      }
    }
    for (size_t k = 0; k < within.size(); ++k) {
      piece_.offset[dimension] = cuts[k];
      piece_.extent[dimension] = cuts[k + 1] - cuts[k];
      PELTON_TRY(check(within[k], dimension + 1));
    }
    piece_.offset[dimension] = 0;
    piece_.extent[dimension] = tensor_.shape[dimension];
    return base::ok();
  }

 private:
  base::Status wrong(const char* what) const {
    return base::invalid_argument(
        fmt::format("tensor {}: {} {}", tensor_.name, to_string(piece_), what));
  }
  const Tensor& tensor_;
  const std::vector<Box>& boxes_;
  Box piece_;
  size_t pieces_ = 0;
};

/// Bytes from the beginning of `box` to the element at `position`.
uint64_t place_in(const Tensor& tensor, const Box& box, const Extents& position) {
  uint64_t index = 0;
  for (size_t d = 0; d < position.size(); ++d) {
    index = index * box.extent[d] + (position[d] - box.offset[d]);
  }
  return index * tensor.item_bytes;
}

}  // namespace

uint64_t volume(const Extents& extent) {
  uint64_t product = 1;
  for (const uint64_t n : extent) product *= n;
  return product;
}

uint64_t bytes_of(const Tensor& tensor, const Box& box) {
  return volume(box.extent) * tensor.item_bytes;
}

Box whole(const Tensor& tensor) {
  return {Extents(tensor.shape.size(), 0), tensor.shape};
}

std::optional<Box> intersection(const Box& a, const Box& b) {
  Box both;
  for (size_t d = 0; d < a.offset.size(); ++d) {
    const uint64_t begin = std::max(a.offset[d], b.offset[d]);
    const uint64_t end = std::min(a.offset[d] + a.extent[d], b.offset[d] + b.extent[d]);
    if (begin >= end) return std::nullopt;
    both.offset.push_back(begin);
    both.extent.push_back(end - begin);
  }
  return both;
}

std::string to_string(const Box& box) {
  std::string text = "[";
  for (size_t d = 0; d < box.offset.size(); ++d) {
    text +=
        fmt::format("{}{}:{}", d == 0 ? "" : ", ", box.offset[d], box.offset[d] + box.extent[d]);
  }
  return text + "]";
}

base::Status check(const std::vector<Tensor>& tensors) {
  std::set<std::string_view> names;
  for (const Tensor& tensor : tensors) {
    if (tensor.name.empty()) return base::invalid_argument("a tensor has no name");
    if (!names.insert(tensor.name).second) {
      return base::invalid_argument(fmt::format("tensor {}: the name is there twice", tensor.name));
    }
    if (tensor.item_bytes < 1 || tensor.item_bytes > 64) {
      return base::invalid_argument(fmt::format("tensor {}: an item of {} bytes; must be 1 to 64",
                                                tensor.name, tensor.item_bytes));
    }
    if (tensor.shape.size() > kMostDimensions) {
      return base::invalid_argument(
          fmt::format("tensor {}: {} dimensions, at most 16", tensor.name, tensor.shape.size()));
    }
    uint64_t bytes = tensor.item_bytes;
    for (const uint64_t n : tensor.shape) {
      // A dimension of 0 makes the whole empty; the others are bounded all the same.
      if (n > kMostBytes / bytes) {
        return base::invalid_argument(fmt::format("tensor {}: more than 2^60 bytes", tensor.name));
      }
      bytes *= std::max<uint64_t>(n, 1);
    }
  }
  return base::ok();
}

base::Status check(const Tensor& tensor, const Box& box) {
  if (box.offset.size() != tensor.shape.size() || box.extent.size() != tensor.shape.size()) {
    return base::invalid_argument(fmt::format("tensor {}: a slice of {} dimensions; it has {}",
                                              tensor.name, box.extent.size(), tensor.shape.size()));
  }
  for (size_t d = 0; d < box.offset.size(); ++d) {
    if (box.offset[d] > tensor.shape[d] || box.extent[d] > tensor.shape[d] - box.offset[d]) {
      return base::invalid_argument(
          fmt::format("tensor {}: the slice {} sticks out of dimension {} "
                      "of {}",
                      tensor.name, to_string(box), d, tensor.shape[d]));
    }
  }
  return base::ok();
}

base::Status check_cover(const Tensor& tensor, std::vector<Box> boxes) {
  for (const Box& box : boxes) PELTON_TRY(check(tensor, box));
  if (volume(tensor.shape) == 0) return base::ok();
  std::erase_if(boxes, [](const Box& box) { return volume(box.extent) == 0; });
  std::sort(boxes.begin(), boxes.end());
  boxes.erase(std::unique(boxes.begin(), boxes.end()), boxes.end());
  std::vector<size_t> all(boxes.size());
  for (size_t i = 0; i < all.size(); ++i) all[i] = i;
  return CoverCheck(tensor, boxes).check(all, 0);
}

void for_each_stretch(const Tensor& tensor, const Box& from, const Box& to,
                      const std::function<void(const Stretch&)>& fn) {
  const auto both = intersection(from, to);
  if (!both) return;
  // Dimensions from `joined` on are whole on both sides: together with the one before they are one
  // stretch.
  size_t joined = both->extent.size();
  while (joined > 0 && both->extent[joined - 1] == from.extent[joined - 1] &&
         both->extent[joined - 1] == to.extent[joined - 1]) {
    --joined;
  }
  const size_t rows = joined == 0 ? 0 : joined - 1;  // dimensions that are counted through
  uint64_t bytes = tensor.item_bytes;
  for (size_t d = rows; d < both->extent.size(); ++d) bytes *= both->extent[d];
  Extents position = both->offset;
  for (;;) {
    fn({place_in(tensor, from, position), place_in(tensor, to, position), bytes});
    size_t d = rows;
    while (d > 0 && ++position[d - 1] == both->offset[d - 1] + both->extent[d - 1]) {
      position[d - 1] = both->offset[d - 1];
      --d;
    }
    if (d == 0) return;
  }
}

std::string plan_digest(const std::vector<Tensor>& tensors) {
  std::vector<std::string> lines;
  for (const Tensor& tensor : tensors) lines.push_back(to_json(tensor).dump());
  std::sort(lines.begin(), lines.end());
  return fmt::format("{:016x}", base::hash64(base::join(lines, "\n")));
}

base::Json to_json(const Extents& extents) {
  base::Json::Array items;
  for (const uint64_t n : extents) items.emplace_back(static_cast<int64_t>(n));
  return items;
}

base::Json to_json(const Tensor& tensor) {
  return base::Json::object({{"name", tensor.name},
                             {"dtype", tensor.dtype},
                             {"itemBytes", static_cast<int64_t>(tensor.item_bytes)},
                             {"shape", to_json(tensor.shape)}});
}

base::Result<Extents> extents_of(const base::Json& json, std::string_view field) {
  Extents extents;
  if (!json.is_array()) return base::invalid_argument(fmt::format("{}: must be a list", field));
  for (const base::Json& item : json.items()) {
    if (!item.is_int() || item.as_int() < 0) {
      return base::invalid_argument(fmt::format("{}: must hold integers from 0", field));
    }
    extents.push_back(static_cast<uint64_t>(item.as_int()));
  }
  return extents;
}

base::Result<Tensor> tensor_of(const base::Json& json) {
  Tensor tensor{json["name"].as_string(), json["dtype"].as_string(), 0, {}};
  const int64_t item = json["itemBytes"].as_int();
  if (item < 1 || item > 64) {
    return base::invalid_argument(
        fmt::format("tensor {}: itemBytes: must be 1 to 64", tensor.name));
  }
  tensor.item_bytes = static_cast<uint32_t>(item);
  PELTON_ASSIGN(tensor.shape, extents_of(json["shape"], "shape"));
  return tensor;
}

std::optional<Box> share_of(const Tensor& tensor, uint64_t writer, uint64_t writers,
                            uint64_t turn) {
  Box box = whole(tensor);
  for (size_t d = 0; d < tensor.shape.size(); ++d) {
    const uint64_t n = tensor.shape[d];
    if (n < writers) continue;
    // The first `n % writers` shares have one more.
    const uint64_t each = n / writers, more = n % writers;
    box.offset[d] = writer * each + std::min(writer, more);
    box.extent[d] = each + (writer < more ? 1 : 0);
    return box;
  }
  if (turn % writers != writer) return std::nullopt;
  return box;
}

}  // namespace pelton::decide::checkpoint
