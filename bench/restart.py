# SPDX-License-Identifier: Apache-2.0
"""What a restart costs: from the SIGKILL of a rank to the next step that was not done before.

Four ranks of examples/train-gpt under `pelton run --max-restarts`, without a cluster: the
launcher's and the trainer's part of what ./dev demo shows. Prints one row per kill.
"""

import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
PYTHON = CACHE / "pelton/venvs/jax/bin/python"
KILLS, RANKS, EVERY = 3, 4, 10


def rank_pids(launcher):
  """Returns the pids of the launcher's workers, by the rank in their environment."""
  pids = {}
  children = pathlib.Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
  for pid in children:
    variables = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    for variable in variables:
      if variable.startswith(b"RANK="):
        pids[int(variable[5:])] = int(pid)
  return pids


def main():
  with tempfile.TemporaryDirectory() as checkpoints:
    command = [ROOT / "build/release/pelton", "run", "--standalone", f"--nproc-per-node={RANKS}",
               f"--max-restarts={KILLS}", "--", PYTHON, ROOT / "examples/train-gpt/train.py",
               "--checkpoint-dir", checkpoints, "--checkpoint-every", str(EVERY)]
    print(f"{'kill':<6}{'rank':<6}{'at step':<9}{'resumed at':<12}seconds to the next new step")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True) as launcher:
      highest, killed_at, kills, resumed = 0, None, 0, 0
      for line in launcher.stdout:
        if match := re.match(r"resume: step=(\d+) rank=0", line):
          resumed = int(match[1])
        match = re.match(r"step=(\d+) ", line)
        if not match:
          continue
        step = int(match[1])
        if killed_at and step > highest:
          print(f"{kills:<6}{kills % RANKS:<6}{highest:<9}{resumed:<12}"
                f"{time.monotonic() - killed_at:.2f}", flush=True)
          killed_at = None
        highest = max(highest, step)
        if killed_at is None and kills == KILLS:
          launcher.terminate()
          break
        if killed_at is None and step % EVERY == EVERY // 2 and step > (kills + 1) * EVERY:
          kills += 1
          os.kill(rank_pids(launcher.pid)[kills % RANKS], signal.SIGKILL)
          killed_at = time.monotonic()


if __name__ == "__main__":
  main()
