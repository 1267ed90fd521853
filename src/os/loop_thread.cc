// SPDX-License-Identifier: Apache-2.0
#include "os/loop_thread.h"

#include <signal.h>

#include <future>
#include <utility>

namespace pelton::os {

base::Result<std::unique_ptr<LoopThread>> LoopThread::start() {
  std::unique_ptr<LoopThread> made(new LoopThread());
  PELTON_ASSIGN(made->loop_, Loop::make());
  made->files_ = std::make_unique<OsFiles>(*made->loop_, "");
  // Signals are the host program's.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  made->thread_ = std::thread([loop = made->loop_.get()] { loop->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return made;
}

std::unique_ptr<world::Executor> LoopThread::make_executor(size_t threads) {
  return std::make_unique<Workers>(*loop_, threads);
}

LoopThread::~LoopThread() {
  if (!thread_.joinable()) return;
  post([this] { loop_->stop(); });
  thread_.join();
}

void LoopThread::wait_for(std::function<void(std::function<void()>)> fn) {
  auto done = std::make_shared<std::promise<void>>();
  auto future = done->get_future();
  post([fn = std::move(fn), done] { fn([done] { done->set_value(); }); });
  future.wait();
}

}  // namespace pelton::os
