// SPDX-License-Identifier: Apache-2.0
// `pelton top` as lines of text. Pure.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "cli/top_view.h"

namespace pelton::cli {

struct Line {
  enum class Style : uint8_t { Plain, Heading, Alarm };
  std::string text;  ///< printable ASCII only: a byte is a column
  Style style = Style::Plain;
  bool operator==(const Line&) const = default;
};

struct Size {
  size_t columns = 0;  ///< 0: as wide as it gets
  size_t rows = 0;     ///< 0: as many as it takes
};

/// What a terminal may be given of a text that came from elsewhere: control characters are gone,
/// what is not ASCII is '?'. So nobody who may create an object can steer a reader's terminal.
std::string printable(std::string_view text);

/// The whole screen. `alarm`, where not empty, is the second line: why the view is not fresh. What
/// does not fit is cut, each table saying how many rows it leaves out.
std::vector<Line> lines_of(const TopView& view, const std::string& alarm, Size size);

}  // namespace pelton::cli
