# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that a job may not use: its rank says which file, tensor or field, the JobSet has that in a condition
once no rung is left, and what lies in the directory stays as it is."""
import os
import shutil
import subprocess
import unittest
from pathlib import Path

import test_notices
import test_recovery
from cluster import ClusterTest, eventually

WORKER = '''
import sys
import numpy as np
import pelton
from pelton.checkpoint import Checkpointer
pelton.step(0)
checkpointer = Checkpointer(sys.argv[1], job=sys.argv[2] or None)
state = eval(sys.argv[3])
found = checkpointer.restore(state)
print("restored", found and found[0]["w"][0], flush=True)
state["w"][:] = 7
checkpointer.save(1, state)
checkpointer.wait()
'''
ROOT = Path(__file__).resolve().parents[2]


def content(directory):
    return {path.relative_to(directory): path.read_bytes()
            for path in sorted(directory.rglob("*")) if path.is_file()}


class Refused(ClusterTest):
    NODES = 4

    def setUp(self):
        self.shared = Path("/var/tmp") / f"pelton-refused-{os.getpid()}"
        self.shared.mkdir(exist_ok=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.shared], check=True)
        self.addCleanup(self.kubectl, "delete", "jobsets,recoverypolicies", "--all",
                        "--cascade=foreground", "--timeout=60s")
        (self.shared / "worker.py").write_text(WORKER)
        self.cluster.apply(test_recovery.policy("p"))

    def begin(self, name, directory, job="", state="{'w': np.zeros(1000)}", is_read_only=False):
        jobset = test_notices.jobset(1, self.shared)
        jobset["metadata"]["name"] = name
        pod = jobset["spec"]["replicatedJobs"][0]["template"]["spec"]["template"]["spec"]
        pod["containers"][0]["command"] += [directory, job, state]
        if is_read_only:
            pod["containers"][0]["volumeMounts"][0]["readOnly"] = True
        self.cluster.apply(jobset)

    def condition(self, name, kind):
        def look():
            conditions = self.cluster.get("jobset", name)["status"].get("conditions", [])
            return next((c for c in conditions if c["type"] == kind and
                         (kind != "pelton.dev/Recovery" or c["reason"] == "NoRungLeft")), None)
        try:
            return eventually(look, timeout=120, what=f"condition {kind} of JobSet {name}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.cluster.get('jobset', name)['status']}\n"
                                 f"{self.cluster.get('recoverypolicy', 'p')['status']}")

    def check(self, name, *words):
        condition = self.condition(name, "pelton.dev/Recovery")
        for word in words:
            self.assertIn(word, condition["message"])
        self.condition(name, "Failed")
        return condition["message"]

    def test_the_jobset_says_which_checkpoint_may_not_be_used_and_why(self):
        self.begin("owner", "/shared/checkpoints", job="owner")
        self.condition("owner", "Completed")
        before = content(self.shared / "checkpoints")
        self.assertTrue(before)
        newer = self.shared / "newer"
        shutil.copytree(self.shared / "checkpoints", newer)
        record = sorted((newer / "log").glob("*.record"))[-1]
        record.write_bytes((ROOT / "tests/python/newer_record.txt").read_bytes())
        newer_before = content(newer)

        # Not all at once: there are four nodes, and a failed pod is tried on another one too.
        self.begin("other-job", "/shared/checkpoints")
        self.begin("newer-format", "/shared/newer", job="owner")
        self.check("other-job", "Refused", "/shared/checkpoints", 'of job "owner"')
        self.check("newer-format", "Refused", f"/shared/newer/log/{record.name}", "newer pelton")
        self.assertEqual(content(self.shared / "checkpoints"), before)
        self.assertEqual(content(newer), newer_before)

        # A directory for each: of two runs in one the later fences the other.
        shutil.copytree(self.shared / "checkpoints", self.shared / "tensors")
        self.begin("read-only", "/shared/new", is_read_only=True)
        self.begin("other-shape", "/shared/checkpoints", "owner", "{'w': np.zeros((10, 100))}")
        self.begin("more-tensors", "/shared/tensors", "owner",
                   "{'w': np.zeros(1000), 'bias': np.zeros(3)}")
        self.check("read-only", "Failed", "/shared/new", "Read-only file system")
        self.check("other-shape", "ValueError", "tensor w", "float64[1000]", "float64[10, 100]")
        self.check("more-tensors", "ValueError", "tensor bias", "no tensor of that name")
        self.assertFalse((self.shared / "new").exists())
        for directory in "checkpoints", "tensors":
            after = content(self.shared / directory)
            self.assertLessEqual(before.items(), after.items(), "they are the job's own: it may begin")
            self.assertEqual({path.parts[0] for path in after.keys() - before.keys()}, {"log"})


if __name__ == "__main__":
    unittest.main()
