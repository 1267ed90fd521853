// SPDX-License-Identifier: Apache-2.0
#include "os/notifier.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <set>

namespace pelton::os {
namespace {

constexpr uint32_t kMask = IN_MODIFY | IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM |
                           IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF;

}  // namespace

class Notifier::Handle final : public world::FileWatch {
 public:
  Handle(std::weak_ptr<Notifier> notifier, int descriptor, uint64_t id)
      : notifier_(std::move(notifier)), descriptor_(descriptor), id_(id) {}
  ~Handle() override {
    if (const auto notifier = notifier_.lock()) notifier->forget(descriptor_, id_);
  }

 private:
  std::weak_ptr<Notifier> notifier_;
  int descriptor_;
  uint64_t id_;
};

base::Status Notifier::open() {
  fd_ = Fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd_.is_open()) return errno_status("watching files", errno);
  watch_ = std::make_unique<Loop::Watch>(loop_, fd_.get(), [this](uint32_t) { on_ready(); });
  watch_->set(EPOLLIN);
  return base::ok();
}

base::Result<std::unique_ptr<world::FileWatch>> Notifier::watch(const std::string& path,
                                                                std::function<void()> changed) {
  const int descriptor = ::inotify_add_watch(fd_.get(), path.c_str(), kMask);
  if (descriptor < 0) {
    // ENOSPC here is the user's limit of watches (fs.inotify.max_user_watches), not the disk.
    return errno_status("watching " + path, errno);
  }
  const uint64_t id = next_id_++;
  watchers_[descriptor][id] = std::make_shared<std::function<void()>>(std::move(changed));
  return std::unique_ptr<world::FileWatch>(
      std::make_unique<Handle>(weak_from_this(), descriptor, id));
}

void Notifier::forget(int descriptor, uint64_t id) {
  const auto found = watchers_.find(descriptor);
  if (found == watchers_.end()) return;
  found->second.erase(id);
  if (!found->second.empty()) return;
  watchers_.erase(found);
  ::inotify_rm_watch(fd_.get(), descriptor);
}

void Notifier::on_ready() {
  alignas(inotify_event) char buffer[16 * 1024];
  std::set<int> changed;
  bool has_overflown = false;
  for (ssize_t n; (n = ::read(fd_.get(), buffer, sizeof buffer)) > 0;) {
    for (ssize_t at = 0; at < n;) {
      inotify_event event{};
      std::memcpy(&event, buffer + at, sizeof event);
      at += static_cast<ssize_t>(sizeof event + event.len);
      if ((event.mask & IN_Q_OVERFLOW) != 0) has_overflown = true;
      if ((event.mask & IN_IGNORED) == 0) changed.insert(event.wd);
    }
  }
  // Collected first: a callback may end any of the watches, its own included.
  std::vector<std::weak_ptr<std::function<void()>>> calls;
  for (const auto& [descriptor, by_id] : watchers_) {
    if (!has_overflown && !changed.contains(descriptor)) continue;
    for (const auto& [id, fn] : by_id) calls.push_back(fn);
  }
  const auto self = shared_from_this();
  for (const auto& call : calls) {
    if (const auto fn = call.lock()) (*fn)();
  }
}

}  // namespace pelton::os
