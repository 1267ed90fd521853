// SPDX-License-Identifier: Apache-2.0
#include "agent/sandbox_command.h"

#include <algorithm>
#include <set>

namespace pelton::agent {
namespace {

using Args = std::vector<std::string>;

void append(Args& args, std::initializer_list<std::string> more) {
  args.insert(args.end(), more);
}

bool is_under(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         path[directory.size()] == '/';
}

bool contains(const std::vector<std::string>& list, const std::string& item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

/// "/a/b/c" -> "/a", "/a/b", without the path itself.
std::vector<std::string> directories_above(const std::string& path) {
  std::vector<std::string> above;
  for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
    above.push_back(path.substr(0, at));
  }
  return above;
}

/// Inside paths of the read-only part that must be taken apart, so that mount points can be made.
std::set<std::string> directories_to_open(const SandboxSpec& spec, const PathFacts& facts) {
  std::set<std::string> open;
  for (const Mount& mount : spec.mounts) {
    const bool is_in_tree =
        std::any_of(spec.root.directories.begin(), spec.root.directories.end(),
                    [&](const std::string& name) { return is_under(mount.to, "/" + name); });
    const bool is_there =
        facts.exists(spec.root.prefix + mount.to) && !contains(spec.root.linked_files, mount.to);
    if (!is_in_tree || is_there) continue;
    for (const std::string& above : directories_above(mount.to)) {
      if (facts.exists(spec.root.prefix + above)) open.insert(above);
    }
  }
  return open;
}

void bind_tree(Args& args, const std::string& path, const SandboxSpec& spec,
               const std::set<std::string>& open, const PathFacts& facts) {
  const std::string from = spec.root.prefix + path;
  if (!open.contains(path)) {
    append(args, {"--ro-bind-try", from, path});
    return;
  }
  append(args, {"--perms", "0755", "--tmpfs", path});
  for (const std::string& name : facts.names(from)) {
    // A link to the mount table of whoever reads it: bound, it would show another process's.
    if (path == "/etc" && name == "mtab") continue;
    // A link cannot be mounted upon: its target would be.
    if (contains(spec.root.linked_files, path + "/" + name)) continue;
    bind_tree(args, path + "/" + name, spec, open, facts);
  }
}

void add_root(Args& args, const SandboxSpec& spec, const PathFacts& facts) {
  const std::set<std::string> open = directories_to_open(spec, facts);
  for (const char* name : {"/tmp", "/var/tmp"}) append(args, {"--perms", "1777", "--dir", name});
  for (const char* name : {"/root", "/home", "/mnt", "/run", "/srv"}) append(args, {"--dir", name});
  for (const std::string& name : spec.root.directories) {
    bind_tree(args, "/" + name, spec, open, facts);
  }
  for (const auto& [name, target] : spec.root.links) {
    append(args, {"--symlink", target, "/" + name});
  }
  for (const std::string& file : spec.root.secret_files) {
    append(args, {"--ro-bind", "/dev/null", file});
  }
  if (spec.root.prefix.empty()) {
    for (const std::string& directory : spec.hidden) {
      for (const std::string& name : spec.root.directories) {
        if (is_under(directory, "/" + name)) append(args, {"--tmpfs", directory});
      }
    }
  }
  append(args, {"--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys"});
  append(args, {"--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"});
  append(args, {"--ro-bind-try", "/sys/devices/system", "/sys/devices/system"});
}

void add_mounts(Args& args, const std::vector<Mount>& mounts) {
  // Outer mount points before inner ones; equal depths in the order given.
  std::multimap<int64_t, const Mount*> by_depth;
  for (const Mount& mount : mounts) {
    by_depth.emplace(std::count(mount.to.begin(), mount.to.end(), '/'), &mount);
  }
  for (const auto& [depth, mount] : by_depth) {
    append(args, {mount->is_read_only ? "--ro-bind" : "--bind", mount->from, mount->to});
  }
}

void add_privileges(Args& args, const SandboxTools& tools, const SandboxSpec& spec) {
  append(args, {"--cap-drop", "ALL"});
  for (const std::string& name : container_capabilities()) {
    append(args, {"--cap-add", "CAP_" + name});
  }
  append(args, {"--chdir", spec.working_directory, "--"});
  if (spec.user.value_or(0) == 0 && spec.group.value_or(0) == 0) return;
  append(args, {tools.setpriv, "--reuid=" + std::to_string(spec.user.value_or(0)),
                "--regid=" + std::to_string(spec.group.value_or(0)), "--clear-groups",
                "--inh-caps=-all", "--ambient-caps=-all", "--"});
}

}  // namespace

const std::vector<std::string>& host_directories() {
  static const std::vector<std::string> names = {"bin",    "etc", "lib",  "lib32", "lib64",
                                                 "libx32", "opt", "sbin", "usr"};
  return names;
}

const std::vector<std::string>& container_capabilities() {
  static const std::vector<std::string> names = {
      "CHOWN",   "DAC_OVERRIDE", "FOWNER",  "FSETID", "KILL",       "NET_BIND_SERVICE",
      "SETFCAP", "SETGID",       "SETPCAP", "SETUID", "SYS_CHROOT", "AUDIT_WRITE"};
  return names;
}

std::vector<std::string> build_sandbox_command(const SandboxTools& tools, const SandboxSpec& spec,
                                               const PathFacts& facts) {
  Args args = {tools.nice,
               "-n",
               std::to_string(kContainerNiceness),
               tools.nsenter,
               "--net=" + spec.namespaces.net,
               "--uts=" + spec.namespaces.uts,
               "--ipc=" + spec.namespaces.ipc,
               "--"};
  append(args, {tools.bwrap, "--unshare-pid", "--die-with-parent"});
  add_root(args, spec, facts);
  add_mounts(args, spec.mounts);
  // Where the image has no such directory, the working directory is made, as container engines do.
  const auto& roots = spec.root.directories;
  const bool is_in_tree = std::any_of(roots.begin(), roots.end(), [&](const std::string& name) {
    return is_under(spec.working_directory + "/", "/" + name);
  });
  if (!is_in_tree) append(args, {"--dir", spec.working_directory});
  add_privileges(args, tools, spec);
  args.insert(args.end(), spec.argv.begin(), spec.argv.end());
  return args;
}

}  // namespace pelton::agent
