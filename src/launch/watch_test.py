# SPDX-License-Identifier: Apache-2.0
"""Tests of `pelton run` on ranks that hang or are slow: real processes, with pelton.heartbeat.

PELTON names the executable. `./dev bench hang` measures how quickly.
"""

import os
import re
import signal
import sys
import time
import unittest

import supervision_test as fixture
from supervision_test import is_alive, wait_for

# Ranks that train in step: work, then a collective, in which each waits for all others.
TRAIN = '''
import mmap, os, re, time
import pelton
d, rank, world = os.environ["TEST_DIR"], int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
generation = os.environ["PELTON_GENERATION"]
with open(f"{d}/steps-{generation}", "ab+") as file:
  os.truncate(file.fileno(), 4096)
  done = memoryview(mmap.mmap(file.fileno(), 4096)).cast("q")
with open(d + "/log", "a") as log:
  log.write(f"{generation} {rank} {os.getpid()} {world} plain\\n")
marks, restored = os.environ.get("MARKS") != "0", int(generation) * 10**6
step, work = 0, 0.02
while not os.path.exists(f"{d}/end-{generation}"):
  pelton.step(restored + step)
  time.sleep(work)
  try:
    order = open(f"{d}/{generation}-{rank}").read()
    os.unlink(f"{d}/{generation}-{rank}")
    exec(order)
  except FileNotFoundError:
    pass
  if marks: pelton.beat("collective", restored + step)
  done[rank] = step = step + 1
  while min(done[:world]) < step: time.sleep(0.005)
done[rank] = 1 << 60
'''
# A rank alone in its pod that ends up in such a loop.
ALONE = '''
import re, time, pelton
for step in range(60):
  pelton.step(step)
  time.sleep(0.02)
%s
'''
LOOP = "re.match('(a+)+$', 'a' * 60 + 'b')"  # one call of C, for hours, with the interpreter's lock


