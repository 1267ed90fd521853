# SPDX-License-Identifier: Apache-2.0
"""Tests of the demo from beginning to end, against fake_cluster.py instead of a cluster."""

import fcntl
import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
FAKE = str(HERE / "fake_cluster.py")
GIVE_UP_SECONDS = 120


class TheDemo(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    self.data = self.directory / "cluster"

  def command(self, *arguments):
    return [sys.executable, "-B", str(HERE / "main.py"), "--pelton", FAKE, "--kubectl", FAKE,
            "--data-dir", str(self.data), "--kill-within", "0.3", "--logs",
            str(self.directory / "logs"), "--checkpoints", str(self.directory / "checkpoints"),
            *arguments]

  def run_demo(self, *arguments, **variables):
    return subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False,
                          timeout=GIVE_UP_SECONDS, env={**os.environ, **variables})

  def test_tells_the_story_and_leaves_nothing(self):
    done = self.run_demo(FAKE_WAITS_FOR_LOSS="yes")
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    for pattern in (r"(?m)^\$ pelton up --nodes 4 ",
                    r"(?m)^\$ kubectl apply -f examples/train-gpt/", r"(?m)^\$ kill -9 \d+    # worker \d", r"step 60 of 60: loss 2\.000",
                    r"restarts +1", r"steps redone +\d+ ", r"4 x google.com/tpu: virtual"):
      self.assertRegex(done.stdout, pattern)
    self.assertFalse(self.data.exists())
    logs = sorted(path.name for path in (self.directory / "logs").iterdir())
    self.assertEqual(len([name for name in logs if name.startswith("attempt-1-")]), 4, logs)
    self.assertIn("cluster-server.log", logs)

  def test_keep_leaves_the_cluster_up_and_the_next_demo_says_so(self):
    self.assertEqual(self.run_demo("--keep", "--no-kill").returncode, 0)
    self.assertTrue(self.data.exists())
    again = self.run_demo()
    self.assertEqual(again.returncode, 1)
    self.assertIn("pelton down --data-dir", again.stdout)
    self.assertTrue(self.data.exists())
    subprocess.run([FAKE, "down", "--data-dir", str(self.data)], check=True)

  def test_two_demos_take_turns(self):
    with open(self.directory / "checkpoints.lock", "w", encoding="utf-8") as other:
      fcntl.flock(other, fcntl.LOCK_EX)
      done = self.run_demo()
    self.assertEqual(done.returncode, 1)
    self.assertIn("another demo runs", done.stdout)
    self.assertFalse(self.data.exists())

  def test_ctrl_c_leaves_nothing(self):
    for number in (signal.SIGINT, signal.SIGTERM):
      with self.subTest(number.name), subprocess.Popen(
          self.command("--keep"), stdout=subprocess.PIPE, text=True) as demo:
        for line in demo.stdout:
          if re.search(r"step 1 of", line):
            break
        server = int((self.data / "pid").read_text())
        watched = os.pidfd_open(server)
        demo.send_signal(number)
        demo.stdout.read()
        self.assertEqual(demo.wait(GIVE_UP_SECONDS), 130)
        self.assertFalse(self.data.exists())
        self.assertTrue(select.select([watched], [], [], GIVE_UP_SECONDS)[0])
        os.close(watched)

  def test_a_job_that_does_not_end_is_a_failure(self):
    done = self.run_demo("--timeout", "0.5", "--no-kill", FAKE_WAITS_FOR_LOSS="yes")
    self.assertEqual(done.returncode, 1)
    self.assertIn("did not complete", done.stdout)
    self.assertFalse(self.data.exists())


if __name__ == "__main__":
  unittest.main()
