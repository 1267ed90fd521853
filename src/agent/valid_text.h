// SPDX-License-Identifier: Apache-2.0
// Text that a container wrote, for the API: that takes UTF-8 only, and containers write bytes.
#pragma once
#include <string>
#include <string_view>

namespace pelton::agent {

/// The same text with U+FFFD for every byte that is in no well-formed UTF-8 sequence.
std::string valid_text(std::string_view bytes);

}  // namespace pelton::agent
