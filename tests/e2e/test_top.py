# SPDX-License-Identifier: Apache-2.0
"""pelton top: printed once, as JSON, and live on a terminal."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from cluster import PELTON, ClusterTest, eventually, pod

PATIENCE = 30
ENTER, LEAVE = "\x1b[?1049h", "\x1b[?1049l"


def jobset(name, workers, chips):
    container = {"name": "main", "image": "busybox", "command": ["sleep", "1000"],
                 "resources": {"requests": {"cpu": "100m"}, "limits": {"google.com/tpu": chips}}}
    template = {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                         "containers": [container]}}
    job = {"parallelism": workers, "completions": workers, "completionMode": "Indexed",
           "backoffLimit": 0, "template": template}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name},
            "spec": {"replicatedJobs": [{"name": "w", "replicas": 1, "template": {"spec": job}}]}}


class Screen:
    """`pelton top` on a terminal of its own, which a parent like a shell holds open."""

    def __init__(self, *args, rows=24, columns=100):
        self.ours, self.theirs = pty.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [PELTON, "top", *map(str, args)], stdin=self.theirs, stdout=self.theirs,
            stderr=self.theirs, env={**os.environ, "TERM": "xterm"}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.printed = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys):
        os.write(self.ours, keys.encode())

    def read(self, timeout):
        ready, _, _ = select.select([self.ours], [], [], timeout)
        if ready:
            self.printed += os.read(self.ours, 65536).decode(errors="replace")
        return bool(ready)

    def frames(self):
        """What was drawn, each a list of lines without their styles."""
        drawn = self.printed.split("\x1b[H")[1:]
        return [[re.sub(r"\r|\x1b\[[0-9;?]*[A-Za-z]", "", line) for line in frame.split("\n")]
                for frame in drawn]

    def wait_for(self, check, what):
        end = time.monotonic() + PATIENCE
        while not (self.frames() and check(self.frames()[-1])):
            if not self.read(max(0, end - time.monotonic())):
                last = self.frames()[-1] if self.frames() else []
                raise AssertionError("\n".join([f"{what} was not drawn; the last picture:", *last]))

    def end(self):
        """Its exit code; everything that it printed is in `printed`."""
        while self.process.poll() is None:
            self.read(0.05)
        while self.read(0):
            pass
        return self.process.returncode

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


class TopTest(ClusterTest):
    NODES = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(cls.cluster.stop)
        cls.cluster.apply(jobset("train", 2, 1))
        cls.cluster.apply(pod("idle", "sleep 1000"))
        cls.kubectl("create", "namespace", "shop")
        waits = pod("waits", "sleep 1000")
        waits["metadata"]["namespace"] = "shop"
        waits["spec"]["containers"][0]["resources"] = {"limits": {"google.com/tpu": "1"}}
        cls.cluster.apply(waits)
        eventually(lambda: cls.top_json()["jobSets"][0]["ready"] == 2, 60, "the JobSet")
        eventually(lambda: "google.com/tpu" in cls.top_json("-n", "shop")["pods"][0]["reason"], 30,
                   "the pod's reason")

    @classmethod
    def top(cls, *args, **options):
        return cls.cluster.pelton("top", "--data-dir", cls.cluster.directory, *args, **options)

    @classmethod
    def top_json(cls, *args):
        return json.loads(cls.top("-o", "json", *args).stdout)

    def screen(self, *args, **size):
        screen = Screen("--data-dir", self.cluster.directory, *args, **size)
        self.addCleanup(screen.close)
        return screen

    def test_json_shows_what_kubectl_shows(self):
        eventually(lambda: self.top_json()["pods"][0]["cpu"], 60, "the first measurement")
        top = self.top_json()
        self.assertEqual([(node["name"], node["ready"], node["virtualAccelerators"],
                           node["accelerators"]) for node in top["nodes"]],
                         [(f"node-{i}", True, True, {"google.com/tpu": {"used": 1, "total": 1}})
                          for i in range(2)])
        self.assertEqual(top["nodes"][0]["cpu"]["allocatable"], "4")
        jobset = top["jobSets"][0]
        self.assertEqual((jobset["name"], jobset["state"], jobset["restarts"], jobset["ready"],
                          jobset["desired"]), ("train", "Running", 0, 2, 2))
        pods = {item["metadata"]["name"]: item for item in self.cluster.get("pods")["items"]}
        self.assertEqual({row["name"]: (row["node"], row["phase"]) for row in top["pods"]},
                         {name: (item["spec"]["nodeName"], "Running") for name, item in pods.items()})
        for row in top["pods"]:
            self.assertRegex(row["memory"], r"^\d+(Ki|Mi|)$")

    def test_pods_that_wait_come_first_with_their_reason(self):
        top = self.top_json("-A")
        self.assertEqual((top["pods"][0]["name"], top["pods"][0]["status"]), ("waits", "Pending"))
        self.assertIn("google.com/tpu", top["pods"][0]["reason"])
        self.assertEqual([row["name"] for row in self.top_json("-n", "shop")["pods"]], ["waits"])

    def test_without_a_terminal_it_prints_once(self):
        for args in ((), ("--once",)):
            printed = self.top(*args).stdout
            self.assertNotIn("\x1b", printed)
            self.assertRegex(printed, r"(?m)^node-0 +Ready +google.com/tpu 1/1 \(virtual\) ")
            self.assertRegex(printed, r"(?m)^train +Running +0 +2/2 ")
            self.assertRegex(printed, r"(?m)^idle +Running +0 ")

    def test_live_it_follows_and_q_ends_it(self):
        screen = self.screen("--interval", "200ms")
        screen.wait_for(lambda lines: any(line.startswith("train ") for line in lines), "the JobSet")
        self.cluster.apply(pod("fresh", "sleep 1000"))
        screen.wait_for(lambda lines: any(re.match("fresh +Running", line) for line in lines),
                        "a new pod")
        self.kubectl("delete", "pod", "fresh", "--grace-period=1")
        screen.wait_for(lambda lines: not any("fresh" in line for line in lines), "its end")
        screen.type("q")
        self.assertEqual(screen.end(), 0)
        self.assertEqual(screen.printed.count(ENTER), 1)
        self.assertTrue(screen.printed.endswith(LEAVE), screen.printed[-50:])
        self.assertIn("\x1b[?25h", screen.printed[-50:])
        self.assertEqual(termios.tcgetattr(screen.theirs), screen.before)

    def test_lines_are_cut_to_the_width_and_a_resize_draws_anew(self):
        screen = self.screen("-A", "--interval", "1m", rows=24, columns=200)
        screen.wait_for(lambda lines: any(len(line) > 60 for line in lines), "a long line")
        screen.resize(8, 40)
        screen.wait_for(lambda lines: max(map(len, lines)) == 40, "a narrow screen")
        self.assertLessEqual(len(screen.frames()[-1]), 8)
        screen.type("q")
        self.assertEqual(screen.end(), 0)

    def test_every_signal_that_ends_it_leaves_the_terminal_as_it_was(self):
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            with self.subTest(name):
                screen = self.screen()
                screen.wait_for(lambda lines: len(lines) > 2, "a picture")
                self.assertNotEqual(termios.tcgetattr(screen.theirs), screen.before)
                screen.process.send_signal(getattr(signal, name))
                self.assertEqual(screen.end(), 0)
                self.assertTrue(screen.printed.endswith(LEAVE))
                self.assertEqual(termios.tcgetattr(screen.theirs), screen.before)

    def test_ctrl_c_ends_it_and_ctrl_z_does_not_leave_it_half_way(self):
        screen = self.screen()
        screen.wait_for(lambda lines: len(lines) > 2, "a picture")
        screen.type("\x1a\x1c\x13\x03")
        self.assertEqual(screen.end(), 0)
        self.assertEqual(termios.tcgetattr(screen.theirs), screen.before)

    def test_a_server_that_goes_away_is_told_with_the_time_and_its_return_is_seen(self):
        screen = self.screen("--interval", "200ms")
        screen.wait_for(lambda lines: any(line.startswith("train ") for line in lines), "the JobSet")
        self.cluster.kill("server")
        screen.wait_for(lambda lines: re.match(r"no answer since \d{4}-.*Z, trying again every 0.2 s",
                                               lines[1]), "the alarm")
        self.assertTrue(any(line.startswith("train ") for line in screen.frames()[-1]))
        result = self.top("--once", check=False)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stderr, r"^pelton top: .*server.log")
        self.cluster.start()
        screen.wait_for(lambda lines: not any("no answer" in line for line in lines), "its return")
        screen.type("q")
        self.assertEqual(screen.end(), 0)

    def test_mistakes_say_what_is_right(self):
        for args, code, words in (
                (("-o", "yaml"), 2, "json"), (("--interval", "fast"), 2, "500ms"),
                (("--interval", "1ms"), 2, "at least 100ms"),
                (("--data-dir", "/nonexistent"), 1, "pelton up --data-dir /nonexistent")):
            with self.subTest(args):
                result = self.cluster.pelton("top", *args, check=False)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)


if __name__ == "__main__":
    unittest.main()
