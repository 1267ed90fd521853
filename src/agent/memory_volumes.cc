// SPDX-License-Identifier: Apache-2.0
#include "agent/memory_volumes.h"

#include <algorithm>

#include "agent/cluster_network.h"
#include "agent/pod_limits.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

void run_script(world::Processes& processes, const char* what, const char* script,
                std::vector<std::string> arguments, std::function<void(base::Status)> done) {
  world::ProcessSpec spec{.argv = {"/bin/sh", "-ec", script, "pelton"}, .env = {kToolPath}};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  processes.run(std::move(spec), [what, done = std::move(done)](
                                     base::Result<world::ExitState> state, std::string output) {
    if (!state.ok()) return done(std::move(state).status().with(what));
    if (state->code == 0) return done(base::ok());
    done(base::unavailable(std::string(what) + ": " + std::string(base::trim(output))));
  });
}

}  // namespace

void mount_memory_volumes(world::Processes& processes, const std::vector<MemoryMount>& mounts,
                          std::function<void(base::Status)> done) {
  if (mounts.empty()) return done(base::ok());
  constexpr const char* kScript = R"(
while [ $# -gt 0 ]; do
  options="size=$2,mode=0777,nosuid,nodev"
  mountpoint -q "$1" ||
    { [ "$3" = large ] && mount -t tmpfs -o "$options,huge=within_size" tmpfs "$1"; } ||
    mount -t tmpfs -o "$options" tmpfs "$1"
  shift 3
done
)";
  std::vector<std::string> arguments;
  for (const MemoryMount& mount : mounts) {
    arguments.push_back(mount.directory);
    arguments.push_back(std::to_string(mount.bytes));
    arguments.emplace_back(mount.is_for_large_files ? "large" : "small");
  }
  run_script(processes, "mounting memory", kScript, std::move(arguments), std::move(done));
}

void unmount_memory_volumes(world::Processes& processes,
                            const std::vector<std::string>& directories,
                            std::function<void(base::Status)> done) {
  if (directories.empty()) return done(base::ok());
  constexpr const char* kScript = R"(
for directory in "$@"; do
  if mountpoint -q "$directory"; then umount "$directory"; fi
done
)";
  run_script(processes, "unmounting memory", kScript, directories, std::move(done));
}

int64_t memory_volume_bytes(const base::Json& pod, const base::Json& empty_dir,
                            const api::Quantity& node_memory) {
  int64_t bytes = node_memory.value();
  for (const int64_t bound :
       {pod_limit(pod, "memory").amount, api::Quantity::or_zero(empty_dir["sizeLimit"]).value()}) {
    if (bound > 0) bytes = std::min(bytes, bound);
  }
  return bytes;
}

}  // namespace pelton::agent
