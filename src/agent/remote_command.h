// SPDX-License-Identifier: Apache-2.0
// The protocol of `kubectl exec` and `attach` inside a WebSocket: streams of one command, each
// message led by the number of its channel. Pure.
//
//   v5.channel.k8s.io   0 stdin, 1 stdout, 2 stderr, 3 how it ended (a Status), 4 terminal size,
//                       255 a channel ends (the byte after it says which; only stdin's is used)
//   v4.channel.k8s.io   the same without 255: stdin cannot be ended
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "world/processes.h"

namespace pelton::agent {

enum class RemoteChannel : uint8_t {
  Stdin = 0,
  Stdout = 1,
  Stderr = 2,
  Error = 3,
  Resize = 4,
  Close = 255,
};

/// Those spoken here, best first. The oldest in Kubernetes, meant where none is offered, has no way
/// to tell an exit code.
const std::vector<std::string>& remote_protocols();
/// The first of ours that is offered; nullopt where there is none.
std::optional<std::string> choose_protocol(const std::vector<std::string>& offered,
                                           const std::vector<std::string>& ours);

struct RemoteOptions {
  std::vector<std::string> command;  ///< empty for attach
  bool has_stdin = false, has_stdout = false, has_stderr = false, is_tty = false;
};
/// From the kubelet's parameters: command (repeated), input, output, error, tty. InvalidArgument
/// says what is missing, in upstream's words.
base::Result<RemoteOptions> read_remote_options(std::string_view target);

/// One message: the channel, then the bytes.
std::string remote_message(RemoteChannel channel, std::string_view bytes);

/// {"Width":80,"Height":24} of the resize channel; nullopt where it is none.
std::optional<world::TerminalSize> read_terminal_size(std::string_view text);

/// The Status that says how the command ended: Success for 0, else Failure with reason
/// NonZeroExitCode and the code as a cause, by which kubectl exits with it.
base::Json exit_status(int code);
/// The Status of a command that could not be run at all.
base::Json failure_status(const std::string& message);

}  // namespace pelton::agent
