# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint in an object store costs, beside curl and the same server in the same minute.

One process, one tree of 8 float32 arrays, a SeaweedFS on this machine. By turns:
  write    save() and wait(), beside one PUT of as many bytes by curl
  restore  into arrays that are there, beside one GET of as many bytes by curl, thrown away
"""

import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("PELTON_CACHE", os.path.expanduser("~/.cache/pelton")))
PYTHON = CACHE / "venvs/jax/bin/python"
TRIALS = int(os.environ.get("PELTON_BENCH_TRIALS", 20))
MIB = int(os.environ.get("PELTON_BENCH_MIB", 64))


def main():
  import numpy as np
  sys.path[:0] = [str(ROOT / "python"), str(ROOT / "tests/python")]
  import s3_server
  from pelton import checkpoint

  total = MIB << 20
  state = {f"a{i}": np.random.default_rng(i).random(total // 32, np.float32) for i in range(8)}
  target = {name: np.ones_like(array) for name, array in state.items()}
  rows = {}

  def timed(name, fn):
    begin = time.perf_counter()
    fn()
    rows.setdefault(name, []).append(time.perf_counter() - begin)

  with tempfile.TemporaryDirectory(dir=ROOT / "build") as directory:
    server = s3_server.Server(directory)
    try:
      os.environ.update(server.environment())
      flat = pathlib.Path(directory, "flat")
      flat.write_bytes(b"".join(array.tobytes() for array in state.values()))
      plain = f"{server.endpoint}/{s3_server.BUCKET}/plain"
      checkpointer = checkpoint.Checkpointer(f"s3://{s3_server.BUCKET}/job")
      checkpointer.prepare(state)
      for step in range(TRIALS):
        timed("curl: PUT", lambda: server.curl("-f", "-T", str(flat), plain, check=True))
        timed("save: durable", lambda: (checkpointer.save(step, state), checkpointer.wait()))
        timed("curl: GET", lambda: server.curl("-f", "-o", "/dev/null", plain, check=True))
        timed("restore", lambda: checkpointer.restore(target))
      assert all((target[name] == state[name]).all() for name in state)
      checkpointer.close()
    finally:
      server.stop()

  print(f"{MIB} MiB, {TRIALS} trials\n\n| | median ms | p95 ms | MB/s | ratio |\n|---|---:|---:|---:|---|")
  beside = {"save: durable": "curl: PUT", "restore": "curl: GET"}
  for name, times in rows.items():
    median = statistics.median(times)
    ratio = ""
    if peer := beside.get(name):
      # Of the same minute: trial by trial.
      ratio = statistics.median(p / t for p, t in zip(rows[peer], times))
      ratio = f"{ratio:.2f} of {peer}"
    print(f"| {name} | {median * 1e3:.1f} | {sorted(times)[int(len(times) * 0.95) - 1] * 1e3:.1f} "
          f"| {total / median / 1e6:.0f} | {ratio} |")


if __name__ == "__main__":
  if sys.argv[1:] == ["measure"]:
    main()
  else:
    subprocess.run(["ninja", "-C", ROOT / "build/release", "pelton_checkpoint_abi"], check=True,
                   stdout=subprocess.DEVNULL)
    sys.exit(subprocess.run([PYTHON, "-B", __file__, "measure"]).returncode)
