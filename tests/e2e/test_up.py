# SPDX-License-Identifier: Apache-2.0
"""pelton up and down when something before them was cut short."""
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import unittest
from pathlib import Path

from cluster import PELTON, ROOT, Cluster, eventually


def processes_of(directory):
    """{pid: arguments} of the server and agents that were started for this directory; not of their
    children, which look alike until they exec."""
    found, parents = {}, {}
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().decode().split("\0")
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue  # no process, or gone meanwhile
        if entry.name.isdigit() and str(directory) in words and words[1:2] in (["server"], ["agent"]):
            found[int(entry.name)], parents[int(entry.name)] = words, parent
    return {pid: words for pid, words in found.items() if parents[pid] not in found}


@unittest.skipUnless(os.geteuid() == 0, "needs root: pods are made of namespaces")
class AfterAKill(unittest.TestCase):
    def test_up_starts_a_server_that_was_killed_a_moment_ago(self):
        with Cluster(nodes=1) as cluster:
            for _ in range(5):
                os.kill(cluster.pid("server"), signal.SIGKILL)  # and nobody waits for its end
                self.assertIn("The cluster is up", cluster.start().stdout)

    def test_up_waits_for_the_end_of_a_server_that_is_about_to_die(self):
        with Cluster(nodes=1) as cluster:
            pid = cluster.pid("server")
            os.kill(pid, signal.SIGSTOP)  # answers no more, and is not gone yet
            killer = threading.Timer(1, os.kill, (pid, signal.SIGKILL))
            killer.start()
            try:
                self.assertIn("The cluster is up", cluster.start().stdout)
            finally:
                killer.join()

    def test_a_server_waits_for_the_locks_of_one_that_was_killed(self):
        with Cluster(nodes=1) as cluster:
            cluster.kill("server")
            with open(cluster.directory / "lock", "r+", encoding="utf-8") as held:
                fcntl.flock(held, fcntl.LOCK_EX)  # as a last thread that is not gone yet
                release = threading.Timer(1, fcntl.flock, (held, fcntl.LOCK_UN))
                release.start()
                try:
                    self.assertIn("The cluster is up", cluster.start().stdout)
                finally:
                    release.join()

    def test_up_does_not_take_a_server_that_hangs_for_one_that_is_gone(self):
        with Cluster(nodes=1) as cluster:
            pid = cluster.pid("server")
            os.kill(pid, signal.SIGSTOP)
            try:
                result = cluster.pelton("up", "--nodes", 1, "--park", cluster.park, "--data-dir",
                                        cluster.directory, check=False)
            finally:
                os.kill(pid, signal.SIGCONT)
            self.assertEqual(result.returncode, 1)
            self.assertIn(f"pid {pid}", result.stderr)
            self.assertIn("pelton down --data-dir", result.stderr)


@unittest.skipUnless(os.geteuid() == 0, "needs root: pods are made of namespaces")
class AfterAnInterruptedUp(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="pelton-e2e-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(self.pelton, "down")
        self.addCleanup(self.release)
        self.held = []

    def pelton(self, verb, *args):
        return subprocess.run([PELTON, verb, "--data-dir", self.directory, *args],
                              capture_output=True, text=True, timeout=120)

    def release(self):
        for pid in self.held:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def interrupt_with_agents_on_their_way(self):
        """Ends `up` by Ctrl-C when its agents have been started; they are held before they serve."""
        up = subprocess.Popen([PELTON, "up", "--nodes", "2", "--park",
                               ROOT / "examples" / "parks" / "small.yaml", "--data-dir",
                               self.directory], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)

        def agents():
            for pid, words in processes_of(self.directory).items():
                if words[1] == "agent" and pid not in self.held:
                    os.kill(pid, signal.SIGSTOP)
                    self.held.append(pid)
            return len(self.held) == 2

        eventually(agents, 60, "two agents")
        up.send_signal(signal.SIGINT)
        up.wait(30)
        up.stdout.close()
        records = {path.name for path in (self.directory / "run").iterdir()}
        self.assertNotIn("agent-node-0.json", records, "the agent was held too late")

    def test_down_ends_what_did_not_serve_yet(self):
        self.interrupt_with_agents_on_their_way()
        result = self.pelton("down")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(processes_of(self.directory), {})

    def test_another_up_goes_on_with_what_there_is(self):
        self.interrupt_with_agents_on_their_way()
        # Released only now: agents that serve before the other looks leave it nothing to do.
        up = subprocess.Popen([PELTON, "up", "--data-dir", self.directory, "--nodes", "2"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.release()
        errors = up.communicate(timeout=120)[1]
        self.assertEqual(up.returncode, 0, errors)
        self.assertEqual(sorted(pid for pid, words in processes_of(self.directory).items()
                                if words[1] == "agent"), sorted(self.held))


if __name__ == "__main__":
    unittest.main()
