# SPDX-License-Identifier: Apache-2.0
"""How soon a rank that fails or hangs is suspected and named, and whether it is the right one.

Three ranks that train in step (20 ms of work, a collective) under `pelton run`: real processes with
heartbeats and nothing else. A fault strikes a random rank at a random moment; each trial is a
generation of its own. Loops also where the script does not mark its collectives.

    hang.py [TRIALS]    of each; 200 of each signal and 20 of all else by default
"""

import os
import pathlib
import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src/launch"))
from watch_test import LOOP, TRAIN  # noqa: E402

PELTON = os.environ.get("PELTON", ROOT / "build/release/pelton")
RANKS, GIVE_UP_SECONDS = 3, 180
TRIALS, OF_SIGNALS = 20, 200  # a hang that only time shows takes seconds of waiting
BLOCK = "time.sleep(10**6)"
FINDING = re.compile(r"launch\.(suspected|hung|exited) .* rank=(\d+)")


class Job:
  def __init__(self, directory, marks="1"):
    self.directory, self.generation, self.rng = directory, 0, random.Random(1)
    (directory / "train.py").write_text(TRAIN)
    self.process = subprocess.Popen(
        [PELTON, "run", "--standalone", f"--nproc-per-node={RANKS}", "--max-restarts=1000",
         "--no-park", "--", sys.executable, directory / "train.py"],
        env={**os.environ, "TEST_DIR": str(directory), "MARKS": marks}, stderr=subprocess.PIPE, text=True)
    self.findings = queue.Queue()
    threading.Thread(target=self._read, daemon=True).start()

  def _read(self):
    for line in self.process.stderr:
      if match := FINDING.search(line):
        self.findings.put((time.monotonic(), match[1], int(match[2])))

  def next_generation(self):
    """Waits until it has trained for a while; returns the pids by rank."""
    self.generation += 1
    end = time.monotonic() + GIVE_UP_SECONDS
    while self._steps() < 30:
      if time.monotonic() > end or self.process.poll() is not None:
        sys.exit(f"generation {self.generation} does not train")
      time.sleep(0.01)
    time.sleep(self.rng.random() * 0.2)  # the moment is random
    lines = (line.split() for line in (self.directory / "log").read_text().splitlines())
    return {int(line[1]): int(line[2]) for line in lines if int(line[0]) == self.generation}

  def _steps(self):
    try:
      words = memoryview((self.directory / f"steps-{self.generation}").read_bytes()).cast("q")
      return min(words[:RANKS])
    except (FileNotFoundError, ValueError):  # empty yet
      return 0

  def order(self, rank, what):
    """Returns when the rank began to do that."""
    began = self.directory / f"began-{self.generation}"
    unfinished = self.directory / "order"
    unfinished.write_text(f"open({str(began)!r}, 'w').write(str(time.monotonic())); {what}")
    unfinished.rename(self.directory / f"{self.generation}-{rank}")
    end = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < end:
      if began.exists() and (text := began.read_text()):
        return float(text)
      time.sleep(0.005)
    sys.exit("the fault did not happen")

  def trial(self, fault):
    """Returns (seconds until suspected or None, until named or None, right rank only)."""
    pids = self.next_generation()
    rank = self.rng.randrange(RANKS)
    while not self.findings.empty():
      self.findings.get()
    if isinstance(fault, int):
      began = time.monotonic()
      os.kill(pids[rank], fault)
    else:
      began = self.order(rank, fault)
    suspected, named, right = None, None, False
    while named is None:
      at, what, whom = self.findings.get(timeout=GIVE_UP_SECONDS)
      if what != "suspected":
        named, right = at - began, whom == rank
      elif whom == rank:  # whoever else is late may be suspected, too
        suspected = suspected or at - began
    if suspected is None and not isinstance(fault, int):
      suspected = named  # no sooner, then
    return suspected, named, right


def row(name, trials):
  def text(values):
    values = sorted(value for value in values if value is not None)
    if not values:
      return f"{'':<10}{'':<10}"
    p95 = values[min(len(values) - 1, int(len(values) * 0.95))]
    return f"{statistics.median(values):<10.2f}{p95:<10.2f}"
  right = sum(trial[2] for trial in trials)
  print(f"{name:<34}{f'{right} of {len(trials)}':<12}{text(t[0] for t in trials)}"
        f"{text(t[1] for t in trials)}", flush=True)


def main():
  given = int(sys.argv[1]) if len(sys.argv) > 1 else None
  print(f"{'fault':<34}{'right rank':<12}{'suspected, median, p95':<20}  named, median, p95 (s)")
  faults = {"SIGKILL": signal.SIGKILL, "SIGSTOP": signal.SIGSTOP, "sleeps in its step": BLOCK,
            "C loop holding the GIL": LOOP}
  unmarked = {"the same, collectives not marked": LOOP}
  for marks, kinds in (("1", faults), ("0", unmarked)):
    with tempfile.TemporaryDirectory() as directory:
      job = Job(pathlib.Path(directory), marks)
      try:
        for name, fault in kinds.items():
          trials = given or (OF_SIGNALS if isinstance(fault, int) else TRIALS)
          row(name, [job.trial(fault) for _ in range(trials)])
      finally:
        job.process.terminate()
        job.process.wait()


if __name__ == "__main__":
  main()
