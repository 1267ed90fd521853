# SPDX-License-Identifier: Apache-2.0
"""An hour in which nothing fails and much looks as if it did: what the sensor says and does then.

Three ranks that train in step (20 ms of work, a collective) under `pelton run`. At random moments:
a real collection of garbage in one rank, an eval, a compile, a save with fsync, steps that are ten
times as slow, in all ranks. To suspect is allowed; whatever else is said, or restarted, is wrong.

    calm.py [MINUTES]    60 by default
"""

import collections
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
PELTON = os.environ.get("PELTON", ROOT / "build/release/pelton")
RANKS, MINUTES = 3, 60
SAID = re.compile(r"launch\.(\w+) cause=(\w+)")

TRAIN = '''
import gc, mmap, os, random, sys, time
import pelton
directory, rank, world = os.environ["TEST_DIR"], int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
with open(directory + "/steps", "ab+") as file:
  os.truncate(file.fileno(), 4096)
  done = memoryview(mmap.mmap(file.fileno(), 4096)).cast("q")
with open(directory + "/begun", "a") as file:
  file.write("x")
heap = [[[], []] for _ in range(1_000_000)]  # what a collection has to look at
gc.disable()
dice = random.Random(1)  # the same in all ranks
step, slow, end = 0, 0, time.monotonic() + float(sys.argv[1])

def tell(what):
  if rank == 0:
    with open(directory + "/events", "a") as file:
      file.write(what + "\\n")

def burn(seconds):
  until = time.monotonic() + seconds
  while time.monotonic() < until:
    sum(range(10_000))

while done[0] >= 0:
  pelton.step(step)
  time.sleep(0.2 if slow > 0 else 0.02)
  slow -= 1
  # By this dice all ranks do the same; how long it takes differs from rank to rank, as it does.
  what, long, whom = dice.random(), dice.random(), dice.randrange(world)
  if what < 0.002:
    tell("collection of garbage, in one rank")
    if rank == whom:
      for _ in range(1 + int(3 * long)): gc.collect()
  elif what < 0.003:
    tell("eval, all ranks")
    with pelton.phase("eval"): time.sleep(1 + 14 * long)
  elif what < 0.004:
    tell("compile, all ranks")
    with pelton.phase("compile"): burn(1 + 9 * long)
  elif what < 0.006:
    tell("save, all ranks")
    with pelton.phase("save"), open(f"{directory}/state-{rank}", "wb") as file:
      for _ in range(1 + int(15 * long)):
        file.write(bytes(16 << 20))
        file.flush()
        os.fsync(file.fileno())
  elif what < 0.007:
    tell("steps ten times as slow, all ranks")
    slow = 20 + int(100 * long)
  pelton.beat("collective", step)
  step += 1
  if rank == 0 and time.monotonic() > end:
    done[0] = -step  # the others end with it
    break
  done[rank] = step
  while 0 <= min(done[:world]) < step: time.sleep(0.005)
'''


def main():
  minutes = float(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
  with tempfile.TemporaryDirectory() as temporary:
    directory = pathlib.Path(temporary)
    (directory / "train.py").write_text(TRAIN)
    began = time.monotonic()
    result = subprocess.run(
        [PELTON, "run", "--standalone", f"--nproc-per-node={RANKS}", "--max-restarts=1000", "--no-park",
         "--", sys.executable, directory / "train.py", str(60 * minutes)],
        env={**os.environ, "TEST_DIR": temporary}, stderr=subprocess.PIPE, text=True, check=False)
    took = (time.monotonic() - began) / 60
    events = collections.Counter((directory / "events").read_text().splitlines())
    said = collections.Counter(match[1] for match in SAID.finditer(result.stderr))
    restarts = len((directory / "begun").read_text()) // RANKS - 1
  print(f"{took:.1f} minutes, {RANKS} ranks, exit code {result.returncode}\n")
  print(f"{'what happened':<40}{'times':>6}")
  for what, times in sorted(events.items()):
    print(f"{what:<40}{times:>6}")
  print(f"\n{'what the sensor did':<40}{'times':>6}  goal")
  print(f"{'suspected':<40}{said.pop('suspected', 0):>6}  any")
  for what in sorted({"hung", *said}):
    print(f"{'said: ' + what:<40}{said[what]:>6}  0")
  print(f"{'restarted':<40}{restarts:>6}  0")
  if said.total() or restarts or result.returncode:
    sys.exit(f"\nSomething was done wrongly:\n{result.stderr[-4000:]}")


if __name__ == "__main__":
  main()
