// SPDX-License-Identifier: Apache-2.0
// The defaults that are plain values: field of a type -> JSON text. Ours, written by hand after
// upstream's defaulting code; private to api/.
#pragma once
#include <span>
#include <string_view>

namespace pelton::api {

struct DefaultRow {
  std::string_view type;  ///< full type name
  std::string_view field;
  std::string_view value;  ///< JSON text
};

/// Sorted by type.
std::span<const DefaultRow> default_rows();

}  // namespace pelton::api
