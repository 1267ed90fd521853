// SPDX-License-Identifier: Apache-2.0
// What a container that has ended says about it: the file at its terminationMessagePath, or the end
// of its log.
#pragma once
#include <string>

#include "agent/container_record.h"
#include "base/json.h"
#include "world/files.h"

namespace pelton::agent {

/// At most this many bytes of the file, as a kubelet shows.
constexpr size_t kMaxTerminationMessage = 4096;

/// The last lines of a log's text, as FallbackToLogsOnError shows them: at most 80 lines and 2048
/// bytes. Pure.
std::string fallback_message(std::string_view log_text);

/// By the container's terminationMessagePolicy; "" where it said nothing.
std::string read_termination_message(world::Files& files, const ContainerPaths& paths,
                                     const base::Json& container, int exit_code);

}  // namespace pelton::agent
