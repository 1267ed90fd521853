// SPDX-License-Identifier: Apache-2.0
#include "os/socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pelton::os {
namespace {

constexpr size_t kReadSize = 64 * 1024;
/// Reads per turn: one busy peer does not hold up the others.
constexpr int kReadsPerTurn = 4;
/// A peer that vanished (no power, no link) says no farewell. One that is silent for so long is
/// asked whether it is there, so often, before the connection counts as broken: half a minute.
constexpr int kProbeAfterSeconds = 15;
constexpr int kProbeEverySeconds = 5;
constexpr int kProbes = 3;
/// One that has not confirmed what it was sent is not asked: there the kernel would go on sending
/// for a quarter of an hour. A peer that confirms but does not read is there: that is for whoever
/// speaks to it.
constexpr base::Duration kUnconfirmed = base::Duration::seconds(30);
constexpr int kUnconfirmedTries = 4;

/// Whether nothing was heard of the peer for that long, though it was sent to again and again.
bool is_peer_gone(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  return info.tcpi_retransmits + info.tcpi_probes >= kUnconfirmedTries &&
         base::Duration::milliseconds(info.tcpi_last_ack_recv) >= kUnconfirmed;
}

bool is_all_confirmed(int fd) {
  int bytes = 0;
  return ::ioctl(fd, SIOCOUTQ, &bytes) != 0 || bytes == 0;
}

/// What was sent is cut from the front of the queue in steps of this, and of no less than what
/// stays, which is moved.
constexpr size_t kCompactSize = 1024 * 1024;

class OsConnection final : public world::Connection {
 public:
  OsConnection(Loop& loop, Fd fd, world::Address peer)
      : fd_(std::move(fd)),
        peer_(std::move(peer)),
        confirmation_(loop),
        watch_(loop, fd_.get(), [this](uint32_t events) { on_ready(events); }) {}

  /// What is cut off in the middle is reset: the peer learns that it has not got all, also one that
  /// did not read, and the kernel keeps nothing for it.
  ~OsConnection() override {
    if (queued_bytes() == 0 || peer_.port == 0) return;
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }

  void start(world::ConnectionEvents events) override {
    events_ = std::make_shared<world::ConnectionEvents>(std::move(events));
    update_watch();
  }

  void send(std::string_view bytes) override {
    if (is_finishing_ || is_broken_) return;
    if (!confirmation_.is_pending() && peer_.port != 0) await_confirmation();
    if (queued_bytes() == 0) bytes.remove_prefix(write_some(bytes));
    if (bytes.empty()) return;
    if (!is_broken_) queue_.append(bytes);
    update_watch();
  }

  size_t queued_bytes() const override { return queue_.size() - sent_; }

  void finish() override {
    if (is_finishing_) return;
    is_finishing_ = true;
    if (queued_bytes() == 0) ::shutdown(fd_.get(), SHUT_WR);
  }

  void pause_reading() override {
    is_reading_ = false;
    update_watch();
  }

  void resume_reading() override {
    is_reading_ = true;
    update_watch();
  }

  world::Address peer() const override { return peer_; }

