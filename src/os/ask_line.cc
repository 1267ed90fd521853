// SPDX-License-Identifier: Apache-2.0
#include "os/ask_line.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "os/fd.h"

namespace pelton::os {
namespace {

constexpr size_t kMostBytes = size_t{16} << 20;

base::Status unreachable(const std::string& socket, const char* what, int error) {
  return base::unavailable(socket + ": " + what + (error == 0 ? "" : ": ") +
                           (error == 0 ? "" : std::strerror(error)));
}

}  // namespace

base::Result<std::string> ask_line(const std::string& socket, const std::string& question,
                                   base::Duration silence) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket.size() >= sizeof address.sun_path) {
    return base::invalid_argument(socket + ": the path of a socket has at most 107 bytes");
  }
  std::memcpy(address.sun_path, socket.data(), socket.size());
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return unreachable(socket, "making a socket", errno);
  timeval limit{};
  limit.tv_sec = static_cast<time_t>(silence.ns() / 1'000'000'000);
  limit.tv_usec = static_cast<suseconds_t>(silence.ns() % 1'000'000'000 / 1'000);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return unreachable(socket, "connecting", errno);
  }
  const std::string text = question + "\n";
  for (std::string_view left = text; !left.empty();) {
    const ssize_t n = ::send(fd.get(), left.data(), left.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreachable(socket, "asking", errno);
    left.remove_prefix(static_cast<size_t>(n));
  }
  std::string answer;
  while (answer.size() < kMostBytes) {
    char part[4096];
    const ssize_t n = ::recv(fd.get(), part, sizeof part, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreachable(socket, "waiting for the answer", errno);
    if (n == 0) return unreachable(socket, "it ended without an answer", 0);
    answer.append(part, static_cast<size_t>(n));
    const size_t end = answer.find('\n');
    if (end != std::string::npos) return answer.substr(0, end);
  }
  return base::invalid_argument(socket + ": the answer has more than 16 MiB");
}

}  // namespace pelton::os
