// SPDX-License-Identifier: Apache-2.0
#include "launch/supervisor.h"

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "checkpoint/held.h"
#include "launch/python_package.h"

namespace pelton::launch {
namespace {

using base::Json;
using decide::recovery::Generation;
using decide::recovery::PodReport;

constexpr int kSigKill = 9;
constexpr base::Duration kConnectTimeout = base::Duration::seconds(10);
constexpr base::Duration kPoll = base::Duration::milliseconds(100);
/// Progress alone is told no more often than this; whatever changes otherwise is told at once.
constexpr base::Duration kTellProgress = base::Duration::seconds(2);
/// A parked parent competes with the workers' own start: it begins when they step, or so long after
/// the first generation, however short-lived each is.
constexpr base::Duration kParkAfter = base::Duration::seconds(10);
/// A fork takes milliseconds. A parent that does not answer for so long is ended.
constexpr base::Duration kForkTimeout = base::Duration::seconds(5);
constexpr base::Duration kSweepAgain = base::Duration::milliseconds(5);
/// More than the memory tier keeps, and what is left of an older generation.
constexpr size_t kHeldVersions = 6;
constexpr std::string_view kCoordinatorName = "coordinator";
constexpr const char* kPythonPath = "PYTHONPATH";

std::string key_of(WorkerId worker) {
  return std::to_string(worker.generation) + "/" +
         (worker.rank == kCoordinator ? std::string(kCoordinatorName)
                                      : std::to_string(worker.rank));
}

std::optional<WorkerId> worker_of(const std::string& key) {
  const auto parts = base::split(key, '/');
  if (parts.size() != 2) return std::nullopt;
  const auto generation = base::parse_int(parts[0]);
  const auto rank = base::parse_int(parts[1]);
  if (!generation.ok() || (!rank.ok() && parts[1] != kCoordinatorName)) return std::nullopt;
  return WorkerId{*generation, rank.ok() ? static_cast<int>(*rank) : kCoordinator};
}

std::string directory_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

base::Code code_of(const std::string& name) {
  for (const base::Code code : {base::Code::NotFound, base::Code::Forbidden}) {
    if (name == base::code_name(code)) return code;
  }
  return base::Code::Unavailable;
}

/// A port that nobody listens on now.
base::Result<int> free_port(world::Network& network) {
  PELTON_ASSIGN(auto listener, network.listen({"127.0.0.1", 0}, [](auto) {}));
  return static_cast<int>(listener->address().port);
}

Follower::Settings follower_settings(const SupervisorSettings& settings) {
  return {.pod_uid = settings.pod_uid,
          .ranks = settings.plan.local_world_size,
          .is_alone = settings.agent_socket.empty(),
          .has_check = !settings.plan.health_check.empty()};
}

/// Python programs may import our package, and need not have it installed.
SupervisorSettings with_python_package(world::World& world, SupervisorSettings settings) {
  if (!python_command_of(settings.plan.command)) {
    settings.python_path.clear();
  } else if (settings.python_path.empty()) {
    const auto written = write_python_package(world.files, settings.directory);
    if (written.ok()) {
      settings.python_path = *written;
    } else {
      world.log.warning("launch.python_package", {{"message", written.error().message()}});
    }
  }
  return settings;
}

/// What each worker has besides our own environment, and its parked parent has to have too.
Environment common_environment(const SupervisorSettings& settings) {
  Environment env;
  if (settings.plan.limit_threads) env["OMP_NUM_THREADS"] = "1";
  if (!settings.python_path.empty()) {
    const auto own = settings.environment.find(kPythonPath);
    const bool has_own = own != settings.environment.end() && !own->second.empty();
    env[kPythonPath] = settings.python_path + (has_own ? ":" + own->second : "");
  }
  return env;
}

ParkedParent::Settings park_settings(const SupervisorSettings& settings) {
  // Alone and without restarts nothing is ever begun again.
  const bool is_of_use = settings.plan.may_park && !settings.python_path.empty() &&
                         (settings.plan.max_restarts > 0 || !settings.agent_socket.empty());
  return {.command = is_of_use ? python_command_of(settings.plan.command) : std::nullopt,
          .directory = settings.directory,
          .marker = settings.directory,
          .env = common_environment(settings),
          .working_directory = settings.working_directory,
          .spares = settings.plan.local_world_size};
}

/// What of a report is told at once when it changes.
PodReport shape_of(PodReport report) {
  report.phase_seconds.clear();
  if (!report.held.empty()) report.held.resize(1, {});
  for (auto& holding : report.held) holding = {};
  report.held_at = 0;
  report.last_step = -1;
  report.first_step_at = report.last_step_at = base::Instant();
  for (auto& worker : report.workers) {
    worker.step = -1;
    worker.phase.clear();
    worker.since = base::Instant();
    if (!is_failure(worker.state)) worker.detail.clear();  // it tells times
  }
  return report;
}

}  // namespace

Supervisor::Supervisor(world::World& world, SupervisorSettings settings)
    : world_(world),
      settings_(with_python_package(world, std::move(settings))),
      follower_(follower_settings(settings_)),
      sensor_(world),
      pages_(world, settings_.directory,
             [this](WorkerId worker, const Beat& beat) { on_beat(worker, beat); }),
      park_(world, park_settings(settings_), [this] { on_park_change(); }),
      grace_(world.timers),
      save_(world.timers),
      check_(world.timers),
      poll_(world.timers),
      forks_(world.timers),
      sweep_(world.timers) {
  const std::string record = settings_.directory + "/generation.json";
  if (!settings_.agent_socket.empty()) {
    source_ = std::make_unique<AgentSource>(world, settings_.agent_socket, record);
    return;
  }
  const auto job = settings_.environment.find("PELTON_JOB_UID");
  LocalSource::Settings local;
  local.record = record;
  local.member.pod = local.member.pod_uid = settings_.pod_uid;
  local.member.node = "this one";
  local.member.ranks = settings_.plan.local_world_size;
  local.job_uid = job != settings_.environment.end() ? job->second : world.random.uuid();
  local.max_restarts = settings_.plan.max_restarts;
  source_ = std::make_unique<LocalSource>(world, std::move(local));
}

Supervisor::~Supervisor() = default;

void Supervisor::start(std::function<void()> on_done) {
  on_done_ = std::move(on_done);
  world_.network.connect({settings_.init_socket, 0}, kConnectTimeout,
                         [this](base::Result<std::unique_ptr<world::Connection>> made) {
                           if (!made.ok()) return on_init_gone();
                           on_init(std::move(made).value());
                         });
}

// ---- init ----

void Supervisor::on_init(std::unique_ptr<world::Connection> connection) {
  init_ = std::move(connection);
  init_->start({.on_data =
                    [this](std::string_view bytes) {
                      lines_.feed(bytes, [this](const Json& event) {
                        on_event(event);
                        return true;
                      });
                    },
                .on_end = [this](const base::Status&) { on_init_gone(); },
                .on_drained = [] {}});
  send(Json::object({{"op", "hello"}, {"supervisor", settings_.number}}));
}

void Supervisor::send(Json request) {
  if (init_) send_line(*init_, request);
}

void Supervisor::on_event(const Json& event) {
  if (event.contains("list")) return on_list(init_state_of(event["list"]));
  if (!is_restored_) return;  // what it tells will be in the next list
  if (event.contains("started")) {
    on_started(event["started"].as_string(), static_cast<int>(event["pid"].as_int()));
  } else if (event.contains("failed")) {
    on_failed(event["failed"].as_string(),
              {code_of(event["code"].as_string()), event["message"].as_string()});
  } else if (event.contains("exited")) {
    on_exited(event);
  } else if (event.contains("signal")) {
    const int number = static_cast<int>(event["signal"].as_int());
    act(follower_.on_signal(number, world_.clock.now()));
  }
  report();
}

void Supervisor::on_list(const InitState& state) {
  if (is_restored_) return start_anew(state);
  if (!is_swept(state)) return;
  is_restored_ = true;
  restore(state);
  source_->start([this](const Generation& generation, bool is_last) {
    if (!follower_.generation()) first_generation_at_ = world_.clock.elapsed();
    is_last_ = is_last;
    follower_.offer_coordinator(park_.has_jax());
    act(follower_.on_generation(generation, is_last, world_.clock.now()));
    ask_to_save();
    report();
  });
  if (!settings_.agent_socket.empty()) {
    act(follower_.check_early());
    report();
  }
  poll_.start(kPoll, [this] { poll(); });
}

/// What a predecessor has left.
void Supervisor::restore(const InitState& state) {
  const base::Instant now = world_.clock.now();
  for (const ChildRecord& child : state.children) {
    if (ParkedParent::is_key(child.key)) {
      if (!child.exit) park_.restore(child.key);
      continue;
    }
    if (is_check(child.key) && child.exit) checks_[child.key] = *child.exit;
    const std::optional<WorkerId> worker = worker_of(child.key);
    if (!worker) continue;
    follower_.restore(*worker, child.pid != 0, child.exit, child.ended, now);
    if (child.pid == 0 && !child.exit) forking_.insert(child.key);
    if (child.pid != 0 && !child.exit) remember(child.key, child.pid);
    const int offset = settings_.agent_socket.empty() ? place().first_rank : 0;
    if (worker->rank == kCoordinator) continue;
    pages_.open(*worker, worker->rank + offset);
    if (auto hang = pages_.hang_of(*worker)) follower_.restore_hang(*worker, *std::move(hang));
    if (!child.exit) sensor_.add(*worker);
  }
  pages_.read();
  for (const int number : state.signals) act(follower_.on_signal(number, now));
}

void Supervisor::remember(const std::string& key, int pid) {
  const auto start = world_.processes.start_ticks(pid);
  if (start.ok()) pids_[key] = {pid, *start};
}

void Supervisor::on_started(const std::string& key, int pid) {
  remember(key, pid);
  const std::optional<WorkerId> worker = worker_of(key);
  if (!worker) return;
  forking_.erase(key);
  act(follower_.on_started(*worker, world_.clock.now()));
}

void Supervisor::on_failed(const std::string& key, const base::Status& why) {
  if (ParkedParent::is_key(key)) {
    if (key == park_.key()) park_.on_end(why.message());
    return;
  }
  if (is_check(key)) return on_checked(key, why);
  const std::optional<WorkerId> worker = worker_of(key);
  if (!worker) return;
  const bool was_forked = forking_.erase(key) != 0;
  if (!was_forked || worker->rank == kCoordinator) {
    world_.log.error("launch.no_worker", {{"worker", key}, {"message", why.message()}});
    return act(follower_.on_not_started(*worker, why, world_.clock.now()));
  }
  if (not_forked_.empty()) {
    world_.log.warning("launch.fork", {{"message", why.message() + "; workers are started anew"}});
  }
  not_forked_.insert(*worker);
  if (forking_.empty()) send(Json::object({{"op", "list"}}));  // goes on in start_anew()
}

void Supervisor::on_exited(const Json& event) {
  const std::string& key = event["exited"].as_string();
  const world::ExitState how = exit_in(event).value_or(world::ExitState{});
  pids_.erase(key);
  if (ParkedParent::is_key(key)) {
    send(Json::object({{"op", "forget"}, {"key", key}}));
    if (key == park_.key()) park_.on_end("exit code " + std::to_string(how.shell_code()));
    return;
  }
  if (is_check(key)) return on_check_exit(key, how);
  const std::optional<WorkerId> worker = worker_of(key);
  if (!worker) return;
  pages_.read(*worker);
  sensor_.remove(*worker);
  findings_.erase(worker->rank);
  endings_.erase(*worker);
  act(follower_.on_exit(*worker, how, event["ended"].as_int(), pages_.last_words(*worker),
                        world_.clock.now()));
}

/// Init takes its children along. What it cannot, we do: a forked worker that has not said yet that
/// it wants to die with it.
void Supervisor::on_init_gone() {
  init_.reset();
  for (const auto& [key, process] : pids_) {
    auto worker = world_.processes.attach(process.first, process.second, [](world::ExitState) {});
    if (worker.ok()) worker.value()->signal_group(kSigKill).ignore("it may have ended");
  }
  world_.files.remove_tree(settings_.directory).ignore("it may be gone already");
  on_done_();
}

// ---- workers ----

void Supervisor::act(const FollowerActions& actions) {
  for (const FollowerAction& action : actions) {
    switch (action.kind) {
      case FollowerAction::Kind::Start:
        start_worker(action.worker, true);
        break;
      case FollowerAction::Kind::Signal:
        send(Json::object(
            {{"op", "signal"}, {"key", key_of(action.worker)}, {"number", action.number}}));
        break;
      case FollowerAction::Kind::Forget:
        send(Json::object({{"op", "forget"}, {"key", key_of(action.worker)}}));
        pages_.remove(action.worker);
        break;
      case FollowerAction::Kind::Check:
        run_check(action.worker.generation);
        break;
      case FollowerAction::Kind::Save:
        save_before_end();
        break;
      case FollowerAction::Kind::Alarm:
        grace_.start(grace_left(), [this] {
          act(follower_.on_grace_over(world_.clock.now()));
          report();
        });
        break;
      case FollowerAction::Kind::Finish:
        send(Json::object({{"op", "exit"}, {"code", action.number}}));
        break;
    }
  }
}

Place Supervisor::place() const {
  const auto& generation = follower_.generation();
  const auto index = generation ? generation->index_of(settings_.pod_uid) : std::nullopt;
  if (!settings_.agent_socket.empty() && index) {
    return place_in(settings_.plan, *generation, *index);
  }
  Place place = place_in(settings_.plan, generation ? generation->number : 1, 0);
  if (!generation) return place;
  place.restore = restore_of(*generation);
  place.failures = to_text(generation->observed);
  if (settings_.environment.contains("PELTON_JOB_UID")) {
    place.job_uid = generation->job_uid;
  } else if (settings_.plan.nnodes == 1) {  // other nodes would have other ids
    place.run_id = generation->job_uid;
  }
  return place;
}

/// The port that was asked for; else any free one, the same for all workers of a generation,
/// whichever supervisor starts them.
int Supervisor::master_port() const {
  if (settings_.plan.master_port != 0) return settings_.plan.master_port;
  const std::string path =
      settings_.directory + "/port-" + std::to_string(follower_.generation()->number);
  if (const auto known = world_.files.read(path); known.ok()) {
    if (const auto port = base::parse_int(*known); port.ok()) return static_cast<int>(*port);
  }
  const base::Result<int> port = free_port(world_.network);
  if (!port.ok()) {
    world_.log.error("launch.no_port", {{"message", port.error().message()}});
    return 0;
  }
  world_.files.replace(path, std::to_string(*port)).ignore("only a successor would read it");
  return *port;
}

Environment Supervisor::whole_environment(const Environment& over) const {
  Environment env = settings_.environment;
  for (const auto& [name, value] : over) env[name] = value;
  return env;
}

void Supervisor::start_worker(WorkerId worker, bool may_fork) {
  const base::Status ordered = order_worker(worker, may_fork);
  if (ordered.ok()) return;
  world_.log.error("launch.no_worker", {{"rank", worker.rank}, {"message", ordered.message()}});
  // Later: we may be within a call to the follower.
  world_.timers.post([this, worker, ordered] {
    act(follower_.on_not_started(worker, ordered, world_.clock.now()));
    report();
  });
}

base::Status Supervisor::order_worker(WorkerId worker, bool may_fork) {
  Place where = place();
  if (settings_.agent_socket.empty()) where.master_port = master_port();
  where.has_coordinator = follower_.is_coordinated();
  const std::string key = key_of(worker);
  if (worker.rank == kCoordinator) {
    ask_fork(park_.fork_coordinator(key, where.master_port, where.world_size));
    return base::ok();
  }
  const bool is_alone = settings_.agent_socket.empty();
  const int local_rank = is_alone ? worker.rank : worker.rank - where.first_rank;
  PELTON_ASSIGN(const std::string page, pages_.make(worker, where.first_rank + local_rank));
  sensor_.add(worker);
  Environment env = worker_environment(settings_.plan, where, local_rank, page);
  for (const auto& [name, value] : common_environment(settings_)) env[name] = value;
  SpawnOrder order;
  order.key = key;
  order.argv = settings_.plan.command;
  order.env = env;
  const auto log = [&](const char* stream) {
    return worker_log_path(settings_.plan, local_rank, where.attempt(), stream);
  };
  order.stdout_path = log("stdout");
  order.stderr_path = log("stderr");
  for (const std::string& path : {order.stdout_path, order.stderr_path}) {
    if (!path.empty()) PELTON_TRY(world_.files.make_directories(directory_of(path)));
  }
  if (may_fork && park_.is_ready()) {
    ask_fork(park_.fork(key, whole_environment(env), order.stdout_path, order.stderr_path));
  } else {
    send(to_json(order));
  }
  return base::ok();
}

// ---- the parked parent ----

void Supervisor::ask_fork(const SpawnOrder& order) {
  forking_.insert(order.key);
  send(to_json(order));
  forks_.start(kForkTimeout, [this] {
    if (forking_.empty() || !park_.is_started()) return;
    send(Json::object({{"op", "signal"}, {"key", park_.key()}, {"number", kSigKill}}));
  });
}

/// After the parked parent has failed: a worker that it forked and could not tell of must be gone
/// before its rank is started anew.
void Supervisor::start_anew(const InitState& state) {
  if (not_forked_.empty() || !forking_.empty()) return;
  if (!kill_forked_orphans(state)) return;
  for (const WorkerId& worker : std::exchange(not_forked_, {})) start_worker(worker, false);
}

/// Whether there are none. Else it kills them and asks for the list again.
bool Supervisor::kill_forked_orphans(const InitState& state) {
  bool is_clear = true;
  for (const int pid : state.orphans) {
    if (!park_.has_forked(pid)) continue;
    is_clear = false;
    send(Json::object({{"op", "signal"}, {"orphan", pid}, {"number", kSigKill}}));
  }
  if (!is_clear) {
    sweep_.start(kSweepAgain, [this] { send(Json::object({{"op", "list"}})); });
  }
  return is_clear;
}

/// A predecessor may have ended while it did the same.
bool Supervisor::is_swept(const InitState& state) {
  for (const ChildRecord& child : state.children) {
    const bool is_parent = ParkedParent::is_key(child.key) && !child.exit;
    const bool is_starting = child.pid == 0 && !child.exit;
    if (is_parent || is_starting) return true;  // init tells of each that is forked
  }
  return kill_forked_orphans(state);
}

void Supervisor::start_park_if_time() {
  if (park_.is_started() || !follower_.generation()) return;
  const std::vector<WorkerId> running = follower_.running();
  const bool is_time = running.empty() ||  // a spare, or between two generations
                       pages_.do_all_step(running) ||
                       world_.clock.elapsed() - first_generation_at_ > kParkAfter;
  if (!is_time) return;
  if (const std::optional<SpawnOrder> order = park_.start()) send(to_json(*order));
}

void Supervisor::on_park_change() {
  follower_.offer_coordinator(park_.has_jax());
  report();
}

// ---- what is told ----

void Supervisor::poll() {
  pages_.read();
  look_for_saves();
  watch_ranks();
  watch_endings();
  start_park_if_time();
  report();
  poll_.start(kPoll, [this] { poll(); });
}

/// Anew where workers have ended since, for what is decided by; else now and then.
void Supervisor::read_memory(PodReport& report) {
  const auto memory = settings_.environment.find("PELTON_MEMORY_DIR");
  if (memory == settings_.environment.end() || memory->second.empty()) return;
  // On all nodes at the same moments: workers save on, and a version that has gone from one node
  // when it comes on another could never be seen to be whole.
  const int64_t now = world_.clock.now().unix_ns() / kTellProgress.ns();
  if (report.quiet_before != held_before_ || now != held_at_) {
    held_ = checkpoint::read_held(world_.files, memory->second, kHeldVersions);
    held_before_ = report.quiet_before;
    held_at_ = now;
  }
  report.held = held_;
  report.held_at = held_at_;
}

int Supervisor::pid_of(WorkerId worker) const {
  // Who beats may be a child of what we have started.
  if (const int writer = pages_.writer(worker)) return writer;
  const auto found = pids_.find(key_of(worker));
  return found == pids_.end() ? 0 : found->second.first;
}

void Supervisor::report() {
  if (!is_restored_) return;
  PodReport report = follower_.report();
  pages_.complete(report);
  add_findings(report);
  report.parked = park_.is_ready();
  read_memory(report);
  PodReport shape = shape_of(report);
  const base::Duration now = world_.clock.elapsed();
  const bool is_news = !has_told_ || shape != shape_;
  const bool is_due = now - told_at_ >= kTellProgress || report.held_at != told_.held_at;
  if (!is_news && (report == told_ || !is_due)) return;
  if (is_news) say_failures(report);
  has_told_ = true;
  told_at_ = now;
  shape_ = std::move(shape);
  told_ = report;
  source_->report(report);
}

}  // namespace pelton::launch
