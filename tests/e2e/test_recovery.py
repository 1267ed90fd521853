# SPDX-License-Identifier: Apache-2.0
"""Jobs with a RecoveryPolicy on a real cluster: who runs what after a worker, a node or a part of
Pelton has died. The workers are a shell script: what they train is nobody's business here."""
import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from cluster import ClusterTest, eventually

# Each worker says every moment who it is: a file per process, so that nobody writes into another's.
# It runs until the file "finish" is there.
WORKER = """
beats=/shared/$RANK-$$
while [ ! -e /shared/finish ]; do
  echo "$PELTON_GENERATION $RANK $WORLD_SIZE $PELTON_POD_UID $(date +%s.%N)" >> $beats
  sleep 0.1
done
"""


def policy(name, **spec):
    return {"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy", "metadata": {"name": name},
            "spec": spec}


def jobset(name, policy_name, pods, shared, max_restarts=0, image="busybox", flags=(),
           command=("bash", "-c", WORKER)):
    """`command` on each of so many pods, one a node; `shared` is /shared there."""
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
            "metadata": {"name": name, "labels": {"pelton.dev/recovery-policy": policy_name}},
            "spec": {"failurePolicy": {"maxRestarts": max_restarts}, "replicatedJobs": [
                {"name": "workers", "replicas": 1, "template": {"spec": {
                    "parallelism": pods, "completions": pods, "completionMode": "Indexed",
                    "backoffLimit": 0, "template": {"spec": {
                        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "main", "image": image,
                            "command": ["pelton", "run", f"--nnodes={pods}", *flags, "--", *command],
                            "resources": {"requests": {"google.com/tpu": 1},
                                          "limits": {"google.com/tpu": 1}},
                            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
                        "volumes": [{"name": "shared", "hostPath": {"path": str(shared)}}]}}}}}]}}


