// SPDX-License-Identifier: Apache-2.0
// A file descriptor with an owner, and errno as a Status.
#pragma once
#include <string>
#include <utility>

#include "base/status.h"

namespace pelton::os {

/// Closes its descriptor when destroyed. -1 is none.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  void reset();

 private:
  int fd_ = -1;
};

/// "what: No such file or directory", with the code that says what the caller may do.
base::Status errno_status(const std::string& what, int error);

}  // namespace pelton::os
