# SPDX-License-Identifier: Apache-2.0
"""What a save costs a step, beside torch.save, DCP's async_save and Orbax.

256 MiB of float32 in 8 arrays, one process per framework (their environments are two), a directory on
the same disk, by turns:
  stall  until save() returns and the step goes on; beside memcpy of the same arrays on one thread
  done   until the checkpoint is complete: ours synced and committed, torch.save with fsync, DCP's future
         (its files are synced by default), Orbax's wait_until_finished()

    checkpoint-peers.py [--trials 20] [--mib 256]
"""

import argparse
import ctypes
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

ROOT = pathlib.Path(__file__).resolve().parents[1]
VENVS = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "pelton/venvs"
ARRAYS = 8


class Saves:
  """Ours, and what both frameworks' sides have in common. `save_NAME` returns what waits for the rest."""

  def __init__(self, directory, arrays, state):
    from pelton import checkpoint
    self.directory, self.arrays, self.state = pathlib.Path(directory), arrays, state
    self.copies = [array.copy() for array in arrays]
    self.ours = checkpoint.Checkpointer(self.directory / "pelton")
    self.ours.prepare(self.ours_state())
    self.step = 0

  def ours_state(self):
    return self.state

  def save_memcpy(self, _):
    for copy, array in zip(self.copies, self.arrays):
      ctypes.memmove(copy.ctypes.data, array.ctypes.data, array.nbytes)
    return lambda: None

  def save_pelton(self, _):
    self.ours.save(self.step, self.ours_state())
    return self.ours.wait

  def timed(self, name):
    self.step += 1
    path = self.directory / f"{name}-{self.step}"
    begin = time.perf_counter()
    finish = getattr(self, "save_" + name)(path)
    stall = time.perf_counter() - begin
    finish()
    done = time.perf_counter() - begin
    if path.is_dir():
      shutil.rmtree(path)
    path.unlink(missing_ok=True)
    return stall, done


class TorchSaves(Saves):

  def __init__(self, directory, mib):
    import numpy as np
    import torch
    import torch.distributed.checkpoint as dcp
    self.torch, self.dcp = torch, dcp
    arrays = [np.random.default_rng(i).random((mib << 18) // ARRAYS, np.float32) for i in range(ARRAYS)]
    super().__init__(directory, arrays, {f"a{i}": torch.from_numpy(a) for i, a in enumerate(arrays)})

  def ours_state(self):
    return {name: tensor.numpy() for name, tensor in self.state.items()}

  def save_torch(self, path):
    with open(path, "wb") as file:
      self.torch.save(self.state, file)
      file.flush()
      os.fsync(file.fileno())
    return lambda: None

  def save_dcp(self, path):
    return self.dcp.async_save(self.state, storage_writer=self.dcp.FileSystemWriter(path)).result


class JaxSaves(Saves):

  def __init__(self, directory, mib):
    import jax.numpy as jnp
    import numpy as np
    import orbax.checkpoint as ocp
    self.orbax = ocp.StandardCheckpointer()
    arrays = [np.random.default_rng(i).random((mib << 18) // ARRAYS, np.float32) for i in range(ARRAYS)]
    super().__init__(directory, arrays, {f"a{i}": jnp.asarray(a) for i, a in enumerate(arrays)})

  def save_orbax(self, path):
    self.orbax.save(path, self.state)
    return self.orbax.wait_until_finished


SIDES = {"torch": (TorchSaves, ("memcpy", "pelton", "torch", "dcp")),
         "jax": (JaxSaves, ("memcpy", "pelton", "orbax"))}
TITLES = {"memcpy": "memcpy", "pelton": "pelton", "torch": "torch.save, fsync",
          "dcp": "torch.distributed.checkpoint.async_save", "orbax": "Orbax, StandardCheckpointer"}


def measure(side, directory, mib):
  """In the framework's environment: a name on stdin, its times on stdout."""
  warnings.simplefilter("ignore")
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # frameworks print too
  saves = SIDES[side][0](directory, int(mib))
  for line in sys.stdin:
    answers.write(json.dumps(saves.timed(line.strip())) + "\n")
    answers.flush()
  saves.ours.close()


class Side:

  def __init__(self, name, directory, mib):
    self.directory = directory / name
    self.directory.mkdir()
    self.log = open(directory / f"{name}.log", "w+")
    self.process = subprocess.Popen(
        [VENVS / name / "bin/python", "-B", __file__, "measure", name, str(self.directory), str(mib)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "python"), "JAX_PLATFORMS": "cpu",
             "PELTON_CHECKPOINT_LIBRARY": str(ROOT / "build/release/libpelton_checkpoint.so")})

  def ask(self, name):
    self.process.stdin.write(name + "\n")
    self.process.stdin.flush()
    answer = self.process.stdout.readline()
    if not answer:
      self.log.seek(0)
      raise RuntimeError(f"{name}: {self.log.read()[-3000:]}")
    return json.loads(answer)

  def close(self):
    self.process.stdin.close()
    self.process.wait()


def main():
  parser = argparse.ArgumentParser(prog="./dev bench checkpoint-peers",
                                   description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--trials", type=int, default=20)
  parser.add_argument("--mib", type=int, default=256)
  options = parser.parse_args()
  subprocess.run(["ninja", "-C", ROOT / "build/release", "pelton_checkpoint_abi"], check=True,
                 stdout=subprocess.DEVNULL)
  directory = pathlib.Path(tempfile.mkdtemp(dir=ROOT / "build"))
  times = {}
  try:
    sides = {name: Side(name, directory, options.mib) for name in SIDES}
    for trial in range(options.trials + 1):
      for side, (_, names) in SIDES.items():
        for name in names:
          took = sides[side].ask(name)
          if trial > 0:  # the first of each fills caches and pools, which later ones use
            times.setdefault((side, name), []).append(took)
    for side in sides.values():
      side.close()
  finally:
    shutil.rmtree(directory)
  print(f"{options.mib} MiB, {options.trials} trials, {os.cpu_count()} cores with a load of "
        f"{os.getloadavg()[0]:.0f}\n\n"
        "| | stall ms, median | p95 | beside memcpy | done ms, median | p95 | beside pelton |\n"
        "|---|---:|---:|---:|---:|---:|---:|")
  for (side, name), took in times.items():
    stalls, dones = ([each[i] for each in took] for i in (0, 1))
    memcpy = [each[0] for each in times[side, "memcpy"]]
    ours = [each[1] for each in times[side, "pelton"]]
    print(f"| {TITLES[name]} ({side}) | {statistics.median(stalls) * 1e3:.0f} | {p95(stalls) * 1e3:.0f} "
          f"| {statistics.median(s / m for s, m in zip(stalls, memcpy)):.2f} "
          + ("| | | |" if name == "memcpy" else
             f"| {statistics.median(dones) * 1e3:.0f} | {p95(dones) * 1e3:.0f} "
             f"| {statistics.median(d / o for d, o in zip(dones, ours)):.2f} |"))


def p95(values):
  return sorted(values)[int(len(values) * 0.95) - 1]


if __name__ == "__main__":
  if sys.argv[1:2] == ["measure"]:
    measure(*sys.argv[2:])
  else:
    main()
