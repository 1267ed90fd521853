# SPDX-License-Identifier: Apache-2.0
"""Tests of `pelton run` as a program: real processes, signals and exit codes.

PELTON names the executable.
"""

import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
import unittest

PELTON = os.environ.get("PELTON", "build/dev/pelton")
GIVE_UP_SECONDS = 60


def command(*words):
  return [PELTON, "run", *words]


def run(*words, **variables):
  clean = {k: v for k, v in os.environ.items()
           if k not in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "JOB_COMPLETION_INDEX")}
  return subprocess.run(command(*words), env={**clean, **variables}, text=True, check=False,
                        capture_output=True, timeout=GIVE_UP_SECONDS)


class Watched:
  """A process that is not our child, held by a descriptor that tells when it ends."""

  def __init__(self, pid):
    self.descriptor = os.pidfd_open(pid)

  def has_ended(self):
    ready, _, _ = select.select([self.descriptor], [], [], GIVE_UP_SECONDS)
    os.close(self.descriptor)
    return bool(ready)


class Run(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    self.fifo = str(self.directory / "go")
    os.mkfifo(self.fifo)

  def test_each_worker_gets_its_rank_and_all_the_same_master(self):
    done = run("--standalone", "--nproc-per-node=3", "--", "sh", "-c",
               'echo "$RANK $LOCAL_RANK $WORLD_SIZE $JAX_PROCESS_ID $MASTER_ADDR $MASTER_PORT"')
    self.assertEqual(done.returncode, 0, done.stderr)
    rows = sorted(line.split() for line in done.stdout.splitlines())
    self.assertEqual([row[:5] for row in rows],
                     [[r, r, "3", r, "127.0.0.1"] for r in ("0", "1", "2")])
    self.assertEqual(len({row[5] for row in rows}), 1)

  def test_a_pod_of_a_job_knows_its_rank(self):
    done = run("--nnodes=4", "--master-addr=head", "--", "sh", "-c",
               'echo $RANK $MASTER_ADDR:$MASTER_PORT', JOB_COMPLETION_INDEX="2")
    self.assertEqual(done.stdout, "2 head:29500\n", done.stderr)

  def test_the_exit_code_is_the_first_failures(self):
    cases = {"exit 7": 7, "kill -9 $$": 137, "kill -15 $$": 143, "exit 0": 0}
    for script, code in cases.items():
      with self.subTest(script):
        self.assertEqual(run("--", "sh", "-c", script).returncode, code)

  def test_a_failure_takes_the_others_with_it(self):
    with subprocess.Popen(
        command("--standalone", "--nproc-per-node=2", "--", "sh", "-c",
                '[ $RANK = 0 ] && { echo $$; exec sleep 600; }; read -r _ <"$FIFO"; exit 5'),
        stdout=subprocess.PIPE, text=True, env={**os.environ, "FIFO": self.fifo}) as process:
      survivor = Watched(int(process.stdout.readline()))
      with open(self.fifo, "w", encoding="utf-8") as go:
        go.write("\n")
      self.assertEqual(process.wait(GIVE_UP_SECONDS), 5)
      self.assertTrue(survivor.has_ended())

  def test_a_failed_group_is_restarted_as_often_as_asked(self):
    done = run("--max-restarts=2", "--", "sh", "-c",
               'echo $TORCHELASTIC_RESTART_COUNT; [ $TORCHELASTIC_RESTART_COUNT = 2 ]')
    self.assertEqual((done.returncode, done.stdout), (0, "0\n1\n2\n"), done.stderr)
    self.assertEqual(run("--max-restarts=1", "--", "false").returncode, 1)

  def test_sigterm_reaches_the_workers_and_their_children(self):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
      with self.subTest(number.name), subprocess.Popen(
          command("--", "sh", "-c", "sh -c 'echo $$; exec sleep 600'; true"),
          stdout=subprocess.PIPE, text=True) as process:
        child = Watched(int(process.stdout.readline()))
        process.send_signal(number)
        self.assertEqual(process.wait(GIVE_UP_SECONDS), 128 + number)
        self.assertTrue(child.has_ended())

  def test_who_ignores_sigterm_is_killed_after_the_grace_period(self):
    with subprocess.Popen(
        command("--grace-seconds=1", "--", "sh", "-c",
                'trap "" TERM; echo ready; sleep 600; sleep 600'),
        stdout=subprocess.PIPE, text=True) as process:
      process.stdout.readline()
      process.send_signal(signal.SIGTERM)
      self.assertEqual(process.wait(GIVE_UP_SECONDS), 143)

  def test_workers_die_with_the_launcher(self):
    with subprocess.Popen(command("--", "sh", "-c", "echo $$; exec sleep 600"),
                          stdout=subprocess.PIPE, text=True) as process:
      worker = Watched(int(process.stdout.readline()))
      process.kill()
      process.wait(GIVE_UP_SECONDS)
      self.assertTrue(worker.has_ended())

  def test_what_is_not_there_has_a_shells_exit_code_and_a_name(self):
    done = run("--", "no-such-program")
    self.assertEqual(done.returncode, 127)
    self.assertIn("no-such-program", done.stderr)

  def test_bad_flags_are_named(self):
    done = run("--nodes", "2", "true")
    self.assertEqual(done.returncode, 2)
    self.assertIn("no flag --nodes", done.stderr)
    self.assertIn("Give --node-rank", run("--nnodes=2", "--", "true").stderr)

  def test_logs_go_where_asked(self):
    done = run("--standalone", "--nproc-per-node=2", f"--log-dir={self.directory}", "--redirects=3",
               "--", "sh", "-c", "echo out $RANK; echo err $RANK >&2")
    self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
    self.assertEqual((self.directory / "attempt_0/1/stdout.log").read_text(), "out 1\n")
    self.assertEqual((self.directory / "attempt_0/0/stderr.log").read_text(), "err 0\n")

  def test_help_has_examples(self):
    done = run("--help")
    self.assertEqual(done.returncode, 0)
    self.assertIn("pelton run --standalone --nproc-per-node 4 -- python train.py", done.stdout)


if __name__ == "__main__":
  if not os.access(PELTON, os.X_OK):
    print(f"SKIPPED: {PELTON} is not built")
    sys.exit(77)
  unittest.main()
