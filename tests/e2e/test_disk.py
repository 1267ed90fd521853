# SPDX-License-Identifier: Apache-2.0
"""Real disks that are full, and stores that are damaged: nothing acknowledged is lost or hidden."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from cluster import BareServer, PELTON, Cluster, eventually, pod

MAPS = "/api/v1/namespaces/default/configmaps"


def config_map(name, size=0):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
            "data": {"filling": "x" * size}}


class FullDisk(unittest.TestCase):
    """The data directory on a small file system of its own."""

    ROOM = 24 << 20

    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: mounts a file system")
        self.mount = tempfile.mkdtemp(prefix="pelton-full-")
        self.addCleanup(os.rmdir, self.mount)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.ROOM}", "pelton-e2e", self.mount],
                       check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.mount], check=True)
        self.cluster = Cluster(nodes=2, directory=self.mount + "/data")
        self.addCleanup(self.cluster.stop)
        self.addCleanup(self.make_room)
        self.filler = Path(self.mount) / "filler"

    def fill(self):
        """To the last page, and the last place in the log's last page."""
        with open(self.filler, "ab", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    pass
        eventually(lambda: self.create(f"filling-{time.monotonic_ns()}", 5000)[0] != 201, what="a refusal")

    def make_room(self):
        self.filler.unlink(missing_ok=True)

    def create(self, name, size=0):
        return self.cluster.request("POST", MAPS, config_map(name, size))

    def names(self):
        return {item["metadata"]["name"] for item in self.cluster.request("GET", MAPS)[1]["items"]}

    def test_writes_are_refused_with_a_reason_and_go_on_once_there_is_room(self):
        self.cluster.start()
        self.cluster.apply(pod("steady", "sleep 1000"))
        self.cluster.kubectl("wait", "pod/steady", "--for=condition=Ready", "--timeout=30s")
        self.assertEqual(self.create("before")[0], 201)
        watch = self.cluster.connection("admin")
        watch.request("GET", MAPS + "?watch=true&allowWatchBookmarks=true")
        events = watch.getresponse()
        self.assertIn("before", str(events.readline()))
        server = self.cluster.pid("server")
        known = self.names()
        self.fill()
        filled = time.monotonic()
        # What kubectl's users see.
        status, answer = self.create("refused", 5000)
        print("\nrefusal:", status, answer["message"], flush=True)
        self.assertEqual((status, answer["kind"], answer["reason"], answer["code"]),
                         (503, "Status", "ServiceUnavailable", 503))
        self.assertRegex(answer["message"], r"nothing was stored: writing .*/data/store/log-[0-9a-f]{8}: "
                                            r"No space left on device; make room on that disk")
        kubectl = self.cluster.kubectl("create", "configmap", "refused", "--from-literal=a=" + "x" * 5000,
                                       check=False)
        self.assertEqual(kubectl.returncode, 1)
        self.assertIn("No space left on device", kubectl.stderr)
        # Reading goes on, for longer than a node may be silent.
        while time.monotonic() < filled + 9:
            self.assertLessEqual(known, self.names())
            self.assertNotIn("refused", self.names())
            time.sleep(0.5)
        self.make_room()
        eventually(lambda: self.create(f"after-{time.monotonic_ns()}")[0] == 201, timeout=10,
                   what="a write, with room")
        self.assertEqual(self.cluster.pid("server"), server, "without a restart")
        lines = iter(lambda: str(events.readline()), "b''")
        self.assertTrue(any("after-" in line for line in lines), "the watch goes on")
        watch.close()
        # No renewal could be stored, and no node is lost for that.
        eventually(lambda: self.cluster.kubectl("get", "nodes").stdout.count(" Ready") == 2,
                   what="both nodes Ready")
        time.sleep(8)  # whoever is to be evicted would be by now: an absence has no event
        steady = self.cluster.get("pod", "steady")
        self.assertNotIn("deletionTimestamp", steady["metadata"], steady["status"])
        self.assertEqual(steady["status"]["phase"], "Running")
        log = (self.cluster.directory / "log" / "server.log").read_text()
        self.assertIn("store.disk_has_room", log)
        self.assertLess(log.count("store.disk_full"), 30, "not a line for each refusal")

    def test_a_server_killed_while_full_says_so_and_comes_back_with_everything(self):
        self.cluster.start()
        for number in range(20):
            self.assertEqual(self.create(f"kept-{number}", 1000)[0], 201)
        self.fill()
        known = self.names()
        self.cluster.kill("server")
        started = self.cluster.pelton("up", "--data-dir", self.cluster.directory, check=False)
        print("\npelton up:", started.stderr, flush=True)
        if started.returncode != 0:
            self.assertIn("No space left on device", started.stderr)
            self.assertIn(self.mount, started.stderr)
        self.make_room()
        self.cluster.start()
        self.assertLessEqual(known, self.names())
        self.assertEqual(self.create("after")[0], 201)


class DamagedStore(unittest.TestCase):
    """Copies of a real store, each damaged in one way."""

    @classmethod
    def setUpClass(cls):
        cls.root = Path(tempfile.mkdtemp(prefix="pelton-damaged-"))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        original = cls.root / "original"
        for start in range(10):  # so many logs make a snapshot
            with BareServer(original) as cluster:
                for number in range(4):
                    status, _ = cluster.request("POST", MAPS, config_map(f"map-{start}-{number}", 700))
                    assert status == 201
                if start >= 8:
                    eventually(lambda: list((original / "store").glob("snapshot-????????")), what="a snapshot")
                cls.names = {item["metadata"]["name"]
                             for item in cluster.request("GET", MAPS)[1]["items"]}
        cls.original = original
        store = original / "store"
        cls.logs = sorted(path.name for path in store.glob("log-*"))
        cls.snapshot = max(path.name for path in store.glob("snapshot-????????"))
        assert len(cls.logs) >= 2, cls.logs

    def damaged(self, damage):
        """A copy, on which `damage` was done to its store's directory."""
        copy = self.root / f"copy-{self._testMethodName}"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.original, copy, ignore=shutil.ignore_patterns("run"))
        damage(copy / "store")
        return copy

    def refused(self, damage, *says):
        copy = self.damaged(damage)
        before = content_of(copy / "store")
        result = subprocess.run([PELTON, "server", "--without-controllers", "--data-dir", copy],
                                capture_output=True, text=True, timeout=30)
        message = result.stderr.splitlines()[-1]
        print("\nrefusal:", message, flush=True)
        self.assertEqual(result.returncode, 1, result.stderr)
        for part in says:
            self.assertRegex(message, part)
        self.assertRegex(message, r"the last good revision is \d+")
        self.assertIn("Restore its directory from a copy", message)
        self.assertEqual(content_of(copy / "store"), before, "it must change nothing")
        return copy, message

    def flip(self, name, at):
        def damage(store):
            with open(store / name, "r+b") as file:
                file.seek(at if at >= 0 else 0, os.SEEK_SET if at >= 0 else os.SEEK_END)
                where = file.tell() + (at if at < 0 else 0)
                file.seek(where)
                byte = file.read(1)
                file.seek(where)
                file.write(bytes([byte[0] ^ 0x40]))
        return damage

    def size(self, name):
        return (self.original / "store" / name).stat().st_size

    def test_a_flipped_bit_in_the_middle_of_a_log(self):
        name = self.logs[-1]
        copy, message = self.refused(self.flip(name, self.size(name) // 2),
                                     rf"store/{name}: .* damaged at offset \d+")
        # The way on that it tells, done as told.
        command = re.search(r"run '(truncate -s \d+ \S+)'", message).group(1)
        subprocess.run(command.split(), check=True)
        with BareServer(copy) as cluster:
            left = {item["metadata"]["name"] for item in cluster.request("GET", MAPS)[1]["items"]}
        self.assertTrue(left < self.names, f"{len(left)} of {len(self.names)} are left")
        self.assertIn("map-0-0", left)

    def test_a_flipped_bit_in_a_log_that_is_not_the_last(self):
        name = self.logs[-2]
        self.refused(self.flip(name, -20), rf"store/{name}: .* damaged at offset \d+",
                     r"remove the logs of higher numbers")

    def test_a_log_that_is_not_the_last_cut_off(self):
        name = self.logs[-2]
        self.refused(lambda store: os.truncate(store / name, self.size(name) - 13),
                     rf"store/{name}: .* damaged at offset \d+")

    def test_a_log_that_is_missing(self):
        self.refused(lambda store: (store / self.logs[-2]).unlink(), rf"store/{self.logs[-2]}: .*missing")

    def test_a_snapshot_that_is_damaged(self):
        self.refused(self.flip(self.snapshot, self.size(self.snapshot) // 2),
                     rf"store/{self.snapshot}: the snapshot is damaged or not whole at offset \d+")

    def test_a_snapshot_that_is_cut_off(self):
        self.refused(lambda store: os.truncate(store / self.snapshot, self.size(self.snapshot) // 2),
                     rf"store/{self.snapshot}: the snapshot is damaged or not whole at offset \d+")

    def test_a_snapshot_that_is_missing(self):
        self.refused(lambda store: (store / self.snapshot).unlink(), rf"store/{self.snapshot}: .*missing")

    def test_pelton_up_says_it_too(self):
        if os.geteuid() != 0:
            self.skipTest("needs root: pods are made of namespaces")
        copy = self.damaged(self.flip(self.logs[-1], self.size(self.logs[-1]) // 2))
        cluster = Cluster(nodes=1, directory=copy)
        try:
            result = cluster.pelton("up", "--nodes", 1, "--data-dir", copy, check=False)
            self.assertEqual(result.returncode, 1)
            self.assertRegex(result.stderr, rf"store/{self.logs[-1]}: .* damaged at offset \d+")
            self.assertIn("Restore its directory from a copy", result.stderr)
        finally:
            cluster.stop()

    def test_a_torn_tail_is_no_damage(self):
        name = self.logs[-1]

        def tear(store):
            with open(store / name, "ab") as file:  # the beginning of a record, never acknowledged
                file.write((self.original / "store" / name).read_bytes()[:100])
        with BareServer(self.damaged(tear)) as cluster:
            found = {item["metadata"]["name"] for item in cluster.request("GET", MAPS)[1]["items"]}
            self.assertEqual(found, self.names)
            self.assertEqual(cluster.request("POST", MAPS, config_map("after"))[0], 201)
        # As after a power cut within the last write: that one record is gone, and no other.
        with BareServer(self.damaged(lambda store: os.truncate(store / name, self.size(name) - 9))) as cluster:
            found = {item["metadata"]["name"] for item in cluster.request("GET", MAPS)[1]["items"]}
            self.assertLessEqual(len(self.names - found), 1)


def content_of(store):
    return {path.name: path.read_bytes() for path in sorted(store.iterdir()) if path.name != "lock"}


if __name__ == "__main__":
    unittest.main()
