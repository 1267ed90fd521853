// SPDX-License-Identifier: Apache-2.0
#include "os/enter.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "base/strings.h"

namespace pelton::os {
namespace {

constexpr std::pair<std::string_view, int> kCapabilities[] = {
    {"CHOWN", CAP_CHOWN},
    {"DAC_OVERRIDE", CAP_DAC_OVERRIDE},
    {"FOWNER", CAP_FOWNER},
    {"FSETID", CAP_FSETID},
    {"KILL", CAP_KILL},
    {"SETGID", CAP_SETGID},
    {"SETUID", CAP_SETUID},
    {"SETPCAP", CAP_SETPCAP},
    {"NET_BIND_SERVICE", CAP_NET_BIND_SERVICE},
    {"NET_RAW", CAP_NET_RAW},
    {"NET_ADMIN", CAP_NET_ADMIN},
    {"IPC_LOCK", CAP_IPC_LOCK},
    {"SYS_CHROOT", CAP_SYS_CHROOT},
    {"SYS_PTRACE", CAP_SYS_PTRACE},
    {"SYS_ADMIN", CAP_SYS_ADMIN},
    {"SYS_NICE", CAP_SYS_NICE},
    {"SYS_RESOURCE", CAP_SYS_RESOURCE},
    {"MKNOD", CAP_MKNOD},
    {"AUDIT_WRITE", CAP_AUDIT_WRITE},
    {"SETFCAP", CAP_SETFCAP},
};

base::Result<uint64_t> capability_bits(const std::vector<std::string>& names) {
  uint64_t bits = 0;
  for (const std::string& name : names) {
    const uint64_t before = bits;
    for (const auto& [known, number] : kCapabilities) {
      if (name == known) bits |= uint64_t{1} << number;
    }
    if (bits == before) return base::invalid_argument("there is no capability " + name);
  }
  return bits;
}

/// What exec may not bring back: all but `allowed`, up to the last one that this kernel knows.
bool bound_capabilities(uint64_t allowed) {
  for (int number = 0; ::prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if ((allowed >> number & 1) != 0) continue;
    if (::prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) return false;
  }
  return true;
}

bool set_capabilities(uint64_t bits) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const auto low = static_cast<uint32_t>(bits);
  const auto high = static_cast<uint32_t>(bits >> 32);
  std::array<__user_cap_data_struct, 2> data{{{low, low, 0}, {high, high, 0}}};
  return ::syscall(SYS_capset, &header, data.data()) == 0;
}

}  // namespace

base::Result<uint64_t> read_start_ticks(int pid) {
  const base::Status gone = base::not_found("there is no process " + std::to_string(pid));
  const Fd fd(::open(("/proc/" + std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC));
  char text[1024];
  const ssize_t n = fd.is_open() ? ::read(fd.get(), text, sizeof text) : -1;
  if (n <= 0) return gone;
  // The program's name, in parentheses, may hold anything: count the fields after the last one.
  const std::string_view stat(text, static_cast<size_t>(n));
  const size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return gone;
  const auto fields = base::split(base::trim(stat.substr(name_end + 1)), ' ');
  if (fields.size() < 20 || fields[0] == "Z" || fields[0] == "X") return gone;
  PELTON_ASSIGN(const int64_t ticks, base::parse_int(fields[19]));
  return static_cast<uint64_t>(ticks);
}

base::Result<EnterPlan> plan_enter(const world::Enter& enter) {
  EnterPlan plan;
  PELTON_ASSIGN(plan.capabilities, capability_bits(enter.capabilities));
  plan.target = Fd(static_cast<int>(::syscall(SYS_pidfd_open, enter.pid, 0)));
  if (!plan.target.is_open()) {
    return errno_status("entering the container of process " + std::to_string(enter.pid), errno);
  }
  // After the pidfd: what is read now is about the process that the pidfd names, or a successor.
  PELTON_ASSIGN(const uint64_t start, read_start_ticks(enter.pid));
  if (start != enter.start_ticks) {
    return base::not_found("process " + std::to_string(enter.pid) +
                           ", which was to be entered, is another one by now");
  }
  for (const std::string& directory : enter.cgroups) {
    plan.cgroups.emplace_back(::open((directory + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    if (!plan.cgroups.back().is_open()) {
      return errno_status("joining the control group " + directory, errno);
    }
  }
  plan.user = enter.user;
  plan.group = enter.group;
  plan.niceness = enter.niceness;
  return plan;
}

bool enter_namespaces(const EnterPlan& plan) {
  for (const Fd& group : plan.cgroups) {
    if (::write(group.get(), "0", 1) != 1) return false;  // 0: whoever writes
  }
  constexpr int kAll = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC;
  return ::setns(plan.target.get(), kAll) == 0;
}

pid_t fork_sibling() {
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
}

bool drop_privileges(const EnterPlan& plan) {
  const int niceness = ::getpriority(PRIO_PROCESS, 0) + plan.niceness;
  if (plan.niceness != 0 && ::setpriority(PRIO_PROCESS, 0, niceness) != 0) return false;
  if (!bound_capabilities(plan.capabilities)) return false;
  // The system calls, not the C library's functions: those would tell other threads, and the lock
  // that they take for it may be held by one that is not here.
  if (::syscall(SYS_setgroups, 0, nullptr) != 0) return false;
  const auto group = static_cast<long>(plan.group);
  const auto user = static_cast<long>(plan.user);
  if (::syscall(SYS_setresgid, group, group, group) != 0) return false;
  if (::syscall(SYS_setresuid, user, user, user) != 0) return false;
  if (plan.user == 0 && !set_capabilities(plan.capabilities)) return false;
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

std::vector<std::string> program_candidates(const std::string& name,
                                            const std::vector<std::string>& env) {
  if (name.find('/') != std::string::npos) return {name};
  std::string_view path = "/usr/local/bin:/usr/bin:/bin";
  for (const std::string& entry : env) {
    if (entry.starts_with("PATH=")) path = std::string_view(entry).substr(5);
  }
  std::vector<std::string> candidates;
  for (const std::string_view directory : base::split(path, ':')) {
    candidates.push_back((directory.empty() ? "." : std::string(directory)) + "/" + name);
  }
  return candidates;
}

}  // namespace pelton::os
