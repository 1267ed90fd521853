// SPDX-License-Identifier: Apache-2.0
#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"
#include "os/enter.h"
#include "os/process_streams.h"

extern "C" char** environ;

namespace pelton::os {
namespace {

/// A terminal device of its own in each container, seen from there.
constexpr const char* kContainerTerminals = "/dev/pts/ptmx";

/// What raise_own_files_limit() changed.
std::optional<rlimit>& given_files_limit() {
  static std::optional<rlimit> limit;
  return limit;
}

/// All that the child needs, made before fork: between fork and exec only async-signal-safe calls
/// are allowed, because another thread may have held any lock.
struct Plan {
  std::vector<std::string> programs;  ///< the first that there is
  std::vector<char*> argv;
  std::vector<std::string> env_text;
  std::vector<char*> env;
  const char* working_directory = nullptr;
  std::array<Fd, 3> streams;  ///< closed: inherited
  Fd error_read, error_write;
  Fd pid_read, pid_write;  ///< by which one who enters tells who came in
  Fd output_read, error_output_read, input_write;
  std::optional<EnterPlan> enter;
  bool has_terminal = false;
  bool new_session = false;
  bool die_with_parent = false;
  pid_t parent = 0;
  std::optional<rlimit> files_limit;
};

base::Result<std::string> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), F_OK) == 0) return name;
    return base::not_found("there is no program " + name);
  }
  const char* path = ::getenv("PATH");
  for (std::string_view dir : base::split(path ? path : "/usr/local/bin:/usr/bin:/bin", ':')) {
    std::string candidate = (dir.empty() ? "." : std::string(dir)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return base::not_found("there is no program \"" + name + "\" in PATH");
}

std::vector<std::string> make_environment(const world::ProcessSpec& spec) {
  if (!spec.inherit_env) return spec.env;
  std::map<std::string, std::string> by_name;
  const auto put = [&by_name](const std::string& entry) {
    by_name[entry.substr(0, entry.find('='))] = entry;
  };
  for (char** entry = environ; entry && *entry; ++entry) put(*entry);
  for (const auto& entry : spec.env) put(entry);
  std::vector<std::string> out;
  for (auto& [name, entry] : by_name) out.push_back(std::move(entry));
  return out;
}

/// A descriptor of at least 3, so that dup2 in the child never overwrites one that is still needed.
Fd above_streams(Fd fd) {
  if (fd.get() < 0 || fd.get() > 2) return fd;
  return Fd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

base::Result<Fd> open_stream(const std::string& path, int flags) {
  Fd fd = above_streams(Fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0600)));
  if (!fd.is_open()) return errno_status("opening " + path, errno);
  return fd;
}

base::Status make_pipe(Fd& read_end, Fd& write_end) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return errno_status("making a pipe", errno);
  read_end = above_streams(Fd(ends[0]));
  write_end = above_streams(Fd(ends[1]));
  return base::ok();
}

/// A pipe whose end that is ours does not block.
base::Status make_stream_pipe(Fd& read_end, Fd& write_end, const Fd& ours) {
  PELTON_TRY(make_pipe(read_end, write_end));
  if (::fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0) return base::ok();
  return errno_status("making a pipe", errno);
}

Fd duplicate(int fd) {
  return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
}

base::Status plan_terminal(const world::ProcessSpec& spec, Plan& plan) {
  // A container's own, so that its processes find the terminal by its name too.
  const std::string ptmx =
      spec.enter ? "/proc/" + std::to_string(spec.enter->pid) + "/root" + kContainerTerminals
                 : "/dev/ptmx";
  const world::Enter owner = spec.enter.value_or(world::Enter{});
  PELTON_ASSIGN(Terminal terminal, open_terminal(ptmx, *spec.terminal, owner.user, owner.group));
  plan.has_terminal = true;
  for (Fd& stream : plan.streams) stream = duplicate(terminal.theirs.get());
  if (spec.has_input) plan.input_write = duplicate(terminal.ours.get());
  plan.output_read = std::move(terminal.ours);
  return base::ok();
}

base::Status plan_streams(const world::ProcessSpec& spec, Plan& plan) {
  if (spec.terminal) return plan_terminal(spec, plan);
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  const std::string& input = spec.stdin_path.empty() ? "/dev/null" : spec.stdin_path;
  if (spec.has_input) {
    PELTON_TRY(make_stream_pipe(plan.streams[0], plan.input_write, plan.input_write));
  } else {
    PELTON_ASSIGN(plan.streams[0], open_stream(input, O_RDONLY));
  }
  if (spec.on_output) {
    PELTON_TRY(make_stream_pipe(plan.output_read, plan.streams[1], plan.output_read));
  } else if (!spec.stdout_path.empty()) {
    PELTON_ASSIGN(plan.streams[1], open_stream(spec.stdout_path, kAppend));
  }
  if (spec.merge_stderr) {
    plan.streams[2] = duplicate(plan.streams[1].is_open() ? plan.streams[1].get() : 1);
  } else if (spec.on_error_output) {
    PELTON_TRY(make_stream_pipe(plan.error_output_read, plan.streams[2], plan.error_output_read));
  } else if (!spec.stderr_path.empty()) {
    PELTON_ASSIGN(plan.streams[2], open_stream(spec.stderr_path, kAppend));
  }
  return base::ok();
}

/// What a child was doing when it failed, for the message.
enum class Step : int { Starting, Entering, ChangingDirectory };
struct Failure {
  int error = 0;
  Step step = Step::Starting;
};

[[noreturn]] void fail_child(const Plan& plan, Step step = Step::Starting) {
  const Failure failure{errno, step};
  const ssize_t ignored = ::write(plan.error_write.get(), &failure, sizeof failure);
  ::_exit(ignored == sizeof failure ? 127 : 126);
}

