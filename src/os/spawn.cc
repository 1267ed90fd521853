// SPDX-License-Identifier: Apache-2.0
#include "os/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/strings.h"

extern "C" char** environ;

namespace pelton::os {
namespace {

/// What raise_own_files_limit() changed.
std::optional<rlimit>& given_files_limit() {
  static std::optional<rlimit> limit;
  return limit;
}

/// All that the child needs, made before fork: between fork and exec only async-signal-safe calls
/// are allowed, because another thread may have held any lock.
struct Plan {
  std::string program;
  std::vector<char*> argv;
  std::vector<std::string> env_text;
  std::vector<char*> env;
  const char* working_directory = nullptr;
  std::array<Fd, 3> streams;  ///< closed: inherited
  Fd error_read, error_write;
  Fd output_read, error_output_read;
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

/// A pipe whose reading end does not block.
base::Status make_output_pipe(Fd& read_end, Fd& write_end) {
  PELTON_TRY(make_pipe(read_end, write_end));
  if (::fcntl(read_end.get(), F_SETFL, O_NONBLOCK) != 0) {
    return errno_status("making a pipe", errno);
  }
  return base::ok();
}

base::Status plan_streams(const world::ProcessSpec& spec, Plan& plan) {
  constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND;
  const std::string& input = spec.stdin_path.empty() ? "/dev/null" : spec.stdin_path;
  PELTON_ASSIGN(plan.streams[0], open_stream(input, O_RDONLY));
  if (spec.on_output) {
    PELTON_TRY(make_output_pipe(plan.output_read, plan.streams[1]));
  } else if (!spec.stdout_path.empty()) {
    PELTON_ASSIGN(plan.streams[1], open_stream(spec.stdout_path, kAppend));
  }
  if (spec.on_error_output) {
    PELTON_TRY(make_output_pipe(plan.error_output_read, plan.streams[2]));
  } else if (spec.merge_stderr) {
    plan.streams[2] =
        Fd(::fcntl(plan.streams[1].is_open() ? plan.streams[1].get() : 1, F_DUPFD_CLOEXEC, 3));
  } else if (!spec.stderr_path.empty()) {
    PELTON_ASSIGN(plan.streams[2], open_stream(spec.stderr_path, kAppend));
  }
  return base::ok();
}

[[noreturn]] void fail_child(const Plan& plan) {
  const int error = errno;
  const ssize_t ignored = ::write(plan.error_write.get(), &error, sizeof error);
  ::_exit(ignored == sizeof error ? 127 : 126);
}

[[noreturn]] void run_child(const Plan& plan) {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (plan.new_session && ::setsid() < 0) fail_child(plan);
  if (plan.die_with_parent) {
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) fail_child(plan);
    if (::getppid() != plan.parent) ::_exit(127);  // it ended before we asked
  }
  if (plan.files_limit && ::setrlimit(RLIMIT_NOFILE, &*plan.files_limit) != 0) fail_child(plan);
  for (int i = 0; i < 3; ++i) {
    const Fd& stream = plan.streams[static_cast<size_t>(i)];
    if (stream.is_open() && ::dup2(stream.get(), i) < 0) fail_child(plan);
  }
  if (plan.working_directory && ::chdir(plan.working_directory) != 0) fail_child(plan);
  ::execve(plan.program.c_str(), plan.argv.data(), plan.env.data());
  fail_child(plan);
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
  PELTON_ASSIGN(plan.program, find_program(spec.argv[0]));
  for (const auto& arg : spec.argv) plan.argv.push_back(const_cast<char*>(arg.c_str()));
  plan.argv.push_back(nullptr);
  plan.env_text = make_environment(spec);
  for (const auto& entry : plan.env_text) plan.env.push_back(const_cast<char*>(entry.c_str()));
  plan.env.push_back(nullptr);
  if (!spec.working_directory.empty()) plan.working_directory = spec.working_directory.c_str();
  plan.new_session = spec.new_session;
  plan.die_with_parent = spec.die_with_parent;
  plan.parent = ::getpid();
  plan.files_limit = given_files_limit();
  PELTON_TRY(plan_streams(spec, plan));
  PELTON_TRY(make_pipe(plan.error_read, plan.error_write));

  const pid_t pid = ::fork();
  if (pid < 0) return errno_status("starting " + spec.argv[0], errno);
  if (pid == 0) run_child(plan);
  plan.error_write.reset();
  int error = 0;
  ssize_t n = 0;
  do {
    n = ::read(plan.error_read.get(), &error, sizeof error);
  } while (n < 0 && errno == EINTR);
  if (n == sizeof error) {
    ::waitpid(pid, nullptr, 0);
    return errno_status("starting " + spec.argv[0], error);
  }
  return Spawned{pid, std::move(plan.output_read), std::move(plan.error_output_read)};
}

}  // namespace pelton::os
