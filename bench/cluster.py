# SPDX-License-Identifier: Apache-2.0
"""What an embedded cluster costs and how fast it is: pods, a wide JobSet, idling, coming back.

  bench/cluster.py [--pods 100] [--width 64] [--objects 10000] [--idle-seconds 30]

Everything is measured from outside: over HTTPS with the cluster's own credential, by the clocks of
the pods' processes, and in /proc. Prints one table, with the goal beside each figure; the goals
hold on a quiet machine.
"""
import argparse
import concurrent.futures
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
from cluster import Cluster, PELTON  # noqa: E402

PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
PARK = """
apiVersion: pelton.dev/v1alpha1
kind: Park
metadata: {name: bench}
spec:
  zones: [{name: local-a}]
  machineTypes: [{name: host, cpu: "64", memory: 64Gi, accelerators: {google.com/tpu: 32}}]
  machines: [{type: host, zone: local-a, count: 4}]
"""
# A container writes when its process began, by the clock of the machine that it shares with us.
BEGIN = "date +%s%N > /times/$HOSTNAME.new && mv /times/$HOSTNAME.new /times/$HOSTNAME; exec sleep 3600"


def send(connection, method, path, body=None):
    """Returns the answer's JSON. Raises RuntimeError where it is no success."""
    connection.request(method, path, body=None if body is None else json.dumps(body),
                       headers={"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {content[:300]!r}")
    return json.loads(content)


def pod_spec(times):
    return {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never",
            "volumes": [{"name": "times", "hostPath": {"path": str(times)}}],
            "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", BEGIN],
                            "volumeMounts": [{"name": "times", "mountPath": "/times"}]}]}


class Watcher(threading.Thread):
    """Notes when each pod with such a name was first seen Running by a watch from now on."""

    def __init__(self, connection, prefix):
        super().__init__(daemon=True)
        self.connection, self.prefix = connection, prefix
        version = send(connection, "GET", PODS + "?limit=1")["metadata"]["resourceVersion"]
        connection.request("GET", f"{PODS}?watch=true&resourceVersion={version}")
        self.answer = connection.getresponse()
        self.connection.sock.settimeout(None)
        self.seen, self.changed = {}, threading.Condition()
        self.start()

    def run(self):
        try:
            for line in self.answer:
                pod = json.loads(line)["object"]
                name = pod["metadata"]["name"]
                if name.startswith(self.prefix) and pod["status"].get("phase") == "Running":
                    with self.changed:
                        self.seen.setdefault(name, time.time())
                        self.changed.notify_all()
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # the cluster went down with its watch

    def wait(self, wanted, timeout=300):
        """Until `wanted(seen)` holds. Raises TimeoutError."""
        with self.changed:
            if not self.changed.wait_for(lambda: wanted(self.seen), timeout):
                raise TimeoutError(f"only {len(self.seen)} pods run after {timeout} s")


def began(times, name):
    return int((times / name).read_text()) / 1e9


def milliseconds(values):
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"p50 {statistics.median(ordered) * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms"


def bench_pods(cluster, times, count):
    """Pods created one after the other while `count` others run."""
    connection, watcher = cluster.connection("admin"), Watcher(cluster.connection("admin"), "bench-")

    def create(name):
        send(connection, "POST", PODS, {"apiVersion": "v1", "kind": "Pod",
                                        "metadata": {"name": name}, "spec": pod_spec(times)})

    for i in range(count):
        create(f"bench-crowd-{i}")
    watcher.wait(lambda seen: len(seen) == count)
    to_process, to_status = [], []
    for i in range(40):
        name, start = f"bench-{i}", time.time()
        create(name)
        watcher.wait(lambda seen: name in seen)
        # Running is told after the process began, but its shell may still be on the way to `date`.
        while not (times / name).exists():
            time.sleep(0.001)
        to_process.append(began(times, name) - start)
        to_status.append(watcher.seen[name] - start)
    return [(f"pod start at {count} pods: create -> its process runs", milliseconds(to_process),
             "p50 <= 100 ms"),
            ("  create -> a watcher sees Running", milliseconds(to_status), "")]


def bench_jobset(cluster, times, width):
    """One gang, created -> all its pods seen Running."""
    watcher = Watcher(cluster.connection("admin"), "wide-")
    start = time.time()
    send(cluster.connection("admin"), "POST", JOBSETS, {
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "wide"},
        "spec": {"replicatedJobs": [{"name": "w", "template": {"spec": {
            "parallelism": width, "completions": width,
            "template": {"spec": pod_spec(times)}}}}]}})
    watcher.wait(lambda seen: len(seen) == width)
    return [(f"JobSet of {width} pods: created -> all Running",
             f"{max(watcher.seen.values()) - start:.2f} s", "<= 5 s")]


def cpu_seconds(directory):
    """CPU that the cluster's own processes (not its pods') have used so far."""
    total = 0.0
    for process in Path("/proc").iterdir():
        try:
            if not process.name.isdigit():
                continue
            words = (process / "cmdline").read_bytes()
            if str(directory).encode() not in words or b"container-shim" in words:
                continue
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return total


def bench_idle(cluster, seconds):
    before, start = cpu_seconds(cluster.directory), time.time()
    time.sleep(seconds)  # this is the measurement: nothing is to happen
    used = cpu_seconds(cluster.directory) - before
    return [("4 nodes, no pods, idle: CPU of one core",
             f"{100 * used / (time.time() - start):.2f} %", "<= 2 %")]


def bench_recovery(cluster, objects):
    """kill -9 of the server -> it answers a list again, with so many objects stored."""
    def fill(part):
        connection = cluster.connection("admin")
        for i in range(part, objects, 16):
            send(connection, "POST", CONFIG_MAPS, {
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"object-{i}"},
                "data": {"value": "x" * 1000}})

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(fill, range(16)))
    cluster.kill("server")
    start = time.time()
    with subprocess.Popen([PELTON, "up", "--data-dir", cluster.directory],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as up:
        while True:
            try:
                listed = send(cluster.connection("admin"), "GET", CONFIG_MAPS + "?limit=1")
                break
            except (OSError, RuntimeError, http.client.HTTPException):
                if time.time() - start > 120:
                    raise
                time.sleep(0.005)
        serving = time.time() - start
        up.wait()
    found = 1 + listed["metadata"]["remainingItemCount"]
    if found < objects:
        raise RuntimeError(f"{objects} objects were acknowledged, {found} are there")
    return [(f"serving again after kill -9, {objects} objects", f"{serving:.2f} s", "<= 2 s")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--idle-seconds", type=float, default=30)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        print("skipped: pods need root")
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="pelton-bench-") as scratch:
        park, times = Path(scratch) / "park.yaml", Path(scratch) / "times"
        park.write_text(PARK)
        times.mkdir()
        with Cluster(nodes=4, park=park) as cluster:
            rows += bench_idle(cluster, arguments.idle_seconds)
            rows += bench_jobset(cluster, times, arguments.width)
            cluster.kubectl("delete", "jobset", "wide", "--wait=true", timeout=300)
            rows += bench_pods(cluster, times, arguments.pods)
            rows += bench_recovery(cluster, arguments.objects)
    for what, measured, goal in rows:
        print(f"{what:<58}{measured:<28}{goal}")


if __name__ == "__main__":
    main()
