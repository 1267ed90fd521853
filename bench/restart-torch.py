# SPDX-License-Identifier: Apache-2.0
"""From the SIGKILL of a random rank to the next step, of one unmodified PyTorch script, by launcher.

The script is examples/recipes/torch-ddp/train.py: DDP over gloo, 256 MB of parameters and moments,
dropout, its own checkpoints. It runs under torchrun as it comes and with a monitor of 10 ms, under
`pelton run`, and with all ranks forked from a parked parent ("fork": what a restart costs without
any launcher around it; the group is killed and forked anew as soon as the rank is dead).

Measured is the time to the end of the first step after the kill, whatever its number, less the
median of the undisturbed steps of that run: detection, tear-down, start, loading and rejoining.
"start" of it is until the script has joined and loaded. Kills come at random moments in a step.
"hung" counts the kills after which no step came for two minutes; the run is then started anew.

    restart-torch.py [--trials 20] [--ranks 2,4,8] [--state-mb 256] [--launchers NAME,…] [--json FILE]
"""

import argparse
import json
import os
import pathlib
import platform
import queue
import random
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))

import parked  # noqa: E402  pylint: disable=wrong-import-position

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
VENV = CACHE / "pelton/venvs/torch/bin"
TRAIN = ROOT / "examples/recipes/torch-ddp/train.py"
STEP = r"step=\d+ .* ms=(\d+)"
MANY, GIVE_UP_SECONDS = 1000, 120
TORCHRUN = [VENV / "torchrun", "--standalone", f"--max-restarts={MANY}", "--nproc-per-node={ranks}"]
COMMANDS = {
    "torchrun": [*TORCHRUN],
    "torchrun tuned": [*TORCHRUN, "--monitor-interval=0.01", "--shutdown-timeout=1"],
    "pelton run": [ROOT / "build/release/pelton", "run", "--standalone", f"--max-restarts={MANY}",
                   "--nproc-per-node={ranks}", "--", VENV / "python"],
}
FORK = "fork"


def environment():
  kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
  return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "python")}


class Lines:
  """Lines of a stream, each with the time at which it came; and the pids that they tell."""

  def __init__(self, stream):
    self.queue, self.pids = queue.SimpleQueue(), {}
    threading.Thread(target=self.read, args=(stream,), daemon=True).start()

  def read(self, stream):
    for line in stream:
      if told := re.match(r"rank=(\d+) pid=(\d+)", line):
        self.pids[int(told[1])] = int(told[2])
      self.queue.put((time.monotonic(), line))
    self.queue.put((time.monotonic(), None))

  def until(self, pattern):
    """Returns (time, match) of the next line that matches."""
    while True:
      at, line = self.queue.get(timeout=GIVE_UP_SECONDS)
      if line is None:
        raise RuntimeError(f"the run ended before it printed {pattern!r}")
      if match := re.match(pattern, line):
        return at, match


class Launched:
  """The script under a launcher."""

  def __init__(self, command, ranks, arguments, errors):
    words = [str(word).format(ranks=ranks) for word in command]
    self.process = subprocess.Popen([*words, str(TRAIN), *arguments], env=environment(), text=True,
                                    stdout=subprocess.PIPE, stderr=open(errors, "ab"))
    self.lines = Lines(self.process.stdout)

  def kill(self, rank):
    """Kills a rank; returns when."""
    at = time.monotonic()
    os.kill(self.lines.pids[rank], signal.SIGKILL)
    return at

  def close(self):
    self.process.terminate()
    try:
      self.process.wait(10)
    except subprocess.TimeoutExpired:
      self.process.kill()
      self.process.wait()


