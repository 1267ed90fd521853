# SPDX-License-Identifier: Apache-2.0
"""The recipes under `pelton run`: a rank that is killed at a random step changes no bit of the result,
and where a recipe can go on with more or fewer ranks, these see the same losses.

    test_recipes.py NAME…    recipes of this interpreter's environment; PELTON names the executable
"""

import os
import pathlib
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPES = ROOT / "examples/recipes"
STEPS, EVERY = 12, 3
RANKS = {"jax-fsdp": 4}  # of others: 2
RESIZED = {"jax-fsdp": 3, "torch-fsdp": 3}
GIVE_UP_SECONDS = 280


class Job:
  """A recipe under `pelton run`, and what it prints."""

  def __init__(self, recipe, directory, errors, ranks, steps=STEPS):
    self.errors = open(errors, "w+b")  # pylint: disable=consider-using-with
    self.process = subprocess.Popen(
        [os.environ["PELTON"], "run", "--standalone", f"--nproc-per-node={ranks}", "--max-restarts=3",
         "--", sys.executable, "-W", "ignore", str(RECIPES / recipe / "train.py"), f"--steps={steps}",
         f"--checkpoint-every={EVERY}", f"--checkpoint-dir={directory}"],
        stdout=subprocess.PIPE, stderr=self.errors, bufsize=0)
    self.ranks, self.text, self.end = ranks, "", time.monotonic() + GIVE_UP_SECONDS

  def wait_for(self, pattern):
    """Reads until what was printed matches; returns all matches."""
    while not re.search(pattern, self.text):
      ready, _, _ = select.select([self.process.stdout], [], [], self.end - time.monotonic())
      data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
      if not data:
        raise AssertionError(f"{pattern!r} was not printed: {self.text}\n{self.said()}")
      self.text += data.decode()
    return re.findall(pattern, self.text)

  def said(self):
    self.errors.seek(0)
    return self.errors.read().decode(errors="replace")[-4000:]

  def finish(self):
    """Returns the parameters' hash, which all ranks have to agree about."""
    one = r"parameters_sha256=([0-9a-f]{64})"  # not to the end of the line: lines of ranks may mix
    self.wait_for("(?s)" + f".*{one}" * self.ranks)
    hashes = re.findall(one, self.text)
    assert self.process.wait(60) == 0, self.said()
    assert len(set(hashes)) == 1, self.text
    return hashes[0]

  def losses(self):
    return {int(step): float(loss) for step, loss in re.findall(r"step=(\d+) loss=([\d.]+)", self.text)}

  def close(self):
    if self.process.poll() is None:
      self.process.terminate()  # it ends its ranks
      self.process.wait(60)
    self.process.stdout.close()
    self.errors.close()


class Recipe(unittest.TestCase):
  name = ""

  def run_job(self, directory, **more):
    job = Job(self.name, self.here / directory, self.here / f"{directory}.err",
              **{"ranks": self.ranks, **more})
    self.addCleanup(job.close)
    return job

  def runTest(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.here = pathlib.Path(temporary.name)
    self.ranks = RANKS.get(self.name, 2)
    seed = random.randrange(1000)
    chance = random.Random(seed)
    print(f"{self.name}: seed {seed}", flush=True)
    undisturbed = self.run_job("whole")
    whole = undisturbed.finish()
    job = self.run_job("killed")
    rank, step = chance.randrange(self.ranks), chance.randrange(EVERY + 2, STEPS - 1)
    job.wait_for(rf"step={step} ")
    pid = dict(job.wait_for(r"rank=(\d+) pid=(\d+)"))[str(rank)]
    os.kill(int(pid), signal.SIGKILL)
    self.assertEqual(job.finish(), whole, f"rank {rank} was killed in step {step + 1}")
    begun = [int(at) for at in re.findall(r"resume: step=(\d+)", job.text)]
    self.assertEqual(begun[0], 0)
    self.assertGreaterEqual(begun[-1], EVERY, "it did not go on from a checkpoint")
    self.assertEqual(len(begun), 2, job.text)
    if self.name in RESIZED:
      self.run_job("resized", steps=2 * EVERY).finish()
      job = self.run_job("resized", ranks=RESIZED[self.name])
      job.finish()
      losses = job.losses()
      self.assertEqual(sorted(losses), list(range(2 * EVERY + 1, STEPS + 1)), job.text)
      for step, loss in losses.items():
        self.assertAlmostEqual(loss, undisturbed.losses()[step], delta=1e-3 * loss, msg=f"step {step}")


if __name__ == "__main__":
  suite = unittest.TestSuite(type(name, (Recipe,), {"name": name})() for name in sys.argv[1:])
  sys.exit(not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful())
