// SPDX-License-Identifier: Apache-2.0
// What a client says about a command and its terminal: no crash, and what is taken is sane.
#include <cstdint>

#include "agent/remote_command.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto options = pelton::agent::read_remote_options(bytes);
  if (options.ok()) PELTON_CHECK(!options->is_tty || !options->has_stderr);
  pelton::agent::read_terminal_size(bytes);
  return 0;
}
