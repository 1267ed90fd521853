# SPDX-License-Identifier: Apache-2.0
"""The API through HTTPS at 64 connections, ours beside kube-apiserver with etcd, both syncing.

One load generator (tests/oracle/go/kubernetes/load) for both, the servers by turns: durable
creations of 3.3 KB Nodes and of Leases per second, memory with the Nodes, and how late a watcher
hears of a creation at a rate that both keep up with. Prints the rounds, then one table.

    bench/api.py [--rounds N] [--nodes N] [-o json]     PELTON names the executable
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "oracle"))
import servers  # noqa: E402  (it lives with the tests)

CONNECTIONS = 64
OBJECT_BYTES = 3300
WATCH_RATE, WATCHED = 50, 500


def node():
  """A Node as a kubelet registers it, filled up to 3.3 KB with labels as clouds give them."""
  amounts = {"cpu": "208", "memory": "1800Gi", "ephemeral-storage": "3Ti", "pods": "110",
             "google.com/tpu": "4", "hugepages-1Gi": "0", "hugepages-2Mi": "0"}
  condition = {"status": "False", "reason": "KubeletHasSufficient", "message": "kubelet is well",
               "lastHeartbeatTime": "2026-01-01T00:00:00Z",
               "lastTransitionTime": "2026-01-01T00:00:00Z"}
  body = {
      "apiVersion": "v1", "kind": "Node",
      "metadata": {"name": "NAME", "labels": {}, "annotations": {"sent": "SENT"}},
      "spec": {"providerID": "cloud://project/zone/NAME", "podCIDR": "10.64.0.0/24"},
      "status": {
          "capacity": amounts, "allocatable": amounts,
          "conditions": [{"type": kind, **condition} for kind in
                         ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")],
          "addresses": [{"type": "InternalIP", "address": "10.0.0.1"},
                        {"type": "Hostname", "address": "NAME"}],
          "nodeInfo": {"machineID": "0" * 32, "systemUUID": "0" * 36, "bootID": "0" * 36,
                       "kernelVersion": "6.12.0", "osImage": "Container OS",
                       "containerRuntimeVersion": "containerd://2.0.0",
                       "kubeletVersion": "v1.36.0", "kubeProxyVersion": "",
                       "operatingSystem": "linux", "architecture": "amd64"}}}
  labels = body["metadata"]["labels"]
  while len(json.dumps(body)) < OBJECT_BYTES - 40:
    labels[f"topology.example.com/level-{len(labels):02}"] = "x" * 20
  return body


def lease():
  return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
          "metadata": {"name": "NAME", "annotations": {"sent": "SENT"}},
          "spec": {"holderIdentity": "NAME", "leaseDurationSeconds": 40,
                   "renewTime": "2026-01-01T00:00:00.000000Z"}}


NODES = "/api/v1/nodes"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


def load(server, path, body, prefix, count, *more):
  with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(body, file)
    file.flush()
    output = subprocess.run(
        [servers.ORACLE / "load", "-kubeconfig", server.kubeconfig, "-path", path, "-body", file.name,
         "-prefix", prefix, "-count", str(count), "-connections", str(CONNECTIONS), *map(str, more)],
        check=True, capture_output=True, text=True).stdout
  return json.loads(output)


def status_of(pid, name):
  for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
    if line.startswith(name + ":"):
      return int(line.split()[1]) / 1024
  return 0.0


def cpu_of(pids):
  ticks = 0
  for pid in pids:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks += int(fields[11]) + int(fields[12])
  return ticks / os.sysconf("SC_CLK_TCK")


def measure(server, nodes):
  """One fresh server: {metric: number}."""
  pids = [process.pid for process in server.processes]
  load(server, LEASES, lease(), "warm", 200)
  before = cpu_of(pids)
  created = load(server, NODES, node(), "node", nodes)
  cpu = cpu_of(pids) - before
  memory = sum(status_of(pid, "VmRSS") for pid in pids)
  leases = load(server, LEASES, lease(), "lease", nodes)
  watched = load(server, LEASES, lease(), "watched", WATCHED, "-rate", WATCH_RATE, "-watch")
  return {
      "Nodes created/s": created["perSecond"], "p99 of that, ms": created["p99"] * 1e3,
      "server's CPU, us/Node": cpu / nodes * 1e6,
      "load's CPU, us/Node": created["clientCpu"] / nodes * 1e6,
      "Leases created/s": leases["perSecond"], "p99 of those, ms": leases["p99"] * 1e3,
      f"MiB at {nodes:,} Nodes": memory,
      "watch p50, ms": watched["watchP50"] * 1e3, "watch p99, ms": watched["watchP99"] * 1e3}


def goal_of(metric):
  """(text, check of ours / peer's) of the metrics that have one."""
  if metric in ("Nodes created/s", "Leases created/s"):
    return ">= 20", lambda ratio: ratio >= 20
  if metric.startswith("MiB"):
    return "<= 0.20", lambda ratio: ratio <= 0.2
  if metric == "watch p99, ms":
    return "<= 1.00", lambda ratio: ratio <= 1
  return "", None


def run_rounds(options, say):
  """{server's name: [the metrics of each round]}; by turns, so that both see the same machine."""
  kinds = {"pelton": servers.OurServer, "kube-apiserver + etcd": servers.RealServer}
  rounds = {name: [] for name in kinds}
  for number in range(options.rounds):
    for name, make in kinds.items():
      with make() as server:
        result = measure(server, options.nodes)
      rounds[name].append(result)
      say(f"round {number + 1}, {name}: " +
          ", ".join(f"{metric} {value:.1f}" for metric, value in result.items()))
  return rounds


def compare(rounds):
  """[[metric, ours, the peer's, ratio, goal, "met", "missed" or ""]] of the medians."""
  ours, theirs = rounds.values()
  table = []
  for metric in ours[0]:
    mine, peer = (statistics.median(r[metric] for r in all_) for all_ in (ours, theirs))
    goal, is_met = goal_of(metric)
    verdict = ("met" if is_met(mine / peer) else "missed") if is_met else ""
    table.append([metric, mine, peer, mine / peer, goal, verdict])
  return table


def processor():
  for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
    if line.startswith("model name"):
      return line.partition(":")[2].strip()
  return platform.machine()


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
  parser.add_argument("--rounds", type=int, default=3)
  parser.add_argument("--nodes", type=int, default=5000)
  parser.add_argument("-o", "--output", choices=("table", "json"), default="table")
  options = parser.parse_args()
  if "PELTON" not in os.environ:
    servers.PELTON = str(ROOT / "build" / "release" / "pelton")
  missing = servers.oracle_missing()
  if missing:
    print(f"SKIPPED: {missing}")
    return 0
  loads = [os.getloadavg()[0]]
  rounds = run_rounds(options, lambda text: print(text, file=sys.stderr, flush=True))
  loads.append(os.getloadavg()[0])
  table = compare(rounds)
  facts = {"date": time.strftime("%Y-%m-%d"), "executable": os.path.relpath(servers.PELTON, ROOT), "processor": processor(), "cores": os.cpu_count(),
           "load average before and after": loads, "connections": CONNECTIONS,
           "node bytes": len(json.dumps(node())), "rounds": options.rounds,
           "sync mode": "both answer after fdatasync, both batch"}
  if options.output == "json":
    columns = ["metric", "pelton", "kube-apiserver + etcd", "ratio", "goal", "verdict"]
    print(json.dumps({**facts, "median": [dict(zip(columns, row)) for row in table],
                      "each round": rounds}, indent=1))
    return 0
  print("\n" + "; ".join(f"{name}: {value}" for name, value in facts.items()) + "\n")
  print(f"| | {' | '.join(rounds)} | ratio | goal | |\n|---|---:|---:|---:|---:|---|")
  for metric, mine, peer, ratio, goal, verdict in table:
    print(f"| {metric} | {mine:,.1f} | {peer:,.1f} | {ratio:.2f} | {goal} | {verdict} |")
  return 0


if __name__ == "__main__":
  sys.exit(main())
