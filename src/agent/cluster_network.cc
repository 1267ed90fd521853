// SPDX-License-Identifier: Apache-2.0
#include "agent/cluster_network.h"

#include <fmt/format.h>

#include "agent/address_pool.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr const char* kBridge = "pelton0";

/// Runs `script` with its arguments as $1, $2, … so that nothing needs quoting.
void run_script(world::Processes& processes, const char* what, const std::string& script,
                std::vector<std::string> arguments, NetworkDone done) {
  world::ProcessSpec spec{.argv = {"/bin/sh", "-ec", script, "pelton"}, .env = {kToolPath}};
  spec.argv.insert(spec.argv.end(), arguments.begin(), arguments.end());
  processes.run(std::move(spec), [what = std::string(what), done = std::move(done)](
                                     base::Result<world::ExitState> state, std::string output) {
    if (!state.ok()) return done(std::move(state).status().with(what));
    if (state->code == 0) return done(base::ok());
    done(base::unavailable(what + ": " + std::string(base::trim(output)) + " (exit code " +
                           std::to_string(state->shell_code()) + ")"));
  });
}

/// A locally administered address that follows from the IP address, so that a neighbour's memory of
/// an address's earlier owner is never wrong.
std::string hardware_address(const std::string& address) {
  std::string out = "0a:58";
  for (const std::string_view part : base::split(address, '.')) {
    out += fmt::format(":{:02x}", base::parse_int(part).value());
  }
  return out;
}

// $1: pod's namespace, $2: directory of its files
constexpr const char* kDetach = R"(
ip netns del "$1" 2>/dev/null || true
for file in "$2/uts" "$2/ipc"; do umount "$file" 2>/dev/null || true; done
rm -rf "$2"
)";

// $3: cluster's namespace, $4: address, $5: prefix length, $6: gateway, $7: hostname, $8: hardware
// address, $9: bridge
constexpr const char* kAttach = R"(
ip -n "$3" link del "v$4" 2>/dev/null || true
mkdir -p "$2"
: > "$2/uts"
: > "$2/ipc"
ip netns add "$1"
ip link add eth0 address "$8" netns "$1" type veth peer name "v$4" netns "$3"
ip -n "$3" link set "v$4" master "$9" up
ip -n "$1" addr add "$4/$5" dev eth0
ip -n "$1" link set lo up
ip -n "$1" link set eth0 up
ip -n "$1" route add default via "$6"
unshare --uts="$2/uts" --ipc="$2/ipc" hostname "$7"
)";

}  // namespace

ClusterNetwork cluster_network_of(const std::string& data_directory) {
  std::string path = data_directory;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::string id = fmt::format("{:016x}", base::hash64(path)).substr(0, 8);
  return {.name = "pelton-" + id, .runtime_directory = "/run/pelton/" + id, .data_directory = path};
}

void create_cluster_network(world::Processes& processes, const ClusterNetwork& network,
                            NetworkDone done) {
  // The bridge comes last: where it is up, all is there.
  constexpr const char* kScript = R"(
[ -e "/run/netns/$1" ] || ip netns add "$1"
if ip -n "$1" addr show dev "$2" 2>/dev/null | grep -q "$3/"; then exit 0; fi
ip -n "$1" link set lo up
ip -n "$1" link show dev "$2" >/dev/null 2>&1 || ip -n "$1" link add "$2" type bridge
ip -n "$1" link set "$2" up
ip -n "$1" addr add "$3/$4" dev "$2"
mkdir -p "$5"
)";
  run_script(processes, "making the cluster's network (needs root and iproute2)", kScript,
             {network.name, kBridge, kGatewayAddress, std::to_string(kNetworkPrefixLength),
              network.runtime_directory},
             std::move(done));
}

void delete_cluster_network(world::Processes& processes, const ClusterNetwork& network,
                            NetworkDone done) {
  constexpr const char* kScript = R"(
for name in $(ls /run/netns 2>/dev/null); do
  case "$name" in "$1"|"$1"-*) ;; *) continue ;; esac
  for pid in $(ip netns pids "$name" 2>/dev/null); do kill -9 "$pid" 2>/dev/null || true; done
  # A pod that is being detached may be faster.
  ip netns del "$name" 2>/dev/null || [ ! -e "/run/netns/$name" ]
done
for lock in "$3"/nodes/*/pods/*/containers/*/*/lock; do
  if [ -e "$lock" ]; then flock -w 5 "$lock" true || true; fi
done
while read -r _ mount _; do
  case "$mount" in */nodes/*/pods/*/volumes/*|*/nodes/*/jobs/*/memory) ;; *) continue ;; esac
  mount=$(printf '%b' "$mount")
  case "$mount" in "$3"/nodes/*) umount "$mount" 2>/dev/null || true ;; esac
done < /proc/mounts
find /sys/fs/cgroup -depth -type d -path "*/$1-*" -exec rmdir {} \; 2>/dev/null || true
for file in "$2"/*/uts "$2"/*/ipc; do umount "$file" 2>/dev/null || true; done
rm -rf "$2"
rmdir /run/pelton 2>/dev/null || true
)";
  run_script(processes, "removing the cluster's network", kScript,
             {network.name, network.runtime_directory, network.data_directory}, std::move(done));
}

PodNamespaces pod_namespaces(const ClusterNetwork& network, const std::string& pod_uid) {
  const std::string directory = network.runtime_directory + "/" + pod_uid;
  return {.net = "/run/netns/" + network.name + "-" + pod_uid,
          .uts = directory + "/uts",
          .ipc = directory + "/ipc"};
}

void attach_pod(world::Processes& processes, const ClusterNetwork& network,
                const PodAttachment& pod, NetworkDone done) {
  run_script(processes, "making the pod's network", std::string(kDetach) + kAttach,
             {network.name + "-" + pod.uid, network.runtime_directory + "/" + pod.uid, network.name,
              pod.address, std::to_string(kNetworkPrefixLength), kGatewayAddress, pod.hostname,
              hardware_address(pod.address), kBridge},
             std::move(done));
}

void detach_pod(world::Processes& processes, const ClusterNetwork& network,
                const std::string& pod_uid, NetworkDone done) {
  run_script(processes, "removing the pod's network", kDetach,
             {network.name + "-" + pod_uid, network.runtime_directory + "/" + pod_uid},
             std::move(done));
}

}  // namespace pelton::agent
