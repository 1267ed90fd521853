// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/job/indexes.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace pelton::decide::workload {

std::set<int64_t> parse_indexes(std::string_view text, int64_t completions) {
  std::set<int64_t> indexes;
  for (std::string_view part : base::split(text, ',')) {
    const size_t dash = part.find('-');
    auto first = base::parse_int(part.substr(0, dash));
    auto last = dash == std::string_view::npos ? first : base::parse_int(part.substr(dash + 1));
    if (!first.ok() || !last.ok()) continue;
    const int64_t end = std::min(*last, completions - 1);
    for (int64_t i = std::max<int64_t>(*first, 0); i <= end; ++i) indexes.insert(i);
  }
  return indexes;
}

std::string format_indexes(const std::set<int64_t>& indexes) {
  std::string text;
  auto at = indexes.begin();
  while (at != indexes.end()) {
    const int64_t first = *at;
    int64_t last = first;
    while (++at != indexes.end() && *at == last + 1) last = *at;
    if (!text.empty()) text += ',';
    if (last == first) {
      text += fmt::format("{}", first);
    } else {
      text += fmt::format("{}{}{}", first, last == first + 1 ? ',' : '-', last);
    }
  }
  return text;
}

}  // namespace pelton::decide::workload
