// SPDX-License-Identifier: Apache-2.0
// Members that a JSON text names twice in one object.
//
// A parser keeps the last of them and says nothing; strict field validation wants to know. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pelton::api {

/// Paths as in messages about fields ("spec.containers[0].image"), each once, in order of their
/// second appearance. `text` must be JSON that base::Json::parse takes; of other texts: some or
/// none.
std::vector<std::string> find_duplicate_fields(std::string_view text);

}  // namespace pelton::api
