// SPDX-License-Identifier: Apache-2.0
#include "os/process_activity.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "base/strings.h"
#include "os/fd.h"

namespace pelton::os {
namespace {

/// What the kernel counts in for users is this on every architecture that we build for.
constexpr base::Duration kTick = base::Duration::milliseconds(10);

/// A file of /proc, which does not say its size; empty where it cannot be read.
std::string read_proc(const std::string& path) {
  std::string text;
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.is_open()) return text;
  char piece[16384];
  for (ssize_t n = 0; (n = ::read(fd.get(), piece, sizeof piece)) > 0;) {
    text.append(piece, static_cast<size_t>(n));
  }
  return text;
}

int64_t int_or_zero(std::string_view text) {
  const auto value = base::parse_int(text);
  return value.ok() ? *value : 0;
}

int64_t disk_bytes_in(std::string_view io) {
  int64_t bytes = 0;
  for (const std::string_view line : base::split(io, '\n')) {
    for (const std::string_view name : {"read_bytes: ", "write_bytes: "}) {
      if (line.starts_with(name)) bytes += int_or_zero(line.substr(name.size()));
    }
  }
  return bytes;
}

std::set<uint64_t> sockets_of(const std::string& process) {
  std::set<uint64_t> inodes;
  const std::string path = process + "/fd";
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
  if (!directory) return inodes;
  while (const dirent* entry = ::readdir(directory.get())) {
    char target[64];
    const ssize_t n = ::readlinkat(::dirfd(directory.get()), entry->d_name, target, sizeof target);
    constexpr std::string_view kSocket = "socket:[";
    const std::string_view link(target, n > 0 ? static_cast<size_t>(n) : 0);
    if (!link.starts_with(kSocket) || !link.ends_with(']')) continue;
    const auto inode =
        base::parse_int(link.substr(kSocket.size(), link.size() - kSocket.size() - 1));
    if (inode.ok()) inodes.insert(static_cast<uint64_t>(*inode));
  }
  return inodes;
}

}  // namespace

int64_t resent_in(std::string_view table, const std::set<uint64_t>& inodes) {
  int64_t resent = 0;
  for (const std::string_view line : base::split(table, '\n')) {
    // sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
    const auto padded = base::split(line, ' ');
    std::vector<std::string_view> words;
    for (const std::string_view word : padded) {
      if (!word.empty()) words.push_back(word);
    }
    constexpr size_t kState = 3, kResent = 6, kInode = 9;
    if (words.size() <= kInode || words[kState] != "01") continue;  // 01: established
    const auto inode = base::parse_int(words[kInode]);
    if (!inode.ok() || !inodes.contains(static_cast<uint64_t>(*inode))) continue;
    resent += static_cast<int64_t>(std::strtoll(std::string(words[kResent]).c_str(), nullptr, 16));
  }
  return resent;
}

base::Result<world::ProcessActivity> read_activity(int pid, bool with_sockets) {
  const std::string process = "/proc/" + std::to_string(pid);
  const std::string stat = read_proc(process + "/stat");
  // The program's name, in parentheses, may hold anything: count the fields after the last one.
  const size_t name_end = stat.rfind(')');
  const auto fields = base::split(
      base::trim(std::string_view(stat).substr(name_end == std::string::npos ? 0 : name_end + 1)),
      ' ');
  constexpr size_t kUserTime = 11, kSystemTime = 12;
  if (fields.size() <= kSystemTime || fields[0].empty()) {
    return base::not_found("there is no process " + std::to_string(pid));
  }
  world::ProcessActivity activity;
  activity.state = fields[0][0];
  activity.processor_time =
      kTick * (int_or_zero(fields[kUserTime]) + int_or_zero(fields[kSystemTime]));
  activity.disk_bytes = disk_bytes_in(read_proc(process + "/io"));
  if (!with_sockets) return activity;
  const std::set<uint64_t> inodes = sockets_of(process);
  if (inodes.empty()) return activity;
  for (const char* table : {"/net/tcp", "/net/tcp6"}) {
    activity.resent += resent_in(read_proc(process + table), inodes);
  }
  return activity;
}

}  // namespace pelton::os