class Watch(fixture.PeltonRun):
  def train(self, *flags, **variables):
    (self.directory / "train.py").write_text(TRAIN)
    self.start("--nproc-per-node=3", "--no-park", *flags, script="train.py", PELTON_PYTHON_PATH="",
               **variables)
    pids = self.wait_workers(1, range(3))
    self.wait_steps(20)  # by then it is known what is usual
    return pids

  def steps(self, generation=1):
    words = memoryview((self.directory / f"steps-{generation}").read_bytes()).cast("q")
    return min(words[:3])

  def wait_steps(self, more):
    goal = self.steps() + more
    wait_for(lambda: self.steps() >= goal, f"step {goal}")

  def order(self, rank, what):
    unfinished = self.directory / f"order-{rank}"
    unfinished.write_text(what)
    place = self.directory / f"1-{rank}"
    wait_for(lambda: not place.exists(), f"rank {rank}, to have done what it was told before")
    unfinished.rename(place)

  def said(self, event):
    """Returns what was logged under that name, as pairs of rank and cause."""
    self.errors.flush()
    text = (self.directory / "errors").read_text()
    return [(int(rank), cause)
            for cause, rank in re.findall(rf"launch\.{event} cause=(\w+) .* rank=(\d+)", text)]

  def wait_said(self, event, *expected):
    wait_for(lambda: expected[0] in self.said(event), f"{event} {expected}")
    self.assertEqual(set(self.said(event)), set(expected))

  def test_a_stopped_rank_is_named_and_its_group_begins_again(self):
    pids = self.train("--max-restarts=1")
    os.kill(pids[1], signal.SIGSTOP)
    self.wait_workers(2, range(3))
    self.assertEqual(self.said("hung"), [(1, "Stopped")])
    self.assertFalse(any(is_alive(pid) for pid in pids.values()))
    self.finish(2)

  def test_a_supervisor_that_is_killed_then_leaves_the_finding_to_its_successor(self):
    pids = self.train("--max-restarts=1")
    os.kill(pids[2], signal.SIGSTOP)
    os.kill(self.init_list()["supervisor"], signal.SIGKILL)
    self.wait_workers(2, range(3))
    self.assertEqual(set(self.said("hung")), {(2, "Stopped")})
    self.finish(2)

  def test_without_a_restart_a_hang_ends_the_group(self):
    pids = self.train()
    os.kill(pids[0], signal.SIGSTOP)
    self.assertEqual(self.process.wait(fixture.GIVE_UP_SECONDS), 128 + signal.SIGKILL)
    self.assertEqual(self.said("hung"), [(0, "Stopped")])
    self.assertIn("--max-restarts N begins it again", (self.directory / "errors").read_text())

  def test_a_loop_that_holds_the_interpreters_lock_is_suspected_at_once_and_ended(self):
    pids = self.train("--max-restarts=1", MARKS="0")  # no peer is known to wait for it
    self.order(2, LOOP)
    self.wait_said("hung", (2, "Spinning"))
    self.assertIn((2, "Late"), self.said("suspected"))
    self.wait_workers(2, range(3))
    self.assertFalse(any(is_alive(pid) for pid in pids.values()))
    self.finish(2)

  def test_an_agent_is_told_of_a_loop_in_a_pod_of_one_rank(self):
    (self.directory / "alone.py").write_text(ALONE % LOOP)
    self.start_with_agent("--nproc-per-node=1", "--no-park", script="alone.py",
                          PELTON_PYTHON_PATH="")
    self.agent.tell(1, ("other", 1), ("me", 1))
    report = self.agent.wait("Stopped", 1)
    states = [(w["rank"], w["state"], w.get("cause")) for w in report["workers"]]
    self.assertEqual(states, [(1, "Hung", "Spinning")])
    self.assertIn("keeps the interpreter's lock", report["workers"][0]["detail"])

  def test_what_keeps_the_interpreters_lock_for_a_while_is_left_alone(self):
    pids = self.train()
    self.order(1, "re.match('(a+)+$', 'a' * 23 + 'b')")
    self.wait_steps(10)
    self.assertEqual(self.said("hung"), [])
    self.assertEqual(self.workers(1), pids)
    self.finish(1)

  def test_a_straggler_is_named_and_not_killed(self):
    pids = self.train()
    self.order(1, "work *= 10")
    self.wait_said("slow", (1, "Straggler"))
    self.assertEqual(self.said("hung"), [])
    self.assertEqual(self.workers(1), pids)
    self.finish(1)

  def test_what_is_slow_for_good_reasons_is_left_alone(self):
    pids = self.train()
    for rank in range(3):
      self.order(rank, "work *= 10")
    self.wait_steps(15)
    for rank in range(3):
      self.order(rank, "work /= 10")
    self.order(0, "import gc; x = [[] for _ in range(10**6)]; gc.collect(); time.sleep(1.2)")
    self.wait_steps(10)
    for phase in ("eval", "save", "compile"):
      self.order(2, f"with pelton.phase('{phase}'): time.sleep(1.2)")
      self.wait_steps(10)
    self.assertEqual(self.said("hung") + self.said("slow"), [])
    self.assertEqual(self.workers(1), pids)
    self.finish(1)

  def test_an_agent_is_told_who_hangs(self):
    self.start_with_agent("--no-park")
    self.agent.tell(1, ("other", 1), ("me", 2))
    pids = self.wait_workers(1, (1, 2))
    began = time.time()
    os.kill(pids[2], signal.SIGSTOP)
    report = self.agent.wait("Stopped", 1)
    states = [(w["rank"], w["state"], w.get("cause")) for w in report["workers"]]
    self.assertEqual(states, [(1, "Running", "Ended"), (2, "Hung", "Stopped")])
    self.assertIn("stopped by a signal in step of step 1", report["workers"][1]["detail"])
    self.assertGreater(report["workers"][1]["since"], time.strftime("%FT%T", time.gmtime(began - 1)))


if __name__ == "__main__":
  if not os.access(fixture.PELTON, os.X_OK):
    print(f"SKIPPED: {fixture.PELTON} is not built")
    sys.exit(77)
  unittest.main()
