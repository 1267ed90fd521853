# SPDX-License-Identifier: Apache-2.0
"""The recipes' manifests as they are, on a real cluster: applied, a worker killed, and Completed.

    recipe_manifests.py NAME…    PELTON and KUBECTL name the executables; ./dev setup made the images

Changed in a manifest are the directory of the machine, the number of steps, and how often it saves.
"""
import os
import re
import shutil
import signal
import sys
import tempfile
import unittest
from pathlib import Path

from cluster import ROOT, ClusterTest, eventually

STEPS, EVERY, KILL_AT = 18, 5, 7
GIVE_UP_SECONDS = 600  # four processes import PyTorch, and four parked parents
SCRIPT = "--checkpoint-dir=/checkpoints\n"


class Manifest(ClusterTest):
    NODES = 4
    name = ""

    def manifest(self, directory):
        text = (ROOT / "examples/recipes" / self.name / "jobset.yaml").read_text()
        place = f"path: /var/tmp/pelton/{self.name}\n"
        self.assertEqual((text.count(place), text.count(SCRIPT)), (1, 1), text)
        indent = re.search(r"\n( *- )" + SCRIPT, text)[1]
        more = "".join(f"{indent}{word}\n" for word in (f"--steps={STEPS}", f"--checkpoint-every={EVERY}"))
        return text.replace(place, f"path: {directory}\n").replace(SCRIPT, SCRIPT + more)

    def logs(self, index):
        return self.kubectl("logs", f"--selector=jobset.sigs.k8s.io/jobset-name={self.name},"
                            f"batch.kubernetes.io/job-completion-index={index}", "--tail=-1",
                            check=False).stdout

    def status(self, kind):
        return self.cluster.get(kind, self.name).get("status", {})

    def worker(self, rank):
        """The pid of the worker of that rank, by the environment that it was started with."""
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "environ").read_bytes().split(b"\0") if entry.name.isdigit() else []
                command = (entry / "cmdline").read_bytes() if words else b""
            except OSError:
                continue
            is_ours = any(word.startswith(b"PELTON_POD_UID=") and word[15:].decode() in self.uids
                          for word in words)
            if is_ours and b"RANK=%d" % rank in words and b"/train.py" in command:
                return int(entry.name)
        return None

    def until(self, check, what):
        try:
            return eventually(check, timeout=GIVE_UP_SECONDS, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs(0)[-3000:]}\n{self.status('jobset')}\n"
                                 f"{self.kubectl('describe', 'pods').stdout[-3000:]}\n"
                                 f"{self.cluster.logs()}") from error

    def runTest(self):
        directory = tempfile.mkdtemp(dir="/var/tmp", prefix="pelton-recipe-")
        self.addCleanup(shutil.rmtree, directory)
        self.cluster.apply(self.manifest(directory))
        self.until(lambda: f"step={KILL_AT} " in self.logs(0), "a checkpoint")
        self.uids = {pod["metadata"]["uid"] for pod in self.cluster.get("pods")["items"]}
        os.kill(self.until(lambda: self.worker(2), "the process of rank 2"), signal.SIGKILL)
        self.until(lambda: any(c["type"] == "Completed" and c["status"] == "True"
                               for c in self.status("jobset").get("conditions", [])), "the JobSet's end")
        self.assertEqual(self.status("jobset").get("restarts", 0), 0)
        entry, = self.status("recoverypolicy")["jobSets"]
        self.assertEqual([(past.get("rung"), past.get("cause")) for past in entry["history"]],
                         [("Start", "SIGKILL"), ("RestartInPlace", None)])
        self.assertEqual(entry["generation"]["phase"], "Finished")
        resumed = re.findall(r"resume: step=(\d+) world=4", self.logs(0))
        self.assertEqual(len(resumed), 2, self.logs(0))
        self.assertGreaterEqual(int(resumed[1]), EVERY)
        done = [re.findall(r"parameters_sha256=(\w{64})", self.logs(index)) for index in range(4)]
        self.assertEqual(done, [done[0]] * 4)
        self.assertEqual(len(done[0]), 1)
        self.assertEqual({pod["metadata"]["uid"] for pod in self.cluster.get("pods")["items"]}, self.uids)


if __name__ == "__main__":
    suite = unittest.TestSuite(type(name, (Manifest,), {"name": name})() for name in sys.argv[1:])
    sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