/// Enters, and leaves the rest to a sibling: a PID namespace is entered by those born in it.
void enter(const Plan& plan) {
  if (!enter_namespaces(*plan.enter)) fail_child(plan, Step::Entering);
  const pid_t pid = fork_sibling();
  if (pid < 0) fail_child(plan, Step::Entering);
  if (pid == 0) return;
  const ssize_t ignored = ::write(plan.pid_write.get(), &pid, sizeof pid);
  ::_exit(ignored == sizeof pid ? 0 : 126);
}

void die_with_parent(const Plan& plan) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail_child(plan);
  // It ended before we asked. From within a PID namespace the parent cannot be seen.
  if (!plan.enter && ::getppid() != plan.parent) ::_exit(127);
}

/// The first program that there is; as execvp, one that may not be run is told of only at the end.
void exec_program(const Plan& plan) {
  int error = ENOENT;
  for (const std::string& program : plan.programs) {
    ::execve(program.c_str(), plan.argv.data(), plan.env.data());
    if (errno == ENOENT || errno == ENOTDIR) continue;
    error = errno;
    if (errno != EACCES) break;
  }
  errno = error;
}

[[noreturn]] void run_child(const Plan& plan) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.enter) enter(plan);
  if (plan.new_session && ::setsid() < 0) fail_child(plan);
  if (plan.die_with_parent && !plan.enter) die_with_parent(plan);
  if (plan.files_limit && ::setrlimit(RLIMIT_NOFILE, &*plan.files_limit) != 0) fail_child(plan);
  for (int i = 0; i < 3; ++i) {
    const Fd& stream = plan.streams[static_cast<size_t>(i)];
    if (stream.is_open() && ::dup2(stream.get(), i) < 0) fail_child(plan);
  }
  if (plan.has_terminal && plan.new_session) ::ioctl(0, TIOCSCTTY, 0);
  if (plan.enter) {
    if (!drop_privileges(*plan.enter)) fail_child(plan, Step::Entering);
    die_with_parent(plan);  // a change of user forgets it
  }
  if (plan.working_directory && ::chdir(plan.working_directory) != 0) {
    fail_child(plan, Step::ChangingDirectory);
  }
  exec_program(plan);
  fail_child(plan);
}

base::Status read_failure(const Failure& failure, const world::ProcessSpec& spec) {
  switch (failure.step) {
    case Step::Starting:
      break;
    case Step::Entering:
      return errno_status("entering the container", failure.error);
    case Step::ChangingDirectory:
      return errno_status("changing to the directory " + spec.working_directory, failure.error);
  }
  return errno_status("starting " + spec.argv[0], failure.error);
}

/// All of it or nothing, whatever signals come.
template <typename T>
bool read_whole(const Fd& fd, T& value) {
  ssize_t n = 0;
  do {
    n = ::read(fd.get(), &value, sizeof value);
  } while (n < 0 && errno == EINTR);
  return n == sizeof value;
}

/// After fork: the child, or whom it has let in. The one who let in is reaped.
pid_t resolve_child(pid_t pid, Plan& plan) {
  if (!plan.enter) return pid;
  plan.pid_write.reset();
  pid_t entered = 0;
  const bool has_entered = read_whole(plan.pid_read, entered);
  ::waitpid(pid, nullptr, 0);
  return has_entered ? entered : 0;
}

base::Status plan_program(const world::ProcessSpec& spec, Plan& plan) {
  if (!spec.enter) {
    PELTON_ASSIGN(std::string program, find_program(spec.argv[0]));
    plan.programs.push_back(std::move(program));
    return base::ok();
  }
  plan.programs = program_candidates(spec.argv[0], plan.env_text);
  PELTON_ASSIGN(plan.enter, plan_enter(*spec.enter));
  return make_pipe(plan.pid_read, plan.pid_write);
}

}  // namespace

void raise_own_files_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  if (!given_files_limit()) given_files_limit() = limit;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

base::Result<Spawned> fork_and_exec(const world::ProcessSpec& spec) {
  if (spec.argv.empty()) return base::invalid_argument("a process needs an argv");
  Plan plan;
  plan.env_text = make_environment(spec);
  PELTON_TRY(plan_program(spec, plan));
  for (const auto& arg : spec.argv) plan.argv.push_back(const_cast<char*>(arg.c_str()));
  plan.argv.push_back(nullptr);
  for (const auto& entry : plan.env_text) plan.env.push_back(const_cast<char*>(entry.c_str()));
  plan.env.push_back(nullptr);
  if (!spec.working_directory.empty()) plan.working_directory = spec.working_directory.c_str();
  plan.new_session = spec.new_session;
  plan.die_with_parent = spec.die_with_parent;
  plan.parent = ::getpid();
  plan.files_limit = given_files_limit();
  PELTON_TRY(plan_streams(spec, plan));
  PELTON_TRY(make_pipe(plan.error_read, plan.error_write));

  pid_t pid = ::fork();
  if (pid < 0) return errno_status("starting " + spec.argv[0], errno);
  if (pid == 0) run_child(plan);
  pid = resolve_child(pid, plan);
  plan.error_write.reset();
  Failure failure;
  if (read_whole(plan.error_read, failure)) {
    if (pid > 0) ::waitpid(pid, nullptr, 0);
    return read_failure(failure, spec);
  }
  if (pid == 0) return base::unavailable("entering the container: its process has just ended");
  return Spawned{pid, std::move(plan.output_read), std::move(plan.error_output_read),
                 std::move(plan.input_write)};
}

}  // namespace pelton::os
