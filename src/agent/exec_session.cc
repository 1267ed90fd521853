// SPDX-License-Identifier: Apache-2.0
#include "agent/exec_session.h"

#include <utility>

#include "agent/container_shim.h"
#include "agent/enter_command.h"

namespace pelton::agent {
namespace {

/// Bytes that may wait in either direction before whoever makes them is held back.
constexpr size_t kMaxQueue = 512 * 1024;
/// After the command's end its output must end too; whoever holds it open beyond is not waited for.
constexpr base::Duration kOutputGrace = base::Duration::seconds(2);
constexpr int kSignalKill = 9;

/// A client that has gone while it was held back shows by a ping that cannot be sent.
constexpr base::Duration kPingInterval = base::Duration::seconds(10);

/// All that descend from the process, itself excluded.
std::vector<int> descendants_of(world::Files& files, int pid) {
  std::vector<int> all = children_of(files, pid);
  for (size_t i = 0; i < all.size(); ++i) {
    for (const int child : children_of(files, all[i])) all.push_back(child);
  }
  return all;
}

}  // namespace

ExecSession::ExecSession(world::World world, ExecTarget target, RemoteOptions options,
                         std::function<void()> ended)
    : world_(world),
      target_(std::move(target)),
      options_(std::move(options)),
      ended_(std::move(ended)),
      output_grace_(world.timers) {}

ExecSession::~ExecSession() {
  kill();
}

void ExecSession::start(std::unique_ptr<world::Connection> connection) {
  socket_ = std::make_unique<net::WebSocket>(
      world_.timers, world_.random, std::move(connection), net::WebSocket::Role::Server,
      net::WebSocketEvents{
          .on_message = [this](std::string_view message, bool) { on_message(message); },
          .on_end = [this](const net::WebSocketEnd&) { end(); },
          .on_drained =
              [this] {
                if (process_) process_->resume_output();
              }},
      net::WebSocketOptions{.ping_interval = kPingInterval});
  // Says that the streams are there, as upstream: clients wait for it.
  socket_->send(remote_message(options_.has_stdout   ? RemoteChannel::Stdout
                               : options_.has_stderr ? RemoteChannel::Stderr
                                                     : RemoteChannel::Error,
                               {}));
  spawn();
}

void ExecSession::spawn() {
  world::ProcessSpec spec = enter_command(target_.order, target_.running, options_.command);
  spec.stdout_path = spec.stderr_path = "/dev/null";
  spec.has_input = options_.has_stdin;
  spec.on_input_drained = [this] { socket_->resume_reading(); };
  if (options_.is_tty) spec.terminal = world::TerminalSize{};
  if (options_.has_stdout || options_.is_tty) {
    ++open_outputs_;
    spec.on_output = [this](std::string_view piece) { on_output(RemoteChannel::Stdout, piece); };
  }
  if (options_.has_stderr) {
    ++open_outputs_;
    spec.on_error_output = [this](std::string_view piece) {
      on_output(RemoteChannel::Stderr, piece);
    };
  }
  auto process =
      world_.processes.spawn(std::move(spec), [this](world::ExitState state) { on_exit(state); });
  if (!process.ok()) return refuse(process.status());
  process_ = std::move(process).value();
}

/// A program that is not there is said on stderr and by the exit code, as a shell does.
void ExecSession::refuse(const base::Status& why) {
  const auto program = explain_not_started(why, options_.command[0]);
  if (!program) return finish(failure_status(why.message()));
  const std::string text = program->text + "\r\n";
  if (options_.has_stderr) socket_->send(remote_message(RemoteChannel::Stderr, text));
  if (options_.is_tty) socket_->send(remote_message(RemoteChannel::Stdout, text));
  finish(exit_status(program->exit_code));
}

void ExecSession::on_message(std::string_view message) {
  if (message.empty() || !process_ || exit_) return;
  const std::string_view bytes = message.substr(1);
  switch (static_cast<RemoteChannel>(message[0])) {
    case RemoteChannel::Stdin:
      process_->write(bytes);
      if (process_->queued_input() > kMaxQueue) socket_->pause_reading();
      break;
    case RemoteChannel::Resize:
      if (const auto size = read_terminal_size(bytes)) process_->resize_terminal(*size);
      break;
    case RemoteChannel::Close:
      if (bytes == std::string_view("\0", 1)) process_->end_input();
      break;
    case RemoteChannel::Stdout:
    case RemoteChannel::Stderr:
    case RemoteChannel::Error:
      break;  // ours alone; upstream passes over them too
  }
}

void ExecSession::on_output(RemoteChannel channel, std::string_view piece) {
  if (is_finished_) return;
  if (piece.empty()) {
    --open_outputs_;
    return finish_if_complete();
  }
  socket_->send(remote_message(channel, piece));
  if (socket_->queued_bytes() > kMaxQueue) process_->pause_output();
  if (exit_) on_exit(*exit_);  // it goes on: new time
}

void ExecSession::on_exit(world::ExitState state) {
  exit_ = state;
  output_grace_.start(kOutputGrace, [this] {
    // Held back by the client, not by a process that holds the output open.
    if (socket_->queued_bytes() > 0) return on_exit(*exit_);
    open_outputs_ = 0;
    finish_if_complete();
  });
  finish_if_complete();
}

void ExecSession::finish_if_complete() {
  if (exit_ && open_outputs_ == 0) finish(exit_status(exit_->shell_code()));
}

void ExecSession::finish(const base::Json& status) {
  if (std::exchange(is_finished_, true)) return;
  output_grace_.cancel();
  socket_->send(remote_message(RemoteChannel::Error, status.dump()));
  socket_->close();
}

void ExecSession::kill() {
  if (!process_ || exit_) return;
  const std::vector<int> descendants = descendants_of(world_.files, process_->pid());
  static_cast<void>(process_->signal_group(kSignalKill));
  static_cast<void>(process_->signal(kSignalKill));
  for (const int pid : descendants) {  // those that have made themselves groups: a shell's jobs
    const auto start = world_.processes.start_ticks(pid);
    if (!start.ok()) continue;
    const auto process = world_.processes.attach(pid, *start, [](world::ExitState) {});
    if (process.ok()) static_cast<void>((*process)->signal(kSignalKill));
  }
}

void ExecSession::end() {
  kill();
  process_.reset();
  output_grace_.cancel();
  world_.timers.post(std::exchange(ended_, nullptr));
}

}  // namespace pelton::agent
