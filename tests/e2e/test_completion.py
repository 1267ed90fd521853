# SPDX-License-Identifier: Apache-2.0
"""TAB in real shells: bash, zsh and fish with the scripts of `pelton completion`."""
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from cluster import PELTON, ClusterTest, eventually, pod
from shells import Shells

SHELLS = ("bash", "zsh", "fish")


def made_shells(test):
    for shell in SHELLS:
        if not shutil.which(shell):
            raise unittest.SkipTest(f"{shell} is not installed; ./dev setup installs it")
    directory = Path(tempfile.mkdtemp(prefix="pelton-completion-"))
    test.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
    shells = Shells(directory, PELTON)
    test.addClassCleanup(shells.close)
    return directory, shells


class WithoutACluster(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory, cls.shells = made_shells(cls)
        for name in ("park-one.yaml", "park-two.yaml"):
            (cls.directory / name).touch()
        (cls.directory / "parks with blanks").mkdir()

    def expect(self, line, *wanted):
        for shell in SHELLS:
            with self.subTest(shell=shell, line=line):
                self.assertEqual(self.shells.candidates(shell, line), sorted(wanted))

    def expect_paths(self, line, *wanted):
        """A shell may or may not put the slash behind a directory itself."""
        for shell in SHELLS:
            with self.subTest(shell=shell, line=line):
                found = [path.rstrip("/") for path in self.shells.candidates(shell, line)]
                self.assertEqual(found, sorted(wanted))

    def test_verbs(self):
        self.expect("pelton ex", "explain")
        self.expect("pelton s", "sim", "status")
        self.expect("pelton serv")

    def test_flags(self):
        self.expect("pelton explain --o", "--output")
        self.expect("pelton up --n", "--nodes")
        self.expect("pelton up --nodes 3 --p", "--park", "--port")

    def test_values(self):
        self.expect("pelton status -o ", "json")
        self.expect("pelton status --output=j", "--output=json")
        self.expect("pelton completion ", "bash", "fish", "zsh")
        self.expect("pelton up --nodes ")

    def test_files(self):
        self.expect_paths("pelton up --park park-", "park-one.yaml", "park-two.yaml")
        self.expect_paths("pelton sim park-o", "park-one.yaml")
        self.expect_paths("pelton up --park=park-o", "--park=park-one.yaml")
        self.expect_paths("pelton up --data-dir parks", "parks with blanks")
        self.expect_paths("pelton up --data-dir park-")

    def test_run_completes_its_flags_and_then_files(self):
        self.expect("pelton run --rdzv-b", "--rdzv-backend")
        self.expect("pelton run --rdzv-backend ", "c10d", "static")
        self.expect_paths("pelton run --standalone -- park-o", "park-one.yaml")
        self.expect_paths("pelton run --standalone park-o", "park-one.yaml")

    def test_a_tab_runs_nothing(self):
        for shell in SHELLS:
            self.shells.press(shell, "pelton explain --data-dir $(touch ran) po")
            self.shells.press(shell, "pelton explain --data-dir `touch ran` po")
        self.assertFalse((self.directory / "ran").exists())

    def test_there_is_none_for_another_shell(self):
        result = subprocess.run([PELTON, "completion", "tcsh"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn("bash, zsh and fish", result.stderr)


class LiveNames(ClusterTest):
    NODES = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.cluster.stop)
        cls.directory, cls.shells = made_shells(cls)
        cls.cluster.apply(pod("web", "sleep 1000"))
        cls.cluster.apply(pod("worker", "sleep 1000"))
        cls.kubectl("create", "namespace", "shop")
        shop = pod("till", "sleep 1000")
        shop["metadata"]["namespace"] = "shop"
        cls.cluster.apply(shop)
        cls.cluster.apply({"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": "train"},
                           "spec": {"suspend": True, "replicatedJobs": [{"name": "w", "template": {"spec": {
                               "template": {"spec": pod("train", "true")["spec"]}}}}]}})

    def expect(self, line, *wanted):
        for shell in SHELLS:
            with self.subTest(shell=shell, line=line):
                found = self.shells.candidates(shell, line.replace("DIR", str(self.cluster.directory)))
                self.assertEqual(found, sorted(wanted))

    def test_are_those_of_the_cluster_and_namespace_on_the_line(self):
        self.expect("pelton explain --data-dir DIR pod ", "web", "worker")
        self.expect("pelton explain --data-dir=DIR pod wo", "worker")
        self.expect("pelton explain -n shop --data-dir DIR pod ", "till")
        self.expect("pelton explain --data-dir DIR job ", "train")
        self.expect("pelton explain --data-dir DIR jobset/", "jobset/train")
        self.expect("pelton explain --data-dir DIR -n sh", "shop")

    def test_of_a_server_that_hangs_are_none_within_a_moment(self):
        pid = self.cluster.pid("server")
        os.kill(pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            result = self.cluster.pelton("__complete", "explain", "--data-dir",
                                         self.cluster.directory, "pod", "")
            self.assertLess(time.monotonic() - start, 5)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.assertEqual((result.stdout, result.stderr), (":4\n", ""))
        eventually(lambda: self.kubectl("get", "nodes", check=False).returncode == 0)


if __name__ == "__main__":
    unittest.main()
