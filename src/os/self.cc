// SPDX-License-Identifier: Apache-2.0
#include "os/self.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <climits>

#include "os/spawn.h"

namespace pelton::os {

std::string executable_path() {
  char path[PATH_MAX];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  return n > 0 ? std::string(path, static_cast<size_t>(n)) : std::string();
}

std::string working_directory() {
  char path[PATH_MAX];
  return ::getcwd(path, sizeof path) ? path : "/";
}

bool is_root() {
  return ::geteuid() == 0;
}

bool is_terminal(int fd) {
  return ::isatty(fd) == 1;
}

int terminal_columns(int fallback) {
  winsize size{};
  return ::ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : fallback;
}

int process_id() {
  return ::getpid();
}

void raise_open_files_limit() {
  raise_own_files_limit();
}

}  // namespace pelton::os
