# SPDX-License-Identifier: Apache-2.0
"""From the SIGKILL of a random rank to the next step, of one unmodified PyTorch script, by launcher.

The script is examples/recipes/torch-ddp/train.py: DDP over gloo, 256 MB of parameters and moments,
dropout, Pelton's checkpoints, in memory and on disk under every launcher. It runs under torchrun as
it comes and with a monitor of 10 ms, under NVRx's `ft_launcher` likewise, under `pelton run`, and
with all ranks forked from a parked parent ("fork": what a restart costs without any launcher around
it; the group is killed and forked anew as soon as the rank is dead).

Measured is the time to the end of the first step after the kill, whatever its number, less the
median of the undisturbed steps of that run: detection, tear-down, start, loading and rejoining.
"start" of it is until the script has joined and loaded. Kills come at random moments in a step.
The launchers take their kills by turns of five. "hung" counts the kills after which no step came
for two minutes, or the launcher gave up; the run is then started anew. Two peers have no row because
they need another script, which is printed with the reason. --stages prints where the time went by, of rank 0, in elapsed and CPU time.

    restart-torch.py [--trials 20] [--turn 5] [--ranks 2,4,8] [--state-mb 256] [--launchers NAME,…]
                     [--stages] [--json FILE]
"""

import argparse
import contextlib
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
PEERS = CACHE / "pelton/venvs/torch-peers/bin"
STAGES = ROOT / "bench/torch/restart_stages.py"
TRAIN = ROOT / "examples/recipes/torch-ddp/train.py"
STEP = r"step=\d+ .* ms=(\d+)"
MANY, GIVE_UP_SECONDS = 1000, 120
TORCHRUN = [VENV / "torchrun", "--standalone", f"--max-restarts={MANY}", "--nproc-per-node={ranks}"]
NVRX = [PEERS / "ft_launcher", "--ignore-missing-fault-tol-cfg", *TORCHRUN[1:]]
COMMANDS = {
    "torchrun": [*TORCHRUN],
    "torchrun tuned": [*TORCHRUN, "--monitor-interval=0.01", "--shutdown-timeout=1"],
    "NVRx": [*NVRX],
    "NVRx tuned": [*NVRX, "--monitor-interval=0.01", "--workers-stop-timeout=1"],
    "pelton run": [ROOT / "build/release/pelton", "run", "--standalone", f"--max-restarts={MANY}",
                   "--nproc-per-node={ranks}", "--", VENV / "python"],
}
FORK = "fork"
WITHOUT_ROW = """\
No row: NVRx 0.4.1 inprocess.Wrapper restarts a function within the processes that are left, and starts
  none for the one that was killed: needs a wrapped function in the script, and goes on with a rank less.
No row: torchft 0.2.0 has a lighthouse and no launcher of workers: needs its Manager, its
  DistributedDataParallel and its Optimizer in the script, and goes on without the killed group."""


