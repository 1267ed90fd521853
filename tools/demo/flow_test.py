# SPDX-License-Identifier: Apache-2.0
"""Tests of the demo from beginning to end, against fake_cluster.py instead of a cluster."""

import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import struct
import sys
import tempfile
import termios
import threading
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
    done = self.run_demo(FAKE_WAITS_FOR_LOSS="1")
    self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
    for pattern in (r"(?m)^\$ pelton up --nodes 4 ",
                    r"(?m)^\$ kubectl apply -f examples/train-gpt/",
                    r"(?m)^\$ kill -9 \d+    # worker \d", r"step 60 of 60: loss 2\.000",
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

  def in_terminal(self, presses, *arguments, **variables):
    """Runs the demo in a terminal of its own. `presses` are (text, key): each key is pressed once
    the text before it has been shown after the last press. Returns (exit code, all that was shown,
    whether the terminal was left as it was)."""
    pid, terminal = pty.fork()
    if pid == 0:
      fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
      os.execvpe(sys.executable, self.command(*arguments),
                 {**os.environ, "TERM": "xterm", **variables})
    before = termios.tcgetattr(terminal)
    shown, seen, presses = "", 0, list(presses)
    give_up = threading.Timer(GIVE_UP_SECONDS, os.kill, (pid, signal.SIGTERM))
    give_up.start()
    self.addCleanup(give_up.cancel)
    while True:
      try:
        shown += os.read(terminal, 65536).decode(errors="replace")
      except OSError:  # the demo has ended
        break
      while presses and (at := shown.find(presses[0][0], seen)) >= 0:
        seen = at + len(presses[0][0])
        os.write(terminal, presses.pop(0)[1].encode())
    # Its end of the terminal is closed with the process, and this one has the settings still.
    is_as_before = termios.tcgetattr(terminal) == before
    os.close(terminal)
    give_up.cancel()
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    self.assertEqual(presses, [], shown[-3000:])
    return code, shown, is_as_before

  def test_keys_kill_a_worker_and_a_node_and_the_job_ends_all_the_same(self):
    code, shown, is_as_before = self.in_terminal(
        [("step 29 of 60", "w"), ("restarts 1 of 5", "n")], "--no-kill", FAKE_WAITS_FOR_LOSS="2")
    self.assertEqual(code, 0, shown[-3000:])
    for pattern in (r"kills a worker", r"\$ kill -9 \d+    # worker \d, in pod",
                    r"\$ kill -9 \d+ \d+ \d+.*    # all of node-(\d)", r"NotReady: node-\d",
                    r"\$ pelton up --data-dir \S+    # power is back on node-\d",
                    r"killed +1 worker, 1 node", r"restarts +2\r?\n"):
      self.assertRegex(shown, pattern)
    self.assertTrue(is_as_before)
    self.assertFalse(self.data.exists())

  def test_q_ends_it_with_a_summary_and_leaves_nothing(self):
    code, shown, is_as_before = self.in_terminal([("step 29 of 60", "q")], "--no-kill",
                                                 FAKE_WAITS_FOR_LOSS="1")
    self.assertEqual(code, 130, shown[-3000:])
    self.assertRegex(shown, r"outcome +not finished")
    self.assertIn("ended by key", shown)
    self.assertTrue(is_as_before)
    self.assertFalse(self.data.exists())

  def test_a_job_that_does_not_end_is_a_failure(self):
    done = self.run_demo("--timeout", "0.5", "--no-kill", FAKE_WAITS_FOR_LOSS="1")
    self.assertEqual(done.returncode, 1)
    self.assertIn("did not complete", done.stdout)
    self.assertFalse(self.data.exists())


if __name__ == "__main__":
  unittest.main()
