// SPDX-License-Identifier: Apache-2.0
// The command line that runs a container: nsenter into the pod's namespaces, then bubblewrap for
// the container's own process and mount namespaces. Pure: facts about the machine come in.
//
// The root of a container is an empty tmpfs, into which is bound, read-only, what programs need of
// the machine or of a root file system (kHostDirectories): so homes, the data directory and other
// pods' volumes are not hidden but never there. A volume may be mounted where the read-only part
// has no such directory (/etc/config): then the directories above it are taken apart, each a tmpfs
// with its former entries bound into it. /proc/sys is bound read-only, since a root user without
// any capability may write the machine's settings there. Capabilities are those that containers
// usually have, without MKNOD and NET_RAW; bubblewrap sets no_new_privs.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/image_table.h"

namespace pelton::agent {

/// A tree that a container's root is made of: the machine's own, or a root file system.
struct RootTree {
  std::string prefix;                    ///< "" for the machine's, else the directory
  std::vector<std::string> directories;  ///< names under the prefix that are bound: "usr", "etc"
  std::map<std::string, std::string> links;  ///< "bin" -> "usr/bin"
  std::vector<std::string> secret_files;     ///< existing files that are shown empty: "/etc/shadow"
  std::vector<std::string> linked_files;     ///< links where we put files: "/etc/resolv.conf"
};

/// What of the machine's root may be seen, where it exists.
const std::vector<std::string>& host_directories();

/// Programs that we need, as absolute paths.
struct SandboxTools {
  std::string nice = "/usr/bin/nice";
  std::string nsenter = "/usr/bin/nsenter";
  std::string bwrap = "/usr/bin/bwrap";
  std::string setpriv = "/usr/bin/setpriv";
};

struct PodNamespaces {
  std::string net, uts, ipc;  ///< files that hold the namespaces open
};

struct Mount {
  std::string from;  ///< on the machine
  std::string to;    ///< inside, absolute
  bool is_read_only = false;
  bool is_file = false;
};

struct SandboxSpec {
  PodNamespaces namespaces;
  RootTree root;
  std::vector<std::string> hidden;  ///< directories of the machine shown empty: the data directory
  std::vector<Mount> mounts;        ///< in any order
  std::string working_directory = "/";
  std::vector<std::string> argv;
  std::optional<int64_t> user, group;
};

/// The capabilities that a container's root has, as "CHOWN".
const std::vector<std::string>& container_capabilities();

/// What the builder asks about the machine; both are given absolute paths of the machine.
struct PathFacts {
  std::function<bool(const std::string&)> exists;
  std::function<std::vector<std::string>(const std::string&)> names;  ///< of a directory's entries
};

/// A job that takes every core must not make its own node miss its lease.
constexpr int kContainerNiceness = 5;

/// argv for execve. The environment is passed by the process's own, so that secrets do not stand in
/// a command line.
std::vector<std::string> build_sandbox_command(const SandboxTools& tools, const SandboxSpec& spec,
                                               const PathFacts& facts);

/// Where the running executable is seen inside, and the PATH of a container that sets none.
constexpr const char* kToolsDirectory = "/run/pelton/bin";
constexpr const char* kDefaultPath =
    "/run/pelton/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

}  // namespace pelton::agent
