// SPDX-License-Identifier: Apache-2.0
#include "os/network.h"

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sched.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <map>

#include "os/socket.h"

namespace pelton::os {
namespace {

constexpr int kBacklog = 1024;
constexpr int kAcceptsPerTurn = 64;
/// How long accepting rests where the process has no descriptor left.
constexpr base::Duration kAcceptRest = base::Duration::milliseconds(100);

class OsListener final : public world::Listener {
 public:
  using OnAccept = std::function<void(std::unique_ptr<world::Connection>)>;

  OsListener(Loop& loop, Fd fd, world::Address address, OnAccept on_accept)
      : loop_(loop),
        fd_(std::move(fd)),
        address_(std::move(address)),
        on_accept_(std::make_shared<OnAccept>(std::move(on_accept))),
        rest_(loop),
        watch_(loop, fd_.get(), [this](uint32_t) { accept_some(); }) {
    watch_.set(EPOLLIN);
  }
  ~OsListener() override {
    if (address_.host.starts_with('/')) ::unlink(address_.host.c_str());
  }
  world::Address address() const override { return address_; }

 private:
  void accept_some() {
    const auto on_accept = on_accept_;
    const std::weak_ptr<OnAccept> alive = on_accept_;
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      SocketAddress peer;
      peer.size = sizeof peer.storage;
      Fd fd(::accept4(fd_.get(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.size,
                      SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (!fd.is_open()) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) rest();
        return;
      }
      (*on_accept)(make_connection(loop_, std::move(fd), from_socket_address(peer)));
      if (alive.use_count() == 1) return;  // ours is the last: the listener was destroyed
    }
  }

  /// The kernel keeps who waits; without a rest the loop would spin on them.
  void rest() {
    watch_.set(0);
    rest_.start(kAcceptRest, [this] { watch_.set(EPOLLIN); });
  }

  Loop& loop_;
  Fd fd_;
  world::Address address_;
  std::shared_ptr<OnAccept> on_accept_;
  world::Timer rest_;
  Loop::Watch watch_;
};

/// A socket of another network namespace: it belongs for ever to the one it is made in. Nothing
/// else runs on this thread meanwhile, and other threads keep theirs.
base::Result<Fd> socket_within(const std::string& network_namespace, int family) {
  constexpr int kType = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  if (network_namespace.empty()) {
    Fd fd(::socket(family, kType, 0));
    if (!fd.is_open()) return errno_status("making a socket", errno);
    return fd;
  }
  const std::string what = "entering the network " + network_namespace;
  const Fd ours(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  const Fd theirs(::open(network_namespace.c_str(), O_RDONLY | O_CLOEXEC));
  if (!ours.is_open() || !theirs.is_open()) return errno_status(what, errno);
  if (::setns(theirs.get(), CLONE_NEWNET) != 0) return errno_status(what, errno);
  Fd fd(::socket(family, kType, 0));
  const int error = errno;
  // A thread that cannot go home would speak to the wrong peers from now on.
  if (::setns(ours.get(), CLONE_NEWNET) != 0) std::abort();
  if (!fd.is_open()) return errno_status("making a socket", error);
  return fd;
}

/// A connect() under way; owns itself until it has told the result.
class Connecting : public std::enable_shared_from_this<Connecting> {
 public:
  using Done = std::function<void(base::Result<std::unique_ptr<world::Connection>>)>;
  Connecting(Loop& loop, world::Address address, Done done)
      : loop_(loop), address_(std::move(address)), done_(std::move(done)), timeout_(loop) {}

  void start(base::Duration timeout) {
    auto target = to_socket_address(address_);
    if (!target.ok()) return fail_later(target.status());
    auto socket = socket_within(address_.network_namespace, target->family());
    if (!socket.ok()) return fail_later(base::unavailable(socket.status().message()));
    fd_ = std::move(socket).value();
    const bool is_done = ::connect(fd_.get(), target->get(), target->size) == 0;
    if (!is_done && errno != EINPROGRESS) return fail_later(unavailable(errno));
    watch_ = std::make_unique<Loop::Watch>(
        loop_, fd_.get(), [self = shared_from_this()](uint32_t) { self->on_ready(); });
    watch_->set(EPOLLOUT);
    timeout_.start(timeout, [this] { finish(unavailable(ETIMEDOUT)); });
  }

 private:
  base::Status unavailable(int error) const {
    return base::unavailable(
        errno_status("connecting to " + address_.to_string(), error).message());
  }

  void fail_later(base::Status status) {
    loop_.post([self = shared_from_this(), status = std::move(status)] { self->done_(status); });
  }

  void on_ready() {
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return finish(unavailable(error));
    watch_.reset();
    finish(make_connection(loop_, std::move(fd_), address_));
  }

  void finish(base::Result<std::unique_ptr<world::Connection>> result) {
    const auto self = shared_from_this();  // the watch's callback holds this object: it goes here
    timeout_.cancel();
    watch_.reset();
    done_(std::move(result));
  }

  Loop& loop_;
  world::Address address_;
  Done done_;
  Fd fd_;
  std::unique_ptr<Loop::Watch> watch_;
  world::Timer timeout_;
};

bool is_stale_unix_socket(const SocketAddress& address) {
  const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return ::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

}  // namespace

OsNetwork::OsNetwork(Loop& loop) : loop_(loop) {}

base::Result<std::unique_ptr<world::Listener>> OsNetwork::listen(
    const world::Address& address,
    std::function<void(std::unique_ptr<world::Connection>)> on_accept) {
  PELTON_ASSIGN(const SocketAddress wanted, to_socket_address(address));
  const std::string what = "listening on " + address.to_string();
  Fd fd(::socket(wanted.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.is_open()) return errno_status(what, errno);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  int result = ::bind(fd.get(), wanted.get(), wanted.size);
  if (result != 0 && errno == EADDRINUSE && wanted.family() == AF_UNIX &&
      is_stale_unix_socket(wanted)) {
    ::unlink(address.host.c_str());
    result = ::bind(fd.get(), wanted.get(), wanted.size);
  }
  if (result != 0 || ::listen(fd.get(), kBacklog) != 0) return errno_status(what, errno);
  world::Address real = wanted.family() == AF_UNIX ? address : local_address(fd.get());
  return std::unique_ptr<world::Listener>(
      std::make_unique<OsListener>(loop_, std::move(fd), std::move(real), std::move(on_accept)));
}

void OsNetwork::connect(
    const world::Address& address, base::Duration timeout,
    std::function<void(base::Result<std::unique_ptr<world::Connection>>)> done) {
  std::make_shared<Connecting>(loop_, address, std::move(done))->start(timeout);
}

base::Result<std::vector<world::Link>> OsNetwork::links() {
  ifaddrs* first = nullptr;
  if (getifaddrs(&first) != 0) return errno_status("listing the network interfaces", errno);
  // One entry per address, so some interfaces come several times.
  std::map<std::string, bool> found;
  for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
    if ((each->ifa_flags & IFF_LOOPBACK) != 0) continue;
    found[each->ifa_name] = (each->ifa_flags & IFF_UP) != 0 && (each->ifa_flags & IFF_RUNNING) != 0;
  }
  freeifaddrs(first);
  std::vector<world::Link> links;
  for (const auto& [name, is_up] : found) links.push_back({name, is_up});
  return links;
}

}  // namespace pelton::os
