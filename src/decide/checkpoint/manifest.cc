// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/manifest.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace pelton::decide::checkpoint {
namespace {

using base::Json;

constexpr const char* kFormat = "pelton-checkpoint";
constexpr size_t kHexDigits = 16;

std::string hex_of(const std::vector<uint64_t>& checksums) {
  std::string hex;
  for (const uint64_t sum : checksums) hex += fmt::format("{:016x}", sum);
  return hex;
}

base::Result<std::vector<uint64_t>> checksums_of(std::string_view hex) {
  std::vector<uint64_t> sums(hex.size() / kHexDigits);
  if (hex.size() % kHexDigits != 0) return base::invalid_argument("checksums: cut off");
  for (size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && (c < 'a' || c > 'f')) {
      return base::invalid_argument("checksums: must be hex digits");
    }
    sums[i / kHexDigits] =
        sums[i / kHexDigits] << 4 | static_cast<uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return sums;
}

base::Result<uint64_t> count_in(const Json& json, std::string_view field) {
  if (!json[field].is_int() || json[field].as_int() < 0) {
    return base::invalid_argument(fmt::format("{}: must be an integer from 0", field));
  }
  return static_cast<uint64_t>(json[field].as_int());
}

base::Result<Slice> slice_of(const Json& json, const Manifest& manifest) {
  Slice slice;
  PELTON_ASSIGN(slice.tensor, count_in(json, "tensor"));
  if (slice.tensor >= manifest.tensors.size()) {
    return base::invalid_argument("tensor: there is no such place in `tensors`");
  }
  const Tensor& tensor = manifest.tensors[slice.tensor];
  PELTON_ASSIGN(slice.box.offset, extents_of(json["offset"], "offset"));
  PELTON_ASSIGN(slice.box.extent, extents_of(json["extent"], "extent"));
  PELTON_TRY(check(tensor, slice.box));
  PELTON_ASSIGN(slice.at, count_in(json, "at"));
  PELTON_ASSIGN(slice.checksums, checksums_of(json["checksums"].as_string()));
  const uint64_t bytes = bytes_of(tensor, slice.box);
  if (slice.at > manifest.file_bytes || bytes > manifest.file_bytes - slice.at) {
    return base::invalid_argument(fmt::format("tensor {}: the slice {} ends after the data file",
                                              tensor.name, to_string(slice.box)));
  }
  if (slice.checksums.size() != chunks_in(bytes)) {
    return base::invalid_argument(fmt::format("tensor {}: the slice {} has {} checksums, not {}",
                                              tensor.name, to_string(slice.box),
                                              slice.checksums.size(), chunks_in(bytes)));
  }
  return slice;
}

base::Status check_format(const Json& json) {
  if (json["format"].as_string() != kFormat) {
    return base::invalid_argument(fmt::format("format: this is no {}", kFormat));
  }
  const int64_t version = json["version"].as_int();
  if (version > kFormatVersion) {
    return {base::Code::FailedPrecondition, "NewerFormat",
            fmt::format("version: written in format {}; this program reads up to {}: use a newer "
                        "pelton",
                        version, kFormatVersion)};
  }
  if (version < 1) return base::invalid_argument("version: must be an integer from 1");
  return base::ok();
}

}  // namespace

uint64_t chunks_in(uint64_t bytes) {
  return (bytes + kChunkBytes - 1) / kChunkBytes;
}

void lay_out(Manifest& manifest) {
  uint64_t at = 0;
  for (Slice& slice : manifest.slices) {
    slice.at = at;
    at += bytes_of(manifest.tensors[slice.tensor], slice.box);
    at = (at + kSliceAlignment - 1) / kSliceAlignment * kSliceAlignment;
  }
  manifest.file_bytes = (at + kFileAlignment - 1) / kFileAlignment * kFileAlignment;
}

Json to_json(const Manifest& manifest) {
  Json::Array tensors, slices;
  for (const Tensor& tensor : manifest.tensors) tensors.push_back(to_json(tensor));
  for (const Slice& slice : manifest.slices) {
    slices.push_back(Json::object({{"tensor", static_cast<int64_t>(slice.tensor)},
                                   {"offset", to_json(slice.box.offset)},
                                   {"extent", to_json(slice.box.extent)},
                                   {"at", static_cast<int64_t>(slice.at)},
                                   {"checksums", hex_of(slice.checksums)}}));
  }
  return Json::object({{"format", kFormat},
                       {"version", kFormatVersion},
                       {"job", manifest.job},
                       {"run", manifest.run},
                       {"generation", manifest.generation},
                       {"step", manifest.step},
                       {"epoch", manifest.epoch},
                       {"writer", static_cast<int64_t>(manifest.writer)},
                       {"writers", static_cast<int64_t>(manifest.writers)},
                       {"plan", plan_digest(manifest.tensors)},
                       {"file", manifest.file},
                       {"fileBytes", static_cast<int64_t>(manifest.file_bytes)},
                       {"extra", manifest.extra},
                       {"tensors", std::move(tensors)},
                       {"slices", std::move(slices)}});
}

