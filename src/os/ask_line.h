// SPDX-License-Identifier: Apache-2.0
// A question to a server on this machine, for a caller that waits for the answer.
#pragma once
#include <string>

#include "base/status.h"
#include "base/time.h"

namespace pelton::os {

/// Connects to a Unix socket, sends `question` and a line feed, and returns the line that comes
/// back, without its line feed. Unavailable: nobody listens there, it ended without an answer, or
/// it was silent for so long. InvalidArgument: the answer has more than 16 MiB.
base::Result<std::string> ask_line(const std::string& socket, const std::string& question,
                                   base::Duration silence);

}  // namespace pelton::os
