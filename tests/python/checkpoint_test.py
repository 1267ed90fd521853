# SPDX-License-Identifier: Apache-2.0
"""Checkpoints by real processes that are killed, and directories that are not as they should be.

Run in an environment with numpy and JAX; PELTON_CHECKPOINT_LIBRARY names the library.
"""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from pelton import checkpoint  # noqa: E402  (found by the line above)

SHAPES = {"w": (301, 517), "b": (7,), "big": (3 << 18, 2)}


def state_of(step):
  """Every byte follows from the step."""
  rng = np.random.default_rng(step)
  state = {name: rng.random(shape, np.float32) for name, shape in SHAPES.items()}
  return {"params": state, "moments": [state["w"] * 2, (state["b"] + 1,)], "step": step}


def same(a, b):
  """Whether two states are equal to the bit."""
  if isinstance(a, dict):
    return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
  if isinstance(a, (list, tuple)):
    return len(a) == len(b) and all(map(same, a, b))
  return np.array_equal(a, b) and np.asarray(a).dtype == np.asarray(b).dtype


def worker(directory):
  """A rank: restores, checks, says so, and saves a step after the other until it is killed."""
  checkpointer = checkpoint.Checkpointer(directory)
  step = 0
  if found := checkpointer.restore(state_of(0)):
    state, extra = found
    step = int(state["step"])
    assert same(state, state_of(step)), f"step {step} was loaded wrong"
    assert extra["position"] == step
  print(f"restored {step}", flush=True)
  while True:
    step += 1
    state = state_of(step)
    checkpointer.save(step, state, extra={"position": step})
    for leaf in state["params"].values():
      leaf.fill(-1)  # the next step overwrites what was saved
    print(f"newest {checkpointer.newest()}", flush=True)


class KilledJobs(unittest.TestCase):

  def attempt(self, directory, generation, ranks, seconds):
    """Runs a job until it is killed. Returns the step it restored and the newest it saw committed."""
    env = dict(os.environ, WORLD_SIZE=str(ranks), PELTON_JOB_UID="job",
               PELTON_GENERATION=str(generation), JAX_PLATFORMS="cpu")
    jobs = [subprocess.Popen([sys.executable, "-B", __file__, "worker", directory],
                             env=dict(env, RANK=str(rank)), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True) for rank in range(ranks)]
    restored = [job.stdout.readline() for job in jobs]
    try:
      for job in random.sample(jobs, len(jobs)):
        try:
          job.wait(seconds)
          self.fail(f"a rank ended: {job.stderr.read()}")
        except subprocess.TimeoutExpired:
          job.send_signal(signal.SIGKILL)
          seconds = random.random() * 0.1
    finally:
      for job in jobs:
        job.kill()
    newest = 0
    for job in jobs:
      lines = job.communicate()[0].splitlines()
      newest = max([newest] + [int(line.split()[1]) for line in lines
                               if line.startswith("newest ") and line != "newest None"])
    self.assertEqual(len(set(restored)), 1, f"ranks restored different steps: {restored}")
    self.assertTrue(restored[0].startswith("restored "), restored)
    return int(restored[0].split()[1]), newest

  def test_every_rank_restores_what_was_committed_on_any_number_of_ranks(self):
    random.seed(5)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as directory:
      newest = 0
      for generation, ranks in enumerate([4, 4, 3, 2, 4, 1], start=1):
        restored, seen = self.attempt(directory, generation, ranks, 0.3 + random.random())
        self.assertGreaterEqual(restored, newest, "a committed step was lost")
        newest = max(restored, seen)
      self.assertGreater(newest, 5)
      # Who was ahead of its peers has left steps that nobody committed: after the next commit they
      # are removed.
      with checkpoint.Checkpointer(directory, job="job", run="job", generation=7, rank=0,
                                   world_size=1) as last:
        last.restore(state_of(0))
        last.save(newest + 10_000, state_of(newest + 10_000))
        last.wait()
        end = time.monotonic() + 30
        while len(steps := [name for name in os.listdir(directory) if name.startswith("step-")]) > 2:
          self.assertLess(time.monotonic(), end, f"old steps stay: {steps}")
          time.sleep(0.01)


