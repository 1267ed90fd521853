# SPDX-License-Identifier: Apache-2.0
"""What one heartbeat costs a training step: pelton.step(k), with a page and without."""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

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


if __name__ == "__main__":
  main()