base::Result<Manifest> manifest_of(const Json& json) {
  PELTON_TRY(check_format(json));
  Manifest manifest;
  manifest.job = json["job"].as_string();
  manifest.run = json["run"].as_string();
  manifest.generation = std::max<int64_t>(json["generation"].as_int(-1), -1);
  manifest.step = json["step"].as_int(-1);
  manifest.epoch = json["epoch"].as_int(-1);
  if (manifest.step < 0) return base::invalid_argument("step: must be an integer from 0");
  if (manifest.epoch < 0) return base::invalid_argument("epoch: must be an integer from 0");
  PELTON_ASSIGN(manifest.writer, count_in(json, "writer"));
  PELTON_ASSIGN(manifest.writers, count_in(json, "writers"));
  if (manifest.writer >= manifest.writers) {
    return base::invalid_argument("writer: must be less than `writers`");
  }
  manifest.file = json["file"].as_string();
  if (manifest.file.empty() || manifest.file.find('/') != std::string::npos ||
      manifest.file.starts_with('.')) {
    return base::invalid_argument("file: must be a name in the same directory");
  }
  PELTON_ASSIGN(manifest.file_bytes, count_in(json, "fileBytes"));
  manifest.extra = json["extra"].as_string();
  for (const Json& each : json["tensors"].items()) {
    PELTON_ASSIGN(Tensor tensor, tensor_of(each));
    manifest.tensors.push_back(std::move(tensor));
  }
  PELTON_TRY(check(manifest.tensors));
  if (json["plan"].as_string() != plan_digest(manifest.tensors)) {
    return base::invalid_argument("plan: is not the digest of `tensors`");
  }
  for (const Json& each : json["slices"].items()) {
    PELTON_ASSIGN(Slice slice, slice_of(each, manifest));
    manifest.slices.push_back(std::move(slice));
  }
  return manifest;
}

std::string seal(const Json& json) {
  const std::string line = json.dump();
  return fmt::format("{}\n{:016x}\n", line, base::hash64(line));
}

base::Result<Json> unseal(std::string_view text, std::string_view what) {
  const size_t end = text.find('\n');
  const auto damaged = [&](const char* how) {
    return base::Status(base::Code::DataLoss, fmt::format("{}: {}", what, how));
  };
  if (end == std::string_view::npos) return damaged("it is cut off");
  const std::string_view line = text.substr(0, end);
  if (text.substr(end + 1) != fmt::format("{:016x}\n", base::hash64(line))) {
    return damaged("its checksum does not match");
  }
  base::Result<Json> json = Json::parse(line);
  if (!json.ok()) return base::Status(json.error()).with(std::string(what));
  return json;
}

base::Status check_complete(const std::vector<const Manifest*>& manifests) {
  if (manifests.empty()) return base::invalid_argument("it has no manifest");
  const Manifest& first = *manifests.front();
  std::vector<bool> present(std::min<uint64_t>(first.writers, manifests.size()), false);
  std::vector<std::vector<Box>> boxes(first.tensors.size());
  for (const Manifest* const each : manifests) {
    const Manifest& manifest = *each;
    if (manifest.job != first.job || manifest.run != first.run || manifest.step != first.step ||
        manifest.epoch != first.epoch || manifest.generation != first.generation ||
        manifest.writers != first.writers) {
      return base::invalid_argument(fmt::format("writers {} and {} wrote different checkpoints",
                                                first.writer, manifest.writer));
    }
    // The order counts too: slices name tensors by their places.
    if (manifest.tensors != first.tensors) {
      return base::invalid_argument(
          fmt::format("writers {} and {} have different tensors", first.writer, manifest.writer));
    }
    if (manifest.writer >= present.size() || present[manifest.writer]) {
      return base::invalid_argument(
          fmt::format("of {} writers {} are there", first.writers, manifests.size()));
    }
    present[manifest.writer] = true;
    for (const Slice& slice : manifest.slices) boxes[slice.tensor].push_back(slice.box);
  }
  if (present.size() != first.writers) {
    return base::invalid_argument(
        fmt::format("of {} writers {} are there", first.writers, manifests.size()));
  }
  for (size_t i = 0; i < boxes.size(); ++i) {
    PELTON_TRY(check_cover(first.tensors[i], std::move(boxes[i])));
  }
  return base::ok();
}

base::Status check_complete(const std::vector<Manifest>& manifests) {
  std::vector<const Manifest*> all;
  for (const Manifest& manifest : manifests) all.push_back(&manifest);
  return check_complete(all);
}

}  // namespace pelton::decide::checkpoint
