# SPDX-License-Identifier: Apache-2.0
"""Nodes that are known to go, or to be unfit, before they fail: a notice with a deadline is answered by a
checkpoint and a swap, and a node that fails the job's health check is left for another."""
import datetime
import json
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

import test_recovery
from cluster import ClusterTest, eventually

# Ranks that train in step, by files, and save every 10,000th step, or when they are asked to.
WORKER = '''
import os, pathlib, sys, time
import numpy as np
import pelton
from pelton.checkpoint import Checkpointer
shared, rank, world = pathlib.Path("/shared"), int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
generation = os.environ["PELTON_GENERATION"]
pelton.step(0)
checkpointer = Checkpointer(shared / "checkpoints", every=10000)
state, step = {"w": np.zeros((world, 1000)), "last": 0}, 0
if found := checkpointer.restore(state):
  state, step = found[0], int(found[0]["last"])
with open(shared / f"restored-{generation}-{rank}", "w") as file:
  print(step, bool((state["w"] == step).all()), file=file)
at = None if rank else np.memmap(shared / f"at-{generation}", np.int64, "w+", shape=(world,))
while at is None:
  try:
    at = np.memmap(shared / f"at-{generation}", np.int64, "r+", shape=(world,))
  except (OSError, ValueError):
    time.sleep(0.01)
while not (shared / "finish").exists():
  step += 1
  pelton.step(step)
  time.sleep(0.02)
  at[rank] = step
  while at.min() < step and not (shared / "finish").exists():
    time.sleep(0.002)
  state["w"][:], state["last"] = step, step
  if checkpointer.save(step, state):
    with open(shared / f"saved-{generation}-{rank}", "a") as file:
      print(step, file=file)
'''


def jobset(pods, shared, *flags):
    made = test_recovery.jobset("train", "p", pods, shared, image="pelton.dev/jax:0.10", flags=flags,
                                command=("python", "/shared/worker.py"))
    pod = made["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
    pod["containers"][0]["env"] = [
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]
    return made


class Notices(ClusterTest):
    NODES = 4
    record, pods, lose = (test_recovery.Recovery.record, test_recovery.Recovery.pods,
                          test_recovery.Recovery.lose)

    def setUp(self):
        self.shared = Path("/var/tmp") / f"pelton-notices-{os.getpid()}-{self._testMethodName[-20:]}"
        self.shared.mkdir(exist_ok=True)
        (self.shared / "worker.py").write_text(WORKER)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.shared], check=True)
        self.addCleanup(self.kubectl, "delete", "jobsets,recoverypolicies", "--all",
                        "--cascade=foreground", "--timeout=60s")

    def begin(self, *flags):
        """Two ranks and a spare; returns the record of the first generation, which trains."""
        self.cluster.apply(test_recovery.policy("p", spares=1))
        self.cluster.apply(jobset(3, self.shared, *flags))
        return self.trains(1, 20)

    def trains(self, generation, step):
        """Waits until that generation, or a later one, has done the step; returns its record."""
        def look():
            record = self.record()
            number = record.get("generation", {}).get("number", 0)
            at = self.shared / f"at-{number}"
            if number < generation or not at.exists() or len(at.read_bytes()) < 16:
                return None
            words = memoryview(at.read_bytes()).cast("q")
            return record if min(words) >= step else None
        try:
            return eventually(look, timeout=90, what=f"step {step} of generation {generation}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(self.record(), indent=1)}\n"
                                 f"{self.kubectl('get', 'pods', '-o', 'wide').stdout}\n"
                                 f"{self.kubectl('logs', '-l', 'jobset.sigs.k8s.io/jobset-name=train').stdout}")

    def restored(self, generation):
        return [(self.shared / f"restored-{generation}-{rank}").read_text().split() for rank in (0, 1)]

    def finish(self):
        (self.shared / "finish").touch()
        eventually(lambda: self.record()["generation"]["phase"] == "Finished", timeout=60, what="the end")

    def test_a_notice_is_answered_by_a_save_and_a_swap_before_its_deadline(self):
        record = self.begin()
        leaves = record["generation"]["members"][1]
        deadline = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=25)
        condition = {"type": "pelton.dev/TerminationNotice", "status": "True", "reason": "Preempted",
                     "message": f"{deadline:%Y-%m-%dT%H:%M:%SZ} the machine is taken back"}
        self.kubectl("patch", "node", leaves["node"], "--subresource=status", "--type=strategic", "-p",
                     json.dumps({"status": {"conditions": [condition]}}))
        record = self.trains(2, 1)
        self.assertLess(time.time(), deadline.timestamp(), "before the node goes")
        self.assertEqual(record["lastDecision"]["rung"], "SwapSpare", record["lastDecision"])
        self.assertNotIn(leaves["node"], [m["node"] for m in record["generation"]["members"]])
        saved = [(self.shared / f"saved-1-{rank}").read_text().split() for rank in (0, 1)]
        self.assertEqual(len(saved[0]), 1, "one step, because it was asked for")
        self.assertEqual(saved[0], saved[1], "the same at all ranks")
        self.assertEqual(self.restored(2), [[saved[0][0], "True"]] * 2)
        self.assertEqual(record["durableStep"], int(saved[0][0]))
        done = record["history"][-1]["lastStep"]
        self.assertLess(done - int(saved[0][0]), 100, "what was trained until the swap")
        time.sleep(max(0, deadline.timestamp() - time.time()))
        self.lose(leaves)
        number = record["generation"]["number"]
        self.trains(number, min(memoryview((self.shared / f"at-{number}").read_bytes()).cast("q")) + 50)
        self.assertEqual(self.record()["generation"]["number"], number, "nobody of it was there")
        self.cluster.start()  # the agent that was lost
        self.finish()

    def test_a_node_that_fails_the_health_check_is_left_for_another(self):
        record = self.begin("--health-check", "echo checks $NODE; test ! -e /shared/bad-$NODE")
        bad = record["generation"]["members"][1]
        (self.shared / f"bad-{bad['node']}").touch()
        os.kill(self.worker(bad["podUID"]), signal.SIGKILL)
        record = self.trains(3, 1)
        self.assertEqual(record["lastDecision"]["rung"], "SwapSpare", record["lastDecision"])
        self.assertNotIn(bad["node"], [m["node"] for m in record["generation"]["members"]])
        last = record["history"][-1]
        self.assertEqual((last["cause"], last["node"]), ("HealthCheck", bad["node"]), last)
        self.assertIn(f"exit code 1: checks {bad['node']}", last["detail"])
        nodes = self.cluster.get("recoverypolicy", "p")["status"]["nodes"]
        self.assertEqual([(n["name"], n["cause"]) for n in nodes], [(bad["node"], "HealthCheck")])
        self.finish()

    def worker(self, pod_uid):
        """The process of that pod's worker of the first generation, which nobody has forked."""
        for entry in Path("/proc").iterdir():
            try:
                environment = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if f"PELTON_POD_UID={pod_uid}".encode() in environment \
                    and command[1:2] == [b"/shared/worker.py"]:
                return int(entry.name)
        raise AssertionError(f"no worker of {pod_uid}")


if __name__ == "__main__":
    unittest.main()
