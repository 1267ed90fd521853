# SPDX-License-Identifier: Apache-2.0
"""What a lost rank costs a JAX job: forked again from a parked parent, and relaunched cold.

The model of examples/train-gpt, unchanged, at 2 and at 4 ranks. In turns, after a few steps one
rank is killed (SIGKILL); whoever watches it by pidfd kills the others at once and starts all again,
with a new coordinator, either from the parked parent or as fresh processes whose rank 0 runs the
coordinator. Printed: from the kill to the end of the first new step, less one median step. Kept
programs are there for both sides; the state is in RAM (/dev/shm), saved at every step.

    restart-jax.py [TRIALS]
"""

import os
import pathlib
import re
import select
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))
from parked import PACKAGE, Parked  # noqa: E402

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
PYTHON = str(CACHE / "pelton/venvs/jax/bin/python")
SCRIPT = str(ROOT / "examples/train-gpt/train.py")
ENV = {**os.environ, "PYTHONPATH": PACKAGE}
STEPS_BEFORE_KILL = 4
GIVE_UP_SECONDS = 120
BLOCK = 5  # trials on one side before the other has its turn


class Group:
  """One way to start all ranks of a generation and to be rid of them."""

  def __init__(self, parent, ranks, directory):
    self.parent, self.ranks, self.directory = parent, ranks, directory
    self.generation, self.pids, self.service = 0, [], []

  def start(self):
    self.generation += 1
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      address = "127.0.0.1:%d" % probe.getsockname()[1]
    if self.parent:
      self.service = [self.parent.coordinator(address, self.ranks)]
    self.pids = [self.start_rank(rank, address) for rank in range(self.ranks)]

  def start_rank(self, rank, address):
    host, port = address.split(":")
    env = {**ENV, "RANK": str(rank), "WORLD_SIZE": str(self.ranks), "MASTER_ADDR": host,
           "MASTER_PORT": port}
    argv = [SCRIPT, "--steps", "100000", "--checkpoint-every", "1", "--checkpoint-dir",
            str(self.directory)]
    out = self.directory / f"out-{self.generation}-{rank}"
    if self.parent:
      return self.parent.spawn(argv, env={**env, "PELTON_COORDINATOR": address}, stdout=out,
                               stderr="/dev/null")
    with open(out, "wb") as file:
      return subprocess.Popen([PYTHON, *argv], env=env, stdout=file, stderr=subprocess.DEVNULL,
                              start_new_session=True).pid

  def wait_for_steps(self, count):
    """Waits until rank 0 has ended `count` steps; returns (when, their milliseconds)."""
    end = time.monotonic() + GIVE_UP_SECONDS
    path = self.directory / f"out-{self.generation}-0"
    while time.monotonic() < end:
      found = re.findall(r"(?m)^step=\d+ .*? ms=(\d+) .*\n", path.read_text())
      if len(found) >= count:
        return time.monotonic(), [int(ms) for ms in found]
      time.sleep(0.001)  # a file of another process tells nobody that it grew
    raise SystemExit(f"no step in {GIVE_UP_SECONDS} s:\n{path.read_text()}")

  def crash(self):
    """Kills the last rank, sees it as its parent would, kills the rest; returns when."""
    ended = os.pidfd_open(self.pids[-1])
    began = time.monotonic()
    os.kill(self.pids[-1], signal.SIGKILL)
    select.select([ended], [], [])
    os.close(ended)
    self.stop()
    return began

  def stop(self):
    for pid in [*self.pids, *self.service]:
      try:
        os.kill(pid, signal.SIGKILL)
      except ProcessLookupError:
        pass
      os.waitpid(pid, 0)
      if self.parent:
        self.parent.workers.discard(pid)
    self.pids, self.service = [], []


def trial(group, steps):
  """Returns the seconds that one crash cost, without the new step itself."""
  steps += group.wait_for_steps(STEPS_BEFORE_KILL)[1][1:]
  began = group.crash()
  group.start()
  ended, _ = group.wait_for_steps(1)
  return ended - began - statistics.median(steps) / 1000


def measure(ranks, trials):
  with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
    with Parked(SCRIPT, env=ENV, python=PYTHON) as parent:
      groups = {}
      for name, by in (("parked", parent), ("cold", None)):
        where = pathlib.Path(directory, name)
        where.mkdir()
        groups[name] = Group(by, ranks, where)
      results = {name: [] for name in groups}
      steps = {name: [] for name in groups}
      while len(results["cold"]) < trials:  # by turns, as the machine may change under them
        for name, group in groups.items():
          group.start()
          for _ in range(min(BLOCK, trials - len(results[name]))):
            results[name].append(trial(group, steps[name]))
          group.stop()
      for name, costs in results.items():
        costs.sort()
        p95 = costs[min(len(costs) - 1, int(len(costs) * 0.95))]
        print(f"{ranks:<7}{name:<9}{trials:<8}{statistics.median(costs):<10.2f}{p95:.2f}", flush=True)


def main():
  trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
  print("seconds from SIGKILL of a rank to the end of the first new step, less one median step")
  print(f"{'ranks':<7}{'start':<9}{'trials':<8}{'median':<10}p95")
  for ranks in (2, 4):
    measure(ranks, trials)


if __name__ == "__main__":
  main()
