# SPDX-License-Identifier: Apache-2.0
"""Tests of the training example: what lost ranks and a wrong directory do to it.

Needs an interpreter that has requirements.txt installed, and PELTON_CHECKPOINT_LIBRARY or a release
build; `./dev test` sees to both.
"""

import json
import os
import pathlib
import random
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

HERE = pathlib.Path(__file__).resolve().parent
PACKAGE = str(HERE.parents[1] / "python")
sys.path.insert(0, PACKAGE)

import corpus  # noqa: E402
from pelton.checkpoint import Checkpointer  # noqa: E402

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
      Checkpointer(directory, job="train-gpt seed=99", run="another", generation=0).close()
      done = subprocess.run(
          [sys.executable, str(HERE / "train.py"), *TINY, "--checkpoint-dir", directory],
          env={**{key: value for key, value in os.environ.items() if key != "WORLD_SIZE"},
               "PYTHONPATH": PACKAGE}, capture_output=True, text=True, check=False)
      self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
      self.assertRegex(done.stdout, 'error: .*of job "train-gpt seed=99"')


class EverySampleOnce(unittest.TestCase):
  PARTS, SEQUENCES = 6, 2

  def history(self, logs):
    """Returns {step: {part: [sample]}} of the last attempt that did the step, and its rank count."""
    steps = {}
    for log in logs:  # attempts, oldest first
      of_attempt = {}
      for path in log.glob("rank-*.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
          if line.endswith("\n"):  # else its writer was killed in it
            record = json.loads(line)
            parts = of_attempt.setdefault(record["step"], {})
            for part, samples in record["parts"].items():
              self.assertNotIn(int(part), parts, f"two ranks read part {part} of {record}")
              parts[int(part)] = samples
      steps.update(of_attempt)
    return steps

  def test_through_a_kill_a_shrink_and_a_growth(self):
    seed = random.randrange(1000)
    print(f"seed {seed}")
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as directory:
      common = ["--microbatches", str(self.PARTS), "--checkpoint-dir", f"{directory}/checkpoints",
                "--checkpoint-every", "7", "--seed", str(seed)]
      logs = []
      for attempt, (ranks, kill_at) in enumerate([(3, 20), (3, 45), (2, 70), (4, None)]):
        logs.append(pathlib.Path(directory, f"log-{attempt}"))
        world = World(*common, "--log-samples", str(logs[-1]), ranks=ranks)
        if kill_at is None:
          self.assertEqual(world.finish(), [0] * ranks, world.text(0))
        else:
          world.wait_for(0, f"step={kill_at + chance.randrange(10)} ")
          world.processes[chance.randrange(ranks)].send_signal(signal.SIGKILL)
          world.stop()  # the others too, as a launcher does, wherever they are
        self.assertRegex(world.text(0), r"(?m)^resume: step=[1-9]" if attempt else "^start: step=0")
      steps = self.history(logs)
      text, _ = corpus.load_corpus()
      self.assertEqual(sorted(steps), list(range(1, 101)))
      read = []
      for step in range(1, 101):
        self.assertEqual(sorted(steps[step]), list(range(self.PARTS)), f"step {step}")
        read += [sample for part in range(self.PARTS) for sample in steps[step][part]]
      self.assertEqual(len(set(read)), len(read), "a sample was read twice")
      self.assertEqual(read, corpus.samples_at(  # in the order of a run that nothing happened to
          text, seed=seed, position=0, count=100 * self.PARTS * self.SEQUENCES, length=16))

  def test_an_epoch_is_every_sample_once_and_the_next_one_in_another_order(self):
    text = np.zeros(8 * 100 + 5, np.uint8)
    epochs = [corpus.samples_at(text, seed=3, position=at, count=100, length=8) for at in (0, 100)]
    for epoch in epochs:
      self.assertEqual(sorted(epoch), list(range(100)))
    self.assertNotEqual(*epochs)
    self.assertEqual(corpus.samples_at(text, seed=3, position=90, count=20, length=8),
                     epochs[0][90:] + epochs[1][:10])
    self.assertEqual(corpus.read(np.arange(33, dtype=np.uint8), [3, 0], 8).tolist(),
                     [list(range(24, 33)), list(range(9))])


GRADIENTS = """
import jax, numpy as np, model, train
shape = model.Shape(layers=1, width=32, heads=2, context=16, sequences_per_rank=2)
parameters = model.initial_parameters(shape, 0)
for parts, world in ((6, 3), (6, 2), (6, 4), (4, 4), (4, 3)):
  text = np.random.default_rng(1).integers(0, 256, (parts, 2, 17)).astype(np.int32)
  dealt = [part for rank in range(world) for part in train.microbatches_of(rank, world, parts)]
  indices, weights = (np.array(column) for column in zip(*dealt))
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:world]), ("rank",))
  step = train.build_step(shape, mesh, parts)
  zeros = np.zeros_like(parameters)
  _, mean, _, loss = step(parameters, zeros, zeros, text[indices], indices.astype(np.int32),
                          weights.astype(np.float32), np.array([0, 5], np.uint32),
                          np.float32(1e-3), np.float32(9))
  gradient = np.asarray(mean, np.float64)  # Adam's first mean is a tenth of it
  first = gradient if (parts, world) in ((6, 3), (4, 4)) else first
  print(parts, world, np.linalg.norm(gradient - first) / np.linalg.norm(first))
"""


class Resizing(unittest.TestCase):
  def test_the_gradient_is_the_same_on_any_number_of_ranks(self):
    done = subprocess.run(
        [sys.executable, "-c", GRADIENTS], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": f"{PACKAGE}:{HERE}", "JAX_PLATFORMS": "cpu",
             "XLA_FLAGS": "--xla_force_host_platform_device_count=4"
                          " --xla_cpu_use_fusion_emitters=false"
                          " --xla_llvm_disable_expensive_passes=true"})
    differences = [float(line.split()[2]) for line in done.stdout.splitlines()]
    self.assertEqual(len(differences), 5)
    self.assertLess(max(differences), 1e-5, done.stdout)

  def test_four_ranks_become_three_and_a_hundred_steps_later_the_loss_is_the_same(self):
    common = ["--steps", "125", "--microbatches", "4", "--layers", "1"]
    with tempfile.TemporaryDirectory() as directory:
      cut = World(*common, "--checkpoint-dir", f"{directory}/4", ranks=4)
      cut.wait_for(0, "checkpoint: step=10 ")
      cut.processes[3].send_signal(signal.SIGKILL)
      cut.stop()
      shutil.copytree(f"{directory}/4", f"{directory}/3")
      steps, losses = {}, {}
      for ranks in (4, 3):  # from the same step on
        logs = pathlib.Path(directory, f"log-{ranks}")
        world = World(*common, "--checkpoint-dir", f"{directory}/{ranks}", "--log-samples", str(logs),
                      ranks=ranks)
        self.assertEqual(world.finish(), [0] * ranks, world.text(0))
        steps[ranks], losses[ranks] = EverySampleOnce.history(self, [logs]), world.losses()
      first = min(steps[4])
      self.assertTrue(1 < first <= 26, first)
      self.assertEqual(sorted(steps[3]), list(range(first, 126)))
      self.assertEqual(steps[3], steps[4])  # {step: {part: samples}}
      self.assertAlmostEqual(losses[3][first], losses[4][first], delta=2e-4)
      smoothed = [np.mean([of[step] for step in range(116, 126)]) for of in losses.values()]
      self.assertLess(abs(smoothed[1] / smoothed[0] - 1), 0.01, smoothed)


if __name__ == "__main__":
  unittest.main()