def environment(directory):
  kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
  return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "python"),
          "PELTON_MEMORY_DIR": f"{directory}/memory",
          # Else torchrun's workers share one store over all restarts, find there the addresses of
          # those who are dead, and fail or hang (PyTorch 2.13).
          "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


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

  def __init__(self, command, ranks, script, env, errors):
    words = [str(word).format(ranks=ranks) for word in command]
    self.process = subprocess.Popen([*words, *script], env=env, text=True, stdout=subprocess.PIPE,
                                    stderr=open(errors, "ab"))
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

  def __init__(self, ranks, script, env, errors):
    self.ranks, self.script, self.errors, self.base = ranks, script, errors, env
    self.parent = parked.Parked(script[0], env=env, python=str(VENV / "python"), spares=ranks)
    out, self.out = os.pipe()
    self.lines = Lines(os.fdopen(out, encoding="utf-8"))
    self.start()

  def start(self):
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      port = str(probe.getsockname()[1])
    self.pids = [self.parent.spawn(
        self.script, stdout=f"/proc/{os.getpid()}/fd/{self.out}", stderr=self.errors,
        env={**self.base, "RANK": str(rank), "WORLD_SIZE": str(self.ranks),
             "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(self.ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
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
    self.errors, self.env = os.path.join(directory, "stderr"), environment(directory)
    self.script = [str(STAGES if options.stages else TRAIN), "--steps=1000000",
                   f"--state-mb={options.state_mb}", "--layers=1",
                   f"--checkpoint-dir={directory}/checkpoints", "--checkpoint-every=4"]
    self.steps, self.seconds, self.starts, self.hung, self.stages = [], [], [], 0, {}

  def start(self):
    if self.name == FORK:
      run = Forked(self.ranks, self.script, self.env, self.errors)
    else:
      run = Launched(COMMANDS[self.name], self.ranks, self.script, self.env, self.errors)
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
    if self.options.stages:
      self.note_stages(killed, run.lines.until("stages: (.*)")[1][1])
    ended, _ = run.lines.until(STEP)
    self.starts.append(joined - killed)
    self.seconds.append(ended - killed)

  def note_stages(self, killed, line):
    before = (killed, 0)
    for word in line.split():
      name, _, times = word.partition("=")
      now = tuple(map(float, times.split("/")))
      self.stages.setdefault(name, []).append([b - a for a, b in zip(before, now)])
      before = now

  def measure(self):
    """Takes a turn."""
    until = min(len(self.seconds) + self.hung + self.options.turn, self.options.trials)
    run = self.start()
    try:
      while len(self.seconds) + self.hung < until:
        try:
          self.kill_one(run)
        except (queue.Empty, RuntimeError, ProcessLookupError):
          self.hung += 1
          run.close()
          if self.hung > self.options.trials / 2:
            with open(self.errors, encoding="utf-8", errors="replace") as file:
              sys.exit(f"{self.name} does not come back; the end of its stderr:\n{file.read()[-4000:]}")
          run = self.start()
    finally:
      run.close()

  def result(self):
    step = statistics.median(self.steps)
    return {"launcher": self.name, "ranks": self.ranks, "step": step, "start": self.starts,
            "hung": self.hung, "stages": self.stages, "seconds": [value - step for value in self.seconds]}


def measure_by_turns(ranks, options):
  """Returns the result of each launcher."""
  with contextlib.ExitStack() as stack:
    trials = []
    for name in options.launchers.split(","):
      directory = stack.enter_context(tempfile.TemporaryDirectory(dir="/dev/shm"))
      trials.append(Trials(name, ranks, options, directory))
    for _ in range(0, options.trials, options.turn):
      for launcher in trials:
        launcher.measure()
    return [launcher.result() for launcher in trials]


def percentile(values, share):
  ordered = sorted(values)
  return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def print_stages(stages):
  print(f"  {'rank 0, from the end of the stage before':<42}{'seconds':>9}{'CPU':>9}")
  for name, parts in stages.items():
    elapsed, cpu = (statistics.median(column) for column in zip(*parts))
    print(f"  {name.replace('_', ' '):<42}{elapsed:>9.3f}{cpu:>9.3f}", flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--trials", type=int, default=20)
  parser.add_argument("--turn", type=int, default=5, help="kills of a launcher until the next's turn")
  parser.add_argument("--ranks", default="2,4,8")
  parser.add_argument("--state-mb", type=int, default=256)
  parser.add_argument("--steps-between", type=int, default=3)
  parser.add_argument("--launchers", default=",".join([*COMMANDS, FORK]))
  parser.add_argument("--seed", type=int, default=1)
  parser.add_argument("--stages", action="store_true")
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
    for result in measure_by_turns(ranks, options):
      results.append(result)
      median = statistics.median(result["seconds"])
      first = first or median
      print(f"{ranks:<7}{result['launcher']:<17}{median:>8.2f}"
            f"{percentile(result['seconds'], .95):>8.2f}{statistics.median(result['start']):>8.2f}"
            f"{result['step']:>8.2f}{first / median:>7.1f}x{result['hung']:>6}", flush=True)
      if options.stages:
        print_stages(result["stages"])
  print(WITHOUT_ROW)
  options.json.parent.mkdir(parents=True, exist_ok=True)
  options.json.write_text(json.dumps({"machine": platform.processor() or platform.machine(),
                                      "cores": os.cpu_count(), "state_mb": options.state_mb,
                                      "results": results}, indent=1))
  print(f"each trial: {options.json}")


if __name__ == "__main__":
  main()
