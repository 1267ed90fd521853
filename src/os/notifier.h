// SPDX-License-Identifier: Apache-2.0
// Changes of files and directories, by one inotify for all watches: their number per user is small.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "os/loop.h"
#include "world/files.h"

namespace pelton::os {

class Notifier : public std::enable_shared_from_this<Notifier> {
 public:
  explicit Notifier(Loop& loop) : loop_(loop) {}
  base::Status open();
  /// NotFound where the path does not exist; ResourceExhausted where the user has too many watches.
  base::Result<std::unique_ptr<world::FileWatch>> watch(const std::string& path,
                                                        std::function<void()> changed);

 private:
  class Handle;
  void on_ready();
  void forget(int descriptor, uint64_t id);

  Loop& loop_;
  Fd fd_;
  std::unique_ptr<Loop::Watch> watch_;
  uint64_t next_id_ = 1;
  /// By inotify's descriptor, which is one per file however many watch it, and by our own id.
  std::map<int, std::map<uint64_t, std::shared_ptr<std::function<void()>>>> watchers_;
};

}  // namespace pelton::os
