// SPDX-License-Identifier: Apache-2.0
// What a process does and has used, by /proc.
#pragma once
#include <cstdint>
#include <set>
#include <string_view>

#include "base/status.h"
#include "world/processes.h"

namespace pelton::os {

base::Result<world::ProcessActivity> read_activity(int pid, bool with_sockets);

/// The attempts to have answered what has been sent, of those sockets (by inode), in the text of
/// /proc/PID/net/tcp: each stands for a timeout without an answer, and an answer makes it 0 again.
int64_t resent_in(std::string_view table, const std::set<uint64_t>& inodes);

}  // namespace pelton::os