class OneProcess(unittest.TestCase):

  def setUp(self):
    self.temporary = tempfile.TemporaryDirectory()
    self.addCleanup(self.temporary.cleanup)
    self.directory = self.temporary.name + "/checkpoints"

  def saved(self, *steps):
    with checkpoint.Checkpointer(self.directory, job="job") as checkpointer:
      for step in steps:
        checkpointer.save(step, state_of(step), extra={"position": step})
        checkpointer.wait()
      self.assertEqual(checkpointer.newest(), steps[-1])

  def files(self, pattern):
    return sorted(pathlib.Path(self.directory).glob(pattern))

  def flip(self, path):
    data = bytearray(path.read_bytes())
    data[random.randrange(min(len(data), 100_000))] ^= 4
    path.write_bytes(data)

  def restored(self):
    with checkpoint.Checkpointer(self.directory, job="job") as checkpointer:
      state, extra = checkpointer.restore(state_of(0))
      self.assertTrue(same(state, state_of(extra["position"])))
      return extra["position"], checkpointer.restored["passedOver"]

  def test_a_flipped_bit_is_never_loaded_and_the_one_before_is_taken(self):
    for pattern in ("step-*20-*/*.data", "step-*20-*/*.manifest"):
      with self.subTest(pattern):
        self.saved(10, 20)
        self.flip(self.files(pattern)[-1])
        step, passed_over = self.restored()
        self.assertEqual(step, 10)
        self.assertIn(self.directory, passed_over[0])
        self.assertEqual(self.restored(), (10, []), "it is not tried again")

  def test_where_nothing_is_intact_that_is_an_error(self):
    self.saved(10)
    self.flip(self.files("step-*/*.data")[0])
    with self.assertRaisesRegex(checkpoint.Damaged, "no checkpoint there is intact.*w00000.data"):
      self.restored()

  def test_several_ranks_do_not_fall_alone(self):
    self.saved(10, 20)
    self.flip(self.files("step-*20-*/*.data")[0])
    attempt = {"job": "job", "run": "r", "rank": 0, "world_size": 2}
    with checkpoint.Checkpointer(self.directory, generation=1, **attempt) as first:
      with self.assertRaisesRegex(checkpoint.Damaged, "start the job's ranks again"):
        first.restore(state_of(0))
    with checkpoint.Checkpointer(self.directory, generation=2, **attempt) as second:
      self.assertEqual(second.restore(state_of(0))[1], {"position": 10})

  def test_another_job_is_refused_and_its_checkpoints_stay(self):
    self.saved(10)
    with self.assertRaisesRegex(checkpoint.Refused, 'of job "job", and this is job "other"'):
      checkpoint.Checkpointer(self.directory, job="other")
    self.assertEqual(self.restored()[0], 10)

  def test_an_attempt_that_was_followed_commits_nothing(self):
    old = checkpoint.Checkpointer(self.directory, job="job")
    self.saved(10)
    old.save(20, state_of(20))
    with self.assertRaisesRegex(checkpoint.Refused, "is not committed"):
      old.wait()
    self.assertEqual(self.restored()[0], 10)
    old.close()

  def test_a_newer_format_is_named(self):
    self.saved(10)
    record = self.files("log/*.record")[-1]
    # A record of the format's next version, with the checksum that belongs to it.
    record.write_bytes(pathlib.Path(__file__).with_name("newer_record.txt").read_bytes())
    with self.assertRaisesRegex(checkpoint.Refused, f"{record}.*written in format 2.*newer pelton"):
      self.restored()

  def test_a_directory_that_cannot_be_is_named(self):
    pathlib.Path(self.directory).write_text("a file")
    with self.assertRaisesRegex(ValueError, self.directory):
      checkpoint.Checkpointer(self.directory + "/below")
    with self.assertRaisesRegex(checkpoint.Failed, "/proc/checkpoints"):
      checkpoint.Checkpointer("/proc/checkpoints")

  def test_a_state_that_the_slices_cannot_form_is_named(self):
    self.saved(10)
    with checkpoint.Checkpointer(self.directory, job="job") as checkpointer:
      template = state_of(0)
      template["params"]["w"] = np.zeros((517, 301), np.float32)
      with self.assertRaisesRegex(ValueError, r"tensor params/w: .*step 10 has float32\[301, 517\]"):
        checkpointer.restore(template)
      with self.assertRaisesRegex(ValueError, "tensor other: the checkpoint has no tensor"):
        checkpointer.restore({"other": np.zeros(3)})

  def test_ranks_that_do_not_know_their_attempt_are_told(self):
    with self.assertRaisesRegex(ValueError, "run= and generation="):
      checkpoint.Checkpointer(self.directory, rank=0, world_size=2)

  @unittest.skipUnless("PELTON" in os.environ, "PELTON does not name the executable")
  def test_the_executable_has_the_library_with_it(self):
    path = subprocess.run([os.environ["PELTON"], "python-path", "--directory", self.temporary.name],
                          capture_output=True, text=True, check=True).stdout.strip()
    env = {**os.environ, "PYTHONPATH": path}
    del env["PELTON_CHECKPOINT_LIBRARY"]
    code = ("import sys, numpy; from pelton.checkpoint import Checkpointer as C; c = C(sys.argv[1]);"
            "c.save(3, {'a': numpy.ones(5)}); c.wait(); print(sys.modules[C.__module__].__file__, c.newest())")
    done = subprocess.run([sys.executable, "-c", code, self.directory], env=env, capture_output=True,
                          text=True, check=True, cwd="/")
    self.assertEqual(done.stdout, f"{path}/pelton/checkpoint/__init__.py 3\n")

  def test_jax_arrays_come_back_as_they_were(self):
    import jax
    import jax.numpy as jnp
    state = {"w": jnp.arange(12, dtype=jnp.bfloat16).reshape(3, 4), "n": jnp.int32(7), "none": None}
    with checkpoint.Checkpointer(self.directory) as checkpointer:
      checkpointer.save(1, state)
      checkpointer.wait()
      back, extra = checkpointer.restore(jax.tree.map(jnp.zeros_like, state))
    self.assertIsNone(extra)
    self.assertTrue(jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), state, back)))
    self.assertEqual(back["w"].dtype, jnp.bfloat16)

  def test_parts_of_a_tensor_are_saved_and_read_as_slices(self):
    whole = np.arange(40.0).reshape(8, 5)
    attempt = {"run": "r", "generation": 1, "world_size": 2}
    ranks = [checkpoint.Checkpointer(self.directory, rank=rank, **attempt) for rank in range(2)]
    for rank, each in enumerate(ranks):
      part = whole[:, :2] if rank == 0 else whole[:, 2:]
      each.save(1, {"w": checkpoint.Slice(part, (8, 5), (0, 2 * rank))}, extra=rank)
      each.wait()
    self.assertEqual(json.loads(json.dumps(ranks[0].newest())), 1)
    template = {"w": checkpoint.Slice(np.zeros((3, 5)), (8, 5), (4, 0))}
    state, extra = ranks[1].restore(template)
    self.assertEqual(extra, 1)
    np.testing.assert_array_equal(state["w"].array, whole[4:7])
    for each in ranks:
      each.close()


if __name__ == "__main__":
  if sys.argv[1:2] == ["worker"]:
    worker(sys.argv[2])
  else:
    unittest.main()
