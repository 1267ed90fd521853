# SPDX-License-Identifier: Apache-2.0
"""Tests of the training example: what a lost rank, a damaged file or a wrong directory does to it.

Needs an interpreter that has requirements.txt installed; `./dev test` runs it with one.
"""

import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

import numpy as np

import checkpoint
import corpus

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = str(HERE.parents[1] / "python")
RANKS = 3  # the sum of two numbers has no order: two ranks would hide an order that changes
TINY = ["--layers", "2", "--width", "32", "--heads", "2", "--context", "16",
        "--sequences-per-rank", "2", "--steps", "100", "--checkpoint-every", "10"]
GIVE_UP_SECONDS = 240


class World:
  """A world of rank processes on this machine, with every line they print."""

  def __init__(self, *arguments, ranks=RANKS):
    self.ranks = ranks
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      port = probe.getsockname()[1]
    self.lines = [[] for _ in range(ranks)]
    self.changed = threading.Condition()
    self.processes = []
    for rank in range(ranks):
      environment = {**os.environ, "PYTHONPATH": PACKAGE, "RANK": str(rank), "WORLD_SIZE": str(ranks),
                     "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
      self.processes.append(subprocess.Popen(
          [sys.executable, "-u", str(HERE / "train.py"), *TINY, *arguments], env=environment,
          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
    self.readers = [threading.Thread(target=self.read, args=(rank,)) for rank in range(ranks)]
    for reader in self.readers:
      reader.start()

  def read(self, rank):
    for line in self.processes[rank].stdout:
      with self.changed:
        self.lines[rank].append(line.rstrip("\n"))
        self.changed.notify_all()

  def wait_for(self, rank, pattern):
    """Waits until `rank` has printed a line that starts with a match of `pattern`."""
    with self.changed:
      if not self.changed.wait_for(
          lambda: any(re.match(pattern, line) for line in self.lines[rank]), GIVE_UP_SECONDS):
        raise AssertionError(f"rank {rank} never printed {pattern!r}:\n" + self.text(rank))

  def text(self, rank):
    return "\n".join(self.lines[rank])

  def finish(self):
    """Returns the exit codes once every process is gone."""
    try:
      codes = [process.wait(GIVE_UP_SECONDS) for process in self.processes]
    finally:
      self.stop()
    return codes

  def stop(self):
    for process in self.processes:
      if process.poll() is None:
        process.kill()
        process.wait()
    for reader in self.readers:
      reader.join()
    for process in self.processes:
      process.stdout.close()

  def hashes(self):
    return [re.search(r"parameters_sha256=(\w+)", self.text(rank)).group(1)
            for rank in range(self.ranks)]

  def losses(self):
    return {int(step): float(loss)
            for step, loss in re.findall(r"(?m)^step=(\d+) loss=([\d.]+)", self.text(0))}


class TrainingSurvivesALostRank(unittest.TestCase):
  def test_interrupted_and_uninterrupted_runs_end_in_the_same_parameters(self):
    with tempfile.TemporaryDirectory() as directory:
      whole = World("--checkpoint-dir", f"{directory}/whole")
      self.assertEqual(whole.finish(), [0] * RANKS, whole.text(0))
      self.assertEqual(len(set(whole.hashes())), 1, "the ranks ended apart")
      self.assertIn(f"agreement: ranks={RANKS} equal=yes", whole.lines[0])

      cut = World("--checkpoint-dir", f"{directory}/cut")
      cut.wait_for(0, "checkpoint: step=10 ")
      cut.processes[2].send_signal(signal.SIGKILL)
      codes = cut.finish()  # the survivors must leave by themselves, not hang in the all-reduce
      self.assertTrue(all(code != 0 for code in codes), codes)

      shutil.copytree(f"{directory}/cut", f"{directory}/fewer")
      # Three parts of a batch for two ranks: one computes a part that counts for nothing.
      fewer = World("--checkpoint-dir", f"{directory}/fewer", "--microbatches", str(RANKS), ranks=2)
      self.assertEqual(fewer.finish(), [0, 0], fewer.text(0))
      whole_losses, losses = whole.losses(), fewer.losses()
      self.assertGreater(len(losses), 50, fewer.text(0))
      first = min(losses)
      self.assertAlmostEqual(losses[first], whole_losses[first], delta=2e-4)
      for step, loss in losses.items():
        self.assertAlmostEqual(loss, whole_losses[step], delta=0.01 * loss, msg=f"step {step}")

      kept = sorted(pathlib.Path(directory, "cut").glob("*.rank-0.bin"))
      kept[0].write_bytes(b"not a program")
      resumed = World("--checkpoint-dir", f"{directory}/cut")
      self.assertEqual(resumed.finish(), [0] * RANKS, resumed.text(0))
      for rank in range(RANKS):
        self.assertRegex(resumed.text(rank), rf"(?m)^resume: step=[1-9]0 rank={rank} ")
      self.assertIn("rank 0: the step was compiled", resumed.text(0))  # its own was damaged
      self.assertIn("rank 1: the step was loaded", resumed.text(1))
      self.assertEqual(set(resumed.hashes()), set(whole.hashes()))

  def test_another_runs_checkpoints_are_refused(self):
    with tempfile.TemporaryDirectory() as directory:
      checkpoint.save(directory, 5, {"seed": 99}, [np.zeros(3)])
      done = subprocess.run(
          [sys.executable, str(HERE / "train.py"), *TINY, "--checkpoint-dir", directory],
          env={key: value for key, value in os.environ.items() if key != "WORLD_SIZE"},
          capture_output=True, text=True, check=False)
      self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
      self.assertRegex(done.stdout, "belongs to another run: .*seed.* differ")


class CheckpointFiles(unittest.TestCase):
  RUN = {"seed": 0, "world": 4}

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    self.warnings = []

  def save(self, step):
    checkpoint.save(self.directory, step, self.RUN, [np.full(4, step, np.float32), np.arange(2.0)])

  def newest(self):
    return checkpoint.load_newest(self.directory, self.RUN, warn=self.warnings.append)

  def test_what_was_saved_comes_back_bit_for_bit(self):
    values = np.array([0.1, -0.0, np.inf, 1e-45], np.float32)
    checkpoint.save(self.directory, 7, self.RUN, [values, np.array([1.5])])
    step, arrays = self.newest()
    self.assertEqual(step, 7)
    self.assertEqual(arrays[0].tobytes(), values.tobytes())
    self.assertEqual([len(a) for a in arrays], [4, 1])

  def test_a_damaged_file_is_passed_over_for_the_one_before(self):
    self.save(5)
    self.save(10)
    good = checkpoint.path_of(self.directory, 10).read_bytes()
    damages = {"a flipped bit": good[:-1] + bytes([good[-1] ^ 1]), "a short file": good[:-4],
               "zeros": bytes(len(good)), "nothing": b"", "JSON of another kind": b"[1]\n"}
    for name, damage in damages.items():
      with self.subTest(name):
        checkpoint.path_of(self.directory, 10).write_bytes(damage)
        self.warnings.clear()
        self.assertEqual(self.newest()[0], 5)
        self.assertEqual(len(self.warnings), 1)

  def test_an_interrupted_writer_leaves_no_checkpoint_and_no_litter(self):
    self.save(5)
    (self.directory / ".step-00000010.999.tmp").write_bytes(b"half")
    self.assertEqual(self.newest()[0], 5)
    self.save(15)
    self.assertEqual([p.name for p in sorted(self.directory.iterdir())],
                     ["step-00000005.ckpt", "step-00000015.ckpt"])

  def test_only_the_newest_few_are_kept(self):
    for step in range(1, 6):
      self.save(step)
    self.assertEqual(len(list(self.directory.iterdir())), checkpoint.KEPT)
    self.assertEqual(self.newest()[0], 5)

  def test_nothing_there_is_no_checkpoint(self):
    self.assertIsNone(self.newest())


class Batches(unittest.TestCase):
  def test_a_batch_depends_on_seed_step_and_part_alone(self):
    text = np.arange(4096, dtype=np.uint32).astype(np.uint8)
    sizes = {"sequences": 3, "length": 8}
    first = corpus.batch_for(text, seed=1, step=2, part=3, **sizes)
    np.testing.assert_array_equal(first, corpus.batch_for(text, seed=1, step=2, part=3, **sizes))
    for other in ({"seed": 2}, {"step": 3}, {"part": 2}):
      changed = corpus.batch_for(text, **{"seed": 1, "step": 2, "part": 3, **other}, **sizes)
      self.assertFalse(np.array_equal(first, changed), other)


if __name__ == "__main__":
  unittest.main()