 private:
  /// How much the kernel took. An error breaks the sending side; the reading side notices too and
  /// tells the owner, also while it is paused.
  size_t write_some(std::string_view bytes) {
    size_t written = 0;
    while (written < bytes.size()) {
      const ssize_t n = ::send(fd_.get(), bytes.data() + written, bytes.size() - written,
                               MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
      if (n < 0) {
        is_broken_ = true;
        // Told once, to whoever comes first: a read behind it would see an orderly end.
        was_reset_ = was_reset_ || errno == ECONNRESET;
        break;
      }
      written += static_cast<size_t>(n);
    }
    return written;
  }

  void update_watch() {
    if (!events_) return;
    uint32_t wanted = 0;
    if ((is_reading_ || is_broken_) && !has_ended_) wanted |= EPOLLIN;
    if (queued_bytes() > 0) wanted |= EPOLLOUT;
    watch_.set(wanted);
  }

  void on_ready(uint32_t ready) {
    const auto events = events_;  // lives on where a callback destroys this connection
    const std::weak_ptr<char> alive = alive_;
    if ((ready & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0 && queued_bytes() > 0) {
      flush();
      if (queued_bytes() == 0 && !is_broken_ && events->on_drained) {
        events->on_drained();
        if (alive.expired()) return;
      }
    }
    if ((ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) read_some(*events, alive);
  }

  void flush() {
    sent_ += write_some(std::string_view(queue_).substr(sent_));
    if (queued_bytes() == 0 || is_broken_) {
      queue_.clear();
      sent_ = 0;
      if (is_finishing_) ::shutdown(fd_.get(), SHUT_WR);
    } else if (sent_ >= kCompactSize && sent_ >= queue_.size() / 2) {
      queue_.erase(0, sent_);
      sent_ = 0;
    }
    update_watch();
  }

  /// Looks only while there is something to be confirmed: idle connections cost nothing.
  void await_confirmation() {
    confirmation_.start(kUnconfirmed, [this] {
      if (has_ended_ || is_broken_ || (queued_bytes() == 0 && is_all_confirmed(fd_.get()))) return;
      if (!is_peer_gone(fd_.get())) return await_confirmation();
      const auto events = events_;
      if (events) {
        end(*events, base::unavailable(peer_.to_string() + " has confirmed nothing for " +
                                       base::format_age(kUnconfirmed)));
      }
    });
  }

  void read_some(const world::ConnectionEvents& events, const std::weak_ptr<char>& alive) {
    if (is_broken_ && !is_reading_ && !has_ended_) {
      return end(events, base::unavailable("connection to " + peer_.to_string() + " broke"));
    }
    static thread_local std::string buffer(kReadSize, '\0');
    for (int i = 0; i < kReadsPerTurn && is_reading_ && !has_ended_; ++i) {
      const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) {
        const int why = n < 0 ? errno : was_reset_ ? ECONNRESET : 0;
        end(events,
            why == 0 ? base::ok() : errno_status("connection to " + peer_.to_string(), why));
        return;
      }
      if (events.on_data) events.on_data({buffer.data(), static_cast<size_t>(n)});
      if (alive.expired()) return;
      if (static_cast<size_t>(n) < buffer.size()) return;
    }
  }

  void end(const world::ConnectionEvents& events, base::Status status) {
    has_ended_ = true;
    if (!status.ok()) {
      status = base::unavailable(status.message());
      is_broken_ = true;
      queue_.clear();
      sent_ = 0;
    }
    update_watch();
    if (events.on_end) events.on_end(std::move(status));
  }

  Fd fd_;
  world::Address peer_;
  std::shared_ptr<world::ConnectionEvents> events_;
  std::string queue_;
  size_t sent_ = 0;  ///< of queue_, from its front
  bool is_reading_ = true;
  bool is_finishing_ = false;
  bool has_ended_ = false;
  bool is_broken_ = false;
  bool was_reset_ = false;
  std::shared_ptr<char> alive_ = std::make_shared<char>();
  world::Timer confirmation_;
  Loop::Watch watch_;  ///< last: ends before the descriptor is closed
};

}  // namespace

namespace {

base::Result<SocketAddress> to_unix_address(const std::string& path) {
  SocketAddress out;
  sockaddr_un address{};
  std::string name = path;
  if (name.size() >= sizeof address.sun_path) {
    const size_t slash = path.rfind('/');
    const std::string directory = path.substr(0, std::max<size_t>(slash, 1));
    out.directory =
        std::make_shared<Fd>(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!out.directory->is_open()) return errno_status("the Unix socket " + path, errno);
    name = "/proc/self/fd/" + std::to_string(out.directory->get()) + path.substr(slash);
    if (name.size() >= sizeof address.sun_path) {
      return base::invalid_argument("the name of the Unix socket " + path + " is too long");
    }
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  out.size = sizeof address;
  std::memcpy(&out.storage, &address, out.size);
  return out;
}

}  // namespace

base::Result<SocketAddress> to_socket_address(const world::Address& address) {
  if (address.host.starts_with('/')) return to_unix_address(address.host);
  SocketAddress out;
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    out.size = sizeof v4;
    std::memcpy(&out.storage, &v4, out.size);
    return out;
  }
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    out.size = sizeof v6;
    std::memcpy(&out.storage, &v6, out.size);
    return out;
  }
  return base::invalid_argument(
      "\"" + address.host + "\" is neither an IP address nor the absolute path of a Unix socket");
}

world::Address from_socket_address(const SocketAddress& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return {text, ntohs(v4.sin_port)};
  }
  if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.storage, sizeof v6);
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
    return {text, ntohs(v6.sin6_port)};
  }
  sockaddr_un unix_address{};
  std::memcpy(&unix_address, &address.storage, sizeof unix_address);
  unix_address.sun_path[sizeof unix_address.sun_path - 1] = '\0';
  return {unix_address.sun_path[0] == '\0' ? "unix" : unix_address.sun_path, 0};
}

world::Address local_address(int fd) {
  SocketAddress local;
  local.size = sizeof local.storage;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&local.storage), &local.size);
  return from_socket_address(local);
}

std::unique_ptr<world::Connection> make_connection(Loop& loop, Fd fd, world::Address peer) {
  if (peer.port != 0) {
    const auto set = [&fd](int level, int option, int value) {
      ::setsockopt(fd.get(), level, option, &value, sizeof value);
    };
    // Small writes leave at once: whoever coalesces does it above us.
    set(IPPROTO_TCP, TCP_NODELAY, 1);
    set(SOL_SOCKET, SO_KEEPALIVE, 1);
    set(IPPROTO_TCP, TCP_KEEPIDLE, kProbeAfterSeconds);
    set(IPPROTO_TCP, TCP_KEEPINTVL, kProbeEverySeconds);
    set(IPPROTO_TCP, TCP_KEEPCNT, kProbes);
  }
  return std::make_unique<OsConnection>(loop, std::move(fd), std::move(peer));
}

}  // namespace pelton::os