class Forked:
  """All ranks forked from one parked parent, and forked anew when one has died."""

  def __init__(self, ranks, arguments, errors):
    self.ranks, self.arguments, self.errors = ranks, arguments, errors
    self.base = environment()
    self.parent = parked.Parked(TRAIN, env=self.base, python=str(VENV / "python"))
    out, self.out = os.pipe()
    self.lines = Lines(os.fdopen(out, encoding="utf-8"))
    self.start()

  def start(self):
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      port = str(probe.getsockname()[1])
    self.pids = [self.parent.spawn(
        [TRAIN, *self.arguments], stdout=f"/proc/{os.getpid()}/fd/{self.out}", stderr=self.errors,
        env={**self.base, "RANK": str(rank), "WORLD_SIZE": str(self.ranks),
             "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
                 for rank in range(self.ranks)]

  def kill(self, rank):
    at = time.monotonic()
    os.kill(self.pids[rank], signal.SIGKILL)
    os.close(os.pidfd_open(self.pids[rank]))
    self.parent.wait(self.pids[rank])
    self.parent.kill(*(pid for pid in self.pids if pid in self.parent.workers))
    self.start()
    return at

  def close(self):
    self.parent.close()
    os.close(self.out)


class Trials:
  """The trials of one launcher at one number of ranks."""

  def __init__(self, name, ranks, options, directory):
    self.name, self.ranks, self.options = name, ranks, options
    self.errors = os.path.join(directory, "stderr")
    self.arguments = ["--steps=1000000", f"--state-mb={options.state_mb}", "--layers=1",
                      f"--checkpoint-dir={directory}/checkpoints", "--checkpoint-every=4"]
    self.steps, self.seconds, self.starts, self.hung = [], [], [], 0

  def start(self):
    if self.name == FORK:
      run = Forked(self.ranks, self.arguments, self.errors)
    else:
      run = Launched(COMMANDS[self.name], self.ranks, self.arguments, self.errors)
    try:
      run.lines.until(r"step=\d*[159] ")  # a checkpoint is there
    except BaseException:
      run.close()
      raise
    return run

  def kill_one(self, run):
    for _ in range(self.options.steps_between):
      self.steps.append(int(run.lines.until(STEP)[1][1]) / 1e3)
    time.sleep(random.uniform(0, statistics.median(self.steps)))  # the random moment
    killed = run.kill(random.randrange(self.ranks))
    joined, _ = run.lines.until("resume: ")
    ended, _ = run.lines.until(STEP)
    self.starts.append(joined - killed)
    self.seconds.append(ended - killed)

  def measure(self):
    run = self.start()
    try:
      while len(self.seconds) + self.hung < self.options.trials:
        try:
          self.kill_one(run)
        except (queue.Empty, RuntimeError):
          self.hung += 1
          run.close()
          if self.hung > self.options.trials / 2:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
              sys.exit(f"{self.name} does not come back; the end of its stderr:\n{file.read()[-4000:]}")
          run = self.start()
    finally:
      run.close()
    step = statistics.median(self.steps)
    return {"launcher": self.name, "ranks": self.ranks, "step": step, "start": self.starts,
            "hung": self.hung, "seconds": [value - step for value in self.seconds]}


def percentile(values, share):
  ordered = sorted(values)
  return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--trials", type=int, default=20)
  parser.add_argument("--ranks", default="2,4,8")
  parser.add_argument("--state-mb", type=int, default=256)
  parser.add_argument("--steps-between", type=int, default=3)
  parser.add_argument("--launchers", default=",".join([*COMMANDS, FORK]))
  parser.add_argument("--seed", type=int, default=1)
  parser.add_argument("--json", default=ROOT / "build/restart-torch.json", type=pathlib.Path)
  options = parser.parse_args()
  random.seed(options.seed)
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end what we started
  print(f"{options.trials} kills each, {options.state_mb} MB of state, {os.cpu_count()} cores; "
        "seconds from the kill to the end of the next step, less a median step")
  print(f"{'ranks':<7}{'launcher':<17}{'median':>8}{'p95':>8}{'start':>8}{'a step':>8}{'ratio':>8}{'hung':>6}")
  results = []
  for ranks in map(int, options.ranks.split(",")):
    first = None
    for name in options.launchers.split(","):
      with tempfile.TemporaryDirectory() as directory:
        result = Trials(name, ranks, options, directory).measure()
      results.append(result)
      median = statistics.median(result["seconds"])
      first = first or median
      print(f"{ranks:<7}{name:<17}{median:>8.2f}{percentile(result['seconds'], .95):>8.2f}"
            f"{statistics.median(result['start']):>8.2f}{result['step']:>8.2f}"
            f"{first / median:>7.1f}x{result['hung']:>6}", flush=True)
  options.json.parent.mkdir(parents=True, exist_ok=True)
  options.json.write_text(json.dumps({"machine": platform.processor() or platform.machine(),
                                      "cores": os.cpu_count(), "state_mb": options.state_mb,
                                      "results": results}, indent=1))
  print(f"each trial: {options.json}")


if __name__ == "__main__":
  main()
