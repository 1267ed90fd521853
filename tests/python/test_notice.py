# SPDX-License-Identifier: Apache-2.0
"""A save before a node goes: real ranks, in step by files, that are told at different moments.

Run in an environment with numpy; PELTON_CHECKPOINT_LIBRARY names the library, PELTON the executable.
"""

import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PACKAGE = pathlib.Path(__file__).resolve().parents[2] / "python"
sys.path.insert(0, str(PACKAGE))
from pages import FAR, GIVE_UP_SECONDS, Page, wait_for  # noqa: E402  (they lie beside this file)


def worker(directory):
  """Trains in step with its peers; saves every 1000th step, and when it is asked to: in a directory,
  where there is no memory."""
  import numpy as np  # pylint: disable=import-outside-toplevel
  import pelton  # pylint: disable=import-outside-toplevel
  from pelton import checkpoint  # pylint: disable=import-outside-toplevel
  here = pathlib.Path(directory)
  rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
  pelton.step(0)
  where = None if "PELTON_MEMORY_DIR" in os.environ else here / "checkpoints"
  checkpointer = checkpoint.Checkpointer(where, every=1000)
  state = {"step": np.zeros((world, 1000)), "last": 0}
  step = 0
  if found := checkpointer.restore(state):
    state, extra = found
    step = int(state["last"])
    assert (state["step"] == step).all() and extra == step, (step, state)
  (here / f"restored-{rank}").write_text(str(step))
  at = np.memmap(here / "at", np.int64, "r+", shape=(world,))
  while not (here / "finish").exists():
    step += 1
    pelton.step(step)
    at[rank] = step
    while at.min() < step:  # as a collective does
      time.sleep(0.001)
      if (here / "finish").exists():
        return
    state["step"][:] = step
    state["last"] = step
    if checkpointer.save(step, state, extra=step):
      with open(here / f"saved-{rank}", "a", encoding="utf-8") as file:
        file.write(f"{step}\n")
    if (here / "slow").exists():
      time.sleep(0.2)


