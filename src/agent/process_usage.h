// SPDX-License-Identifier: Apache-2.0
// What a process and all that it has begotten use, by /proc: for machines whose control groups
// cannot be had. Less exact: shared memory counts for each, and what ended unwaited-for is lost.
#pragma once
#include "agent/cgroup_plan.h"
#include "world/files.h"

namespace pelton::agent {

CgroupUsage read_process_usage(world::Files& files, int pid);

/// The CPU time in /proc/PID/stat, children that were waited for included; 0 where it is garbled.
int64_t cpu_ns_of_stat(std::string_view stat);
/// VmRSS of /proc/PID/status in bytes; 0 where there is none.
int64_t rss_of_status(std::string_view status);

}  // namespace pelton::agent