class Recovery(ClusterTest):
    NODES = 4

    @classmethod
    def tearDownClass(cls):
        # With a job that is not over: its memory goes with the cluster.
        cls.cluster.apply(policy("p"))
        cls.cluster.apply(jobset("left", "p", 1, "/var/tmp"))
        mounts = lambda: str(cls.cluster.directory) in Path("/proc/mounts").read_text()
        eventually(mounts, what="the job's memory")
        cls.cluster.pelton("down", "--data-dir", cls.cluster.directory)
        left = mounts()
        super().tearDownClass()
        if left:
            raise AssertionError("pelton down left something mounted")

    def setUp(self):
        self.shared = Path("/var/tmp") / f"pelton-recovery-{os.getpid()}-{self._testMethodName[-24:]}"
        self.shared.mkdir(exist_ok=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.shared], check=True)
        self.addCleanup(self.kubectl, "delete", "jobsets,recoverypolicies", "--all",
                        "--cascade=foreground", "--timeout=60s")

    def begin(self, pods, **spec):
        """Applies a policy and a JobSet; returns when its first generation runs everywhere."""
        self.cluster.apply(policy("p", **spec))
        self.cluster.apply(jobset("train", "p", pods, self.shared))
        return self.running()

    def record(self):
        entries = self.cluster.get("recoverypolicy", "p").get("status", {}).get("jobSets", [])
        return entries[0] if entries else {}

    def beats(self):
        """{rank: (generation, world size, pod uid)} of the workers that beat within the last second."""
        now, out = time.time(), {}
        for file in self.shared.glob("*-*"):
            words = (file.read_text().splitlines() or [""])[-1].split()
            if len(words) == 5 and now - float(words[4]) < 1:
                out.setdefault(int(words[1]), []).append((int(words[0]), int(words[2]), words[3]))
        return out

    def running(self, after=0, world=None, timeout=60):
        """Waits for a generation newer than `after` all of whose ranks run; returns its record."""
        def look():
            record = self.record()
            generation = record.get("generation", {})
            members = generation.get("members", [])
            size = sum(member["ranks"] for member in members)
            if generation.get("number", 0) <= after or generation["phase"] != "Running":
                return None
            if world is not None and size != world:
                return None
            expected = {}
            for member in members:
                for _ in range(member["ranks"]):
                    expected[len(expected)] = [(generation["number"], size, member["podUID"])]
            return record if self.beats() == expected else None
        try:
            return eventually(look, timeout=timeout, what=f"a generation after {after} that runs")
        except AssertionError as error:
            raise AssertionError(f"{error}\nbeats {self.beats()}\n{json.dumps(self.record(), indent=1)}\n"
                                 f"{self.kubectl('get', 'pods', '-o', 'wide').stdout}\n"
                                 f"{self.cluster.logs()}")

    def pods(self):
        return {pod["metadata"]["uid"]: pod for pod in self.cluster.get("pods")["items"]}

    def worker_pids(self, pod_uid):
        """The worker's processes: what runs the script in that pod, by its own environment."""
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"PELTON_POD_UID={pod_uid}".encode() in environment and command[:2] == [b"bash", b"-c"] \
                    and any(word.startswith(b"RANK=") for word in environment):
                found.append(int(entry.name))
        return found

    def kill_worker(self, pod_uid):
        pids = eventually(lambda: self.worker_pids(pod_uid), what="the worker's process")
        os.kill(pids[0], signal.SIGKILL)

    def finish(self):
        (self.shared / "finish").touch()
        eventually(lambda: any(c["type"] == "Completed" and c["status"] == "True" for c in
                               self.cluster.get("jobset", "train")["status"].get("conditions", [])),
                   timeout=60, what="the JobSet's end")
        self.assertEqual(self.record()["generation"]["phase"], "Finished")

    def test_a_killed_worker_is_restarted_in_place(self):
        record = self.begin(2)
        before = self.pods()
        members = record["generation"]["members"]
        for victim in (1, 0):  # the pod of rank 0 is like any other
            number = record["generation"]["number"]
            self.kill_worker(members[victim]["podUID"])
            record = self.running(after=number)
            self.assertEqual(record["lastDecision"]["rung"], "RestartInPlace", record["lastDecision"])
            self.assertEqual(record["generation"]["members"], members)
        self.assertEqual(set(self.pods()), set(before), "no pod was made anew")
        for pod in self.pods().values():
            self.assertEqual(pod["status"]["containerStatuses"][0]["restartCount"], 0)
        failures = [past.get("cause") for past in record["history"]]
        self.assertEqual(failures, ["SIGKILL", "SIGKILL"], record["history"])
        explained = self.cluster.pelton("explain", "job", "train", "--data-dir", self.cluster.directory)
        self.assertIn("RestartInPlace", explained.stdout)
        self.finish()
        self.assertEqual(self.cluster.get("jobset", "train")["status"].get("restarts", 0), 0)

    def test_agents_server_and_controllers_may_die_in_between(self):
        record = self.begin(2)
        members = record["generation"]["members"]
        for part in ("agent-node-0", "agent-node-1", "agent-node-2", "agent-node-3", "server"):
            self.cluster.kill(part)
        number = record["generation"]["number"]
        self.kill_worker(members[1]["podUID"])
        self.cluster.start()
        record = self.running(after=number)
        self.assertEqual(record["generation"]["members"], members, "the same pods went on")
        self.finish()

    def test_a_lost_node_is_replaced_by_a_spare_then_the_job_shrinks_and_grows_back(self):
        record = self.begin(4, spares=1, minReplicas=2)
        first = record["generation"]
        self.assertEqual(len(first["members"]), 3, "one of four is the spare")
        spare = (set(self.pods()) - {member["podUID"] for member in first["members"]}).pop()
        self.lose(first["members"][1])
        record = self.running(after=first["number"], world=3)
        self.assertEqual(record["lastDecision"]["rung"], "SwapSpare", record["lastDecision"])
        self.assertIn(spare, [member["podUID"] for member in record["generation"]["members"]])
        second = record["generation"]
        self.lose(second["members"][0])
        record = self.running(after=second["number"], world=2)
        self.assertEqual(record["lastDecision"]["rung"], "Shrink", record["lastDecision"])
        shrunk = record["generation"]["number"]
        self.cluster.start()  # the agents that were lost
        record = self.running(after=shrunk, world=3, timeout=90)
        self.assertEqual(record["lastDecision"]["rung"], "Grow", record["lastDecision"])
        self.finish()

    def lose(self, member):
        """As if the machine had lost its power: the agent and all processes of the pod, at once."""
        pod = member["podUID"]
        self.cluster.kill(f"agent-{member['node']}")
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue
            if f"PELTON_POD_UID={pod}".encode() in environment:
                try:
                    os.kill(int(entry.name), signal.SIGKILL)
                except ProcessLookupError:
                    pass


if __name__ == "__main__":
    unittest.main()
