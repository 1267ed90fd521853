// SPDX-License-Identifier: Apache-2.0
#include "os/fd.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace pelton::os {

void Fd::reset() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

base::Status errno_status(const std::string& what, int error) {
  const auto code = [error] {
    switch (error) {
      case ENOENT:
      case ESRCH:
        return base::Code::NotFound;
      case EEXIST:
        return base::Code::AlreadyExists;
      case EACCES:
      case EPERM:
      case EROFS:
        return base::Code::Forbidden;
      case EINVAL:
      case ENAMETOOLONG:
      case ENOTDIR:
      case EISDIR:
      case ELOOP:
      case EAFNOSUPPORT:
        return base::Code::InvalidArgument;
      case ENOTEMPTY:
      case EBUSY:
        return base::Code::FailedPrecondition;
      case ENOSPC:
      case EDQUOT:
      case EMFILE:
      case ENFILE:
      case ENOMEM:
      case EFBIG:
        return base::Code::ResourceExhausted;
      case EIO:
        return base::Code::DataLoss;
      default:
        return base::Code::Unavailable;
    }
  }();
  return {code, what + ": " + std::generic_category().message(error)};
}

}  // namespace pelton::os
