// SPDX-License-Identifier: Apache-2.0
// The shells' side of completion (cli/completion.h): scripts that ask `pelton __complete`.
#pragma once
#include <string_view>

namespace pelton::cli {

/// The script for "bash", "zsh" or "fish"; empty for any other shell.
std::string_view completion_script(std::string_view shell);

}  // namespace pelton::cli
