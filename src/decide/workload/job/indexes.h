// SPDX-License-Identifier: Apache-2.0
// A set of completion indexes, written as Jobs write it: "0,2-4,7". Pure.
#pragma once
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace pelton::decide::workload {

/// Reads "0,2-4"; what is malformed or not below `completions` is left out, as upstream does.
std::set<int64_t> parse_indexes(std::string_view text, int64_t completions);
/// Runs of three and more become a range: {0,2,3,4} -> "0,2-4"; {1,2} -> "1,2".
std::string format_indexes(const std::set<int64_t>& indexes);

}  // namespace pelton::decide::workload