class Notices(unittest.TestCase):
  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.here = pathlib.Path(temporary.name)

  def saved(self, rank):
    try:
      return [int(line) for line in (self.here / f"saved-{rank}").read_text().split()]
    except FileNotFoundError:
      return []

  def begin(self, world, **environment):
    """Starts the ranks; self.pages are theirs."""
    (self.here / "at").write_bytes(bytes(8 * world))
    self.pages, processes = [], []
    for rank in range(world):
      self.pages.append(Page(self.here / f"page-{rank}", rank))
      env = {**os.environ, "RANK": str(rank), "WORLD_SIZE": str(world), "PELTON_JOB_UID": "job",
             "PELTON_GENERATION": "1", "PELTON_HEARTBEAT": str(self.pages[-1].path), **environment}
      processes.append(subprocess.Popen([sys.executable, "-B", __file__, "worker", self.here],
                                        env=env))
      self.addCleanup(processes[-1].wait)
      self.addCleanup(processes[-1].kill)
    return processes

  def all_look(self):
    wait_for(lambda: all(page.answer() == 1 for page in self.pages), "that all look")

  def test_that_all_save_one_step_whenever_each_hears_of_it(self):
    rng = random.Random(3)
    world, seen = 4, []
    self.begin(world)
    self.all_look()
    for turn in range(6):
      for rank in rng.sample(range(world), world):
        self.pages[rank].ask_to_save(FAR + turn, 0)
        time.sleep(rng.random() * 0.03)  # the moment is the point
      self.assertEqual(self.saved(0), seen, "nobody proposes before all have been told")
      for rank in rng.sample(range(world), world):
        self.pages[rank].ask_to_save(FAR + turn)
        time.sleep(rng.random() * 0.01)
      wait_for(lambda: all(len(self.saved(r)) > len(seen) for r in range(world)), "a save")
      seen = self.saved(0)
      for rank in range(world):
        self.assertEqual(self.saved(rank), seen, f"rank {rank}")
      wait_for(lambda: all(page.answer() == seen[-1] + 2 for page in self.pages), "the answers")
    self.assertEqual(len(seen), 6)
    (self.here / "finish").touch()

  def test_that_a_step_which_one_rank_has_missed_is_followed_by_another(self):
    processes = self.begin(2)
    self.all_look()
    wait_for(lambda: self.step() > 1, "that both have passed step 1")
    agreed = self.here / "checkpoints/agreed"
    agreed.mkdir()
    (agreed / f"e1-save-{FAR}-0").write_text("1")  # as if somebody had run ahead
    for page in self.pages:
      page.ask_to_save(FAR)
    wait_for(lambda: self.saved(0) and self.saved(1), "a save")
    self.assertEqual(self.saved(0), self.saved(1))
    self.assertGreater(self.saved(0)[0], 1)
    (self.here / "finish").touch()
    self.assertEqual([p.wait(GIVE_UP_SECONDS) for p in processes], [0, 0])

  def test_that_nobody_is_waited_for_whose_checkpoints_are_in_memory_alone(self):
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="pelton-test-") as memory:
      processes = self.begin(2, PELTON_MEMORY_DIR=memory)
      wait_for(lambda: self.step() > 3, "some steps")
      self.assertEqual([page.answer() for page in self.pages], [0, 0], "nobody looks")
      (self.here / "finish").touch()
      self.assertEqual([p.wait(GIVE_UP_SECONDS) for p in processes], [0, 0])

  # ---- pelton run ----

  def run_job(self, *flags):
    (self.here / "at").write_bytes(bytes(16))
    for old in self.here.glob("restored-*"):
      old.unlink()
    pelton = os.environ.get("PELTON", "build/dev/pelton")
    job = subprocess.Popen([pelton, "run", "--nproc-per-node=2", *flags, "--", sys.executable, "-B",
                            __file__, "worker", self.here],
                           env={**os.environ, "PELTON_JOB_UID": "job"}, stderr=subprocess.PIPE,
                           text=True)
    self.addCleanup(job.stderr.close)
    self.addCleanup(job.wait)
    self.addCleanup(job.kill)
    wait_for(lambda: len(list(self.here.glob("restored-*"))) == 2, "the start")
    return job

  def step(self):
    return min(struct.unpack("<2q", (self.here / "at").read_bytes()))

  def restored(self):
    return [int((self.here / f"restored-{rank}").read_text()) for rank in range(2)]

  def test_that_sigterm_to_a_run_saves_and_then_ends_it(self):
    job = self.run_job()
    (self.here / "slow").touch()
    wait_for(lambda: self.step() > 3, "some steps")
    time.sleep(0.3)  # by then the supervisor has seen that they look
    begun, before = time.monotonic(), self.step()
    job.send_signal(signal.SIGTERM)
    self.assertEqual(job.wait(GIVE_UP_SECONDS), 128 + signal.SIGTERM)
    self.assertLess(time.monotonic() - begun, 15, "not after two thirds of 30 s")
    last = self.saved(0)[-1]
    self.assertEqual(self.saved(1), self.saved(0))
    self.assertGreaterEqual(last, before)
    self.assertLessEqual(self.step() - last, 2)
    job = self.run_job()
    self.assertEqual(self.restored(), [last, last])
    job.kill()

  def test_that_who_does_not_save_in_time_is_ended_all_the_same(self):
    job = self.run_job("--grace-seconds=3")
    wait_for(lambda: self.step() > 3, "some steps")
    time.sleep(0.3)  # as above
    (self.here / "checkpoints/agreed").write_text("")  # no directory can be made there
    begun = time.monotonic()
    job.send_signal(signal.SIGTERM)
    self.assertIn(job.wait(GIVE_UP_SECONDS), (1, 128 + signal.SIGTERM))
    self.assertLess(time.monotonic() - begun, 20)


if __name__ == "__main__":
  if sys.argv[1:2] == ["worker"]:
    worker(sys.argv[2])
    sys.exit(0)
  unittest.main()
