# SPDX-License-Identifier: Apache-2.0
"""The training job that is tortured, on an embedded cluster of its own: what it does, and who does it."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools/demo"), str(ROOT / "tests/e2e")]

import chaos  # noqa: E402
from cluster import Cluster, eventually  # noqa: E402

NODES, RANKS = 5, 4  # one pod a node: four train, one is the spare
PATIENCE = 180


def manifest(name, directory, steps, **policy):
    container = {
        "name": "trainer", "image": "pelton.dev/jax:0.10",
        "command": ["pelton", "run", f"--nnodes={NODES}", "--", "python", "/torture/worker.py",
                    "--checkpoint-dir=/checkpoints", f"--steps={steps}", "--checkpoint-every=3",
                    f"--microbatches={RANKS}", "--sequences-per-rank=1", "--layers=2", "--width=64",
                    "--context=128"],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi", "google.com/tpu": 1},
                      "limits": {"memory": "3Gi", "google.com/tpu": 1}},
        "volumeMounts": [{"name": "checkpoints", "mountPath": "/checkpoints"},
                         {"name": "torture", "mountPath": "/torture", "readOnly": True}]}
    volumes = [{"name": name, "hostPath": {"path": str(directory / name), "type": "DirectoryOrCreate"}}
               for name in ("checkpoints", "torture")]
    return [
        {"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy", "metadata": {"name": name},
         "spec": {"spares": NODES - RANKS, "budget": {"generations": 1000, "podReplacements": 1000,
                                                      "quarantines": 0, "windowSeconds": 600},
                  **policy}},
        {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
         "metadata": {"name": name, "labels": {"pelton.dev/recovery-policy": name}},
         "spec": {"replicatedJobs": [{"name": "workers", "template": {"spec": {
             "parallelism": NODES, "completions": NODES, "completionMode": "Indexed", "backoffLimit": 0,
             "template": {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                                   "containers": [container], "volumes": volumes}}}}}]}}]


class Job:
    """One run of it, from the first step to the last."""

    def __init__(self, cluster, name, steps, **policy):
        """`policy`: what its spec says besides."""
        self.cluster, self.name, self.steps = cluster, name, steps
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="pelton-torture-", dir="/var/tmp"))
        for part in ("checkpoints", "torture"):
            (self.directory / part).mkdir()
        shutil.copy(ROOT / "tests/torture/worker.py", self.directory / "torture")
        for item in manifest(name, self.directory, steps, **policy):
            cluster.apply(item)

    def close(self):
        self.cluster.kubectl("delete", "jobset,recoverypolicy", self.name, "--cascade=foreground",
                             "--timeout=90s")
        shutil.rmtree(self.directory, ignore_errors=True)

    def record(self):
        entries = self.cluster.get("recoverypolicy", self.name).get("status", {}).get("jobSets", [])
        return entries[0] if entries else {}

    def reports(self, generation):
        """{pod: report} of the supervisors that follow this generation."""
        found = {}
        pods = self.cluster.get("pods", "-l", f"jobset.sigs.k8s.io/jobset-name={self.name}")["items"]
        for pod in pods:
            for condition in pod["status"].get("conditions", []):
                if condition["type"] == "pelton.dev/Workers":
                    report = json.loads(condition["message"])
                    if report["generation"] == generation:
                        found[pod["metadata"]["name"]] = report
        return found

    def progress(self):
        """(generation, the step that its slowest rank is in); step -1 where a rank has not begun."""
        generation = self.record().get("generation", {})
        number = generation.get("number", 0)
        if generation.get("phase") != "Running":
            return number, -1
        steps = [worker.get("step", -1) for report in self.reports(number).values()
                 for worker in report["workers"]]
        ranks = sum(member["ranks"] for member in generation["members"])
        return number, min(steps) if len(steps) == ranks else -1

    def is_over(self):
        return self.cluster.get("jobset", self.name)["status"].get("terminalState")

    def until_it_trains(self, after=0, beyond=-1):
        """Waits for a step beyond `beyond` in a generation later than `after`, or for the end."""
        def look():
            generation, step = self.progress()
            if generation > after and step > max(beyond, 0):
                return generation, step
            return (generation, step) if self.is_over() else None
        return eventually(look, timeout=PATIENCE, what=f"a step beyond {beyond} after generation {after}")

    def members(self):
        return self.record()["generation"]["members"]

    def workers(self, member):
        """The pids of a member's worker processes on this machine: one, or none now."""
        directory = f"{self.cluster.directory}/nodes/{member['node']}/pods/{member['podUID']}"
        try:
            return [chaos.find_worker(chaos.all_processes(), None, directory)]
        except LookupError:
            return []

    def launcher(self, member):
        """(init, its supervisor) of a member's pod."""
        directory = f"{self.cluster.directory}/nodes/{member['node']}/pods/{member['podUID']}"
        processes, inits = chaos.all_processes(), []
        for process in processes.values():
            above = process
            while above and not chaos.is_shim_below(above, directory):
                above = processes.get(above.parent)
            if above and process.command[1:2] == ("run",):
                inits.append(process)
        pids = {process.pid for process in inits}
        tops = [process.pid for process in inits if process.parent not in pids]
        below = [process.pid for process in inits if process.parent in pids]
        return tops, below

    def digests(self):
        """What the ranks say their parameters are at the end."""
        found = set()
        for pod in self.cluster.get("pods", "-l", f"jobset.sigs.k8s.io/jobset-name={self.name}")["items"]:
            log = self.cluster.kubectl("logs", pod["metadata"]["name"], check=False).stdout
            found |= set(re.findall(r"done: rank=\d+ parameters_sha256=(\w+)", log))
        return found

    def goodput(self):
        return json.loads(self.cluster.pelton("goodput", f"jobset/{self.name}", "-o", "json", "--data-dir",
                                              self.cluster.directory).stdout)


def left_behind(cluster):
    """Processes and mounts that name the cluster's directory: after its end there must be none."""
    mounts = [line for line in pathlib.Path("/proc/mounts").read_text().splitlines()
              if str(cluster.directory) in line]
    directory = str(cluster.directory).encode()
    processes = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if directory in (entry / "cmdline").read_bytes():
                    processes.append(entry.name)
            except OSError:
                pass
    return mounts + processes
