# SPDX-License-Identifier: Apache-2.0
"""What one heartbeat costs a training step: pelton.step(k), with a page and without. And what 1,000
workers at 10 Hz cost their supervisor: a real one, real pages, written by one process for all.
"""

import mmap
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))
from parked import PACKAGE  # noqa: E402
from test_heartbeat import make_page  # noqa: E402

ROUNDS, CALLS = 20, 100_000
SCRIPT = f"""
import time, pelton
for _ in range({ROUNDS}):
  began = time.process_time()
  for k in range({CALLS}): pelton.step(k)
  print((time.process_time() - began) / {CALLS} * 1e6)
"""


PELTON = os.environ.get("PELTON", ROOT / "build/release/pelton")
WORKERS, HERTZ, WINDOWS, WINDOW_SECONDS = 1000, 10, 10, 3


def supervisor_of(init):
  """Returns its pid and the directory of its pages."""
  children = pathlib.Path(f"/proc/{init}/task/{init}/children").read_text().split()
  for pid in children:
    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    if b"run-supervisor" in words:
      return int(pid), pathlib.Path(words[words.index(b"run-supervisor") + 1].decode()).parent
  return None


def cpu_seconds(pid):
  fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
  return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(condition):
  while not (found := condition()):
    time.sleep(0.05)
  return found


def write_all(pages, record):
  """The record of that index, into each: step `record` begins."""
  now = time.monotonic_ns()
  for words in pages:
    slot = 8 + record % 256 * 4
    words[slot + 1], words[slot + 2], words[slot + 3] = now, record, 3
    words[slot] = words[4] = record + 1


def supervise():
  """Returns the supervisor's share of a core, per window."""
  with subprocess.Popen([PELTON, "run", "--standalone", f"--nproc-per-node={WORKERS}", "--no-park",
                         "--grace-seconds=0", "--", "sleep", "100000"]) as init:
    try:
      supervisor, directory = wait_for(lambda: supervisor_of(init.pid))
      paths = [directory / f"1-{rank}.page" for rank in range(WORKERS)]
      wait_for(lambda: all(path.exists() for path in paths))
      pages = []
      for path in paths:
        with open(path, "r+b") as file:
          pages.append(memoryview(mmap.mmap(file.fileno(), 0)).cast("q"))
      record, used, shares, windows_end = 0, 0, [], time.monotonic() + WINDOW_SECONDS
      began = time.monotonic()
      while len(shares) <= WINDOWS:
        write_all(pages, record)
        record += 1
        time.sleep(max(0, began + record / HERTZ - time.monotonic()))
        if time.monotonic() >= windows_end:
          total = cpu_seconds(supervisor)
          shares.append((total - used) / (time.monotonic() - windows_end + WINDOW_SECONDS))
          used, windows_end = total, time.monotonic() + WINDOW_SECONDS
      return shares[1:]  # the first one holds the start
    finally:
      init.terminate()


def main():
  print(f"microseconds of CPU per pelton.step(k): {ROUNDS} rounds of {CALLS:,} calls")
  print(f"{'':<16}{'median':<9}p95")
  with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
    page = f"{directory}/page"
    for name, path in (("with a page", page), ("without one", "")):
      make_page(page)
      out = subprocess.run(["/usr/bin/python3", "-c", SCRIPT], check=True, stdout=subprocess.PIPE,
                           text=True, env={**os.environ, "PYTHONPATH": PACKAGE,
                                           "PELTON_HEARTBEAT": path}).stdout
      costs = sorted(float(line) for line in out.split())
      print(f"{name:<16}{statistics.median(costs):<9.2f}{costs[int(ROUNDS * 0.95)]:.2f}")
  shares = sorted(supervise())
  print(f"\nsupervisor of {WORKERS:,} workers that beat at {HERTZ} Hz, percent of a core: median "
        f"{statistics.median(shares) * 100:.2f}, p95 {shares[int(len(shares) * 0.95)] * 100:.2f} "
        f"({WINDOWS} windows of {WINDOW_SECONDS} s)")


if __name__ == "__main__":
  main()
