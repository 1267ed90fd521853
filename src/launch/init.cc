// SPDX-License-Identifier: Apache-2.0
#include "launch/init.h"

#include <algorithm>
#include <utility>

namespace pelton::launch {
namespace {

using base::Json;

constexpr int kSigKill = 9;
/// A supervisor that so often in a row never came to say hello will not live at all. One that works
/// and dies is started for ever: its workers train on meanwhile.
constexpr int kSilentEnds = 10;
constexpr base::Duration kQuickEnd = base::Duration::seconds(1);
/// From the third on there is a pause, so that a supervisor that cannot live is no busy loop.
constexpr int kQuickEndsAtOnce = 2;
constexpr base::Duration kRestartPause = base::Duration::milliseconds(100);
constexpr base::Duration kConnectTimeout = base::Duration::seconds(5);

}  // namespace

struct Init::Peer {
  std::unique_ptr<world::Connection> connection;
  JsonLines lines;
};

struct Init::Child {
  std::unique_ptr<world::Process> process;  ///< none: being started
  std::optional<world::ExitState> exit;
  int64_t ended = 0;
};

/// A request to a parked parent, on a connection of its own.
struct Init::Fork {
  std::unique_ptr<world::Connection> connection;
  JsonLines lines;
};

Init::Init(world::World& world, InitSettings settings)
    : world_(world), settings_(std::move(settings)), restart_(world.timers) {}

Init::~Init() = default;

base::Status Init::start(std::function<void(int)> on_done) {
  on_done_ = std::move(on_done);
  PELTON_TRY(world_.processes.keep_orphans());
  PELTON_ASSIGN(listener_, world_.network.listen({settings_.socket, 0}, [this](auto connection) {
    accept(std::move(connection));
  }));
  PELTON_TRY(world_.files.set_mode(settings_.socket, 0600));
  start_supervisor();
  return base::ok();
}

void Init::start_supervisor() {
  ++supervisors_;
  has_greeted_ = false;
  supervisor_at_ = world_.clock.elapsed();
  world::ProcessSpec spec;
  spec.argv = settings_.supervisor;
  spec.argv.push_back(settings_.socket);
  spec.argv.push_back(std::to_string(supervisors_));
  spec.argv.insert(spec.argv.end(), settings_.supervisor_words.begin(),
                   settings_.supervisor_words.end());
  spec.inherit_env = true;
  spec.new_session = true;  // Ctrl-C comes to us alone, and from us to it
  auto process =
      world_.processes.spawn(std::move(spec), [this](world::ExitState) { on_supervisor_exit(); });
  if (!process.ok()) {
    world_.log.error("launch.no_supervisor", {{"message", process.error().message()}});
    return on_supervisor_exit();
  }
  supervisor_ = std::move(process).value();
}

void Init::on_supervisor_exit() {
  if (finished_) return;
  const bool was_quick = world_.clock.elapsed() - supervisor_at_ < kQuickEnd;
  quick_ends_ = was_quick ? quick_ends_ + 1 : 0;
  silent_ends_ = has_greeted_ ? 0 : silent_ends_ + 1;
  if (silent_ends_ >= kSilentEnds) {
    world_.log.error(
        "launch.supervisor_does_not_live",
        {{"message", "it ended " + std::to_string(kSilentEnds) +
                         " times in a row before it said anything: the group is ended"}});
    return finish(1);
  }
  if (quick_ends_ <= kQuickEndsAtOnce) return start_supervisor();
  restart_.start(kRestartPause, [this] { start_supervisor(); });
}

void Init::accept(std::unique_ptr<world::Connection> connection) {
  const uint64_t id = next_peer_++;
  auto peer = std::make_unique<Peer>();
  peer->connection = std::move(connection);
  world::Connection& started = *peer->connection;
  peers_[id] = std::move(peer);
  started.start({.on_data =
                     [this, id](std::string_view bytes) {
                       const auto found = peers_.find(id);
                       const bool goes_on =
                           found->second->lines.feed(bytes, [this, id](const Json& request) {
                             return obey(id, request) && !finished_;
                           });
                       if (!goes_on) peers_.erase(id);
                     },
                 .on_end = [this, id](const base::Status&) { peers_.erase(id); },
                 .on_drained = [] {}});
}

/// False where the peer is not to be heard any more.
bool Init::obey(uint64_t peer, const Json& request) {
  const std::string& op = request["op"].as_string();
  if (op == "hello") return greet(peer, request);
  if (op == "list") {
    send_line(*peers_.at(peer)->connection, Json::object({{"list", to_json(state())}}));
    return true;
  }
  if (peer != supervisor_peer_) return false;
  if (op == "spawn") {
    const auto order = spawn_order_of(request);
    if (order.ok()) {
      spawn(*order);
    } else {
      failed(request["key"].as_string(), order.error());
    }
  } else if (op == "signal") {
    signal(request);
  } else if (op == "forget") {
    const auto child = children_.find(request["key"].as_string());
    if (child != children_.end() && child->second.exit) children_.erase(child);
  } else if (op == "exit") {
    finish(static_cast<int>(request["code"].as_int()));
  }
  return true;
}

bool Init::greet(uint64_t peer, const Json& request) {
  if (request["supervisor"].as_int() != supervisors_) return false;
  // What a predecessor has sent and we have not read yet is dropped with its connection.
  if (supervisor_peer_ != peer) peers_.erase(supervisor_peer_);
  supervisor_peer_ = peer;
  has_greeted_ = true;
  tell(Json::object({{"list", to_json(state())}}));
  return true;
}

void Init::spawn(const SpawnOrder& order) {
  if (children_.contains(order.key)) return;
  if (!order.parent.empty()) return fork(order);
  world::ProcessSpec spec;
  spec.argv = order.argv;
  for (const auto& [name, value] : order.env) spec.env.push_back(name + "=" + value);
  spec.inherit_env = true;
  spec.new_session = true;
  spec.die_with_parent = true;
  spec.take_group_along = true;
  spec.stdout_path = order.stdout_path;
  spec.stderr_path = order.stderr_path;
  auto process = world_.processes.spawn(
      std::move(spec), [this, key = order.key](world::ExitState how) { on_exit(key, how); });
  if (!process.ok()) return failed(order.key, process.error());
  started(order.key, std::move(process).value());
}

void Init::fork(const SpawnOrder& order) {
  const std::string key = order.key;
  children_[key];
  forks_[key] = std::make_unique<Fork>();
  Json request = order.request;
  request.set("id", 1);
  world_.network.connect(
      {order.parent, 0}, kConnectTimeout,
      [this, key, request](base::Result<std::unique_ptr<world::Connection>> connected) {
        const auto fork = forks_.find(key);
        if (fork == forks_.end()) return;
        if (!connected.ok()) {
          forks_.erase(fork);
          return failed(key, connected.error());
        }
        fork->second->connection = std::move(connected).value();
        fork->second->connection->start(
            {.on_data =
                 [this, key](std::string_view bytes) {
                   const auto goes_on =
                       forks_.at(key)->lines.feed(bytes, [this, key](const Json& answer) {
                         if (!answer.contains("id")) return true;  // "ready", for whoever connects
                         on_fork_answer(key, answer);
                         return false;
                       });
                   if (!goes_on) end_fork(key);
                 },
             .on_end = [this, key](const base::Status&) { end_fork(key); },
             .on_drained = [] {}});
        send_line(*forks_.at(key)->connection, request);
      });
}

void Init::on_fork_answer(const std::string& key, const Json& answer) {
  const int pid = static_cast<int>(answer["pid"].as_int());
  if (pid <= 0) return failed(key, base::unavailable(answer["error"].as_string()));
  auto process =
      world_.processes.adopt(pid, [this, key](world::ExitState how) { on_exit(key, how); });
  if (!process.ok()) return failed(key, process.error());
  started(key, std::move(process).value());
}

void Init::end_fork(const std::string& key) {
  forks_.erase(key);
  const auto child = children_.find(key);
  if (child == children_.end() || child->second.process) return;  // it has been answered
  failed(key, base::unavailable("the parked parent has ended"));
}

void Init::started(const std::string& key, std::unique_ptr<world::Process> process) {
  const int pid = process->pid();
  children_[key].process = std::move(process);
  tell(Json::object({{"started", key}, {"pid", pid}}));
}

void Init::failed(const std::string& key, const base::Status& status) {
  children_.erase(key);
  tell(Json::object(
      {{"failed", key}, {"code", base::code_name(status.code())}, {"message", status.message()}}));
}

void Init::on_exit(const std::string& key, world::ExitState how) {
  Child& child = children_.at(key);
  if (!how.code && !how.signal) how.signal = kSigKill;  // somebody else has reaped it
  child.exit = how;
  child.ended = ++ends_;
  Json event = Json::object({{"exited", key}, {"ended", child.ended}});
  put_exit(event, how);
  tell(event);
}

void Init::signal(const Json& request) {
  const int number = static_cast<int>(request["number"].as_int());
  if (request["orphan"].is_int()) {
    const int pid = static_cast<int>(request["orphan"].as_int());
    const std::vector<int> orphans = world_.processes.orphans();
    if (std::find(orphans.begin(), orphans.end(), pid) == orphans.end()) return;
    const auto start = world_.processes.start_ticks(pid);
    if (!start.ok()) return;
    auto orphan = world_.processes.attach(pid, *start, [](world::ExitState) {});
    if (orphan.ok()) orphan.value()->signal(number).ignore("it may have ended");
    return;
  }
  const auto child = children_.find(request["key"].as_string());
  if (child == children_.end() || !child->second.process) return;
  world::Process& process = *child->second.process;
  // A forked child is in our own group until it has made itself a session.
  if (!process.signal_group(number).ok()) process.signal(number).ignore("it may have ended");
}

void Init::on_signal(int number) {
  signals_.push_back(number);
  tell(Json::object({{"signal", number}}));
}

void Init::finish(int exit_code) {
  if (std::exchange(finished_, true)) return;
  for (const auto& [key, child] : children_) {
    if (!child.process || child.exit) continue;
    child.process->signal_group(kSigKill).ignore("it may have ended");
  }
  // Later: who called us still uses the peer that asked for it.
  restart_.start(base::Duration(), [this, exit_code] { on_done_(exit_code); });
}

InitState Init::state() const {
  InitState state;
  state.supervisor = supervisor_ ? supervisor_->pid() : 0;
  for (const auto& [key, child] : children_) {
    state.children.push_back({.key = key,
                              .pid = child.process ? child.process->pid() : 0,
                              .exit = child.exit,
                              .ended = child.ended});
  }
  state.signals = signals_;
  state.orphans = world_.processes.orphans();
  const auto is_supervisor = [&](int pid) { return pid == state.supervisor; };
  std::erase_if(state.orphans, is_supervisor);
  return state;
}

void Init::tell(const Json& event) {
  const auto peer = peers_.find(supervisor_peer_);
  if (peer != peers_.end()) send_line(*peer->second->connection, event);
}

}  // namespace pelton::launch
