# SPDX-License-Identifier: Apache-2.0
"""Runs a script of examples/recipes with torch.save in the place of pelton.checkpoint.

What most PyTorch jobs do: rank 0 writes all state into one file, which every rank reads again.
The random state of the ranks is not saved, so nothing is bit-exact.

    torch_save.py SCRIPT [ARGUMENTS]
"""

import os
import pathlib
import runpy
import sys
import types

import torch
import torch.distributed as dist

KEPT = 2


class Checkpointer:
  """As much of pelton.checkpoint.ddp.Checkpointer as the recipes use."""

  def __init__(self, directory, *, every, memory_every=None, job=None):
    del memory_every, job  # there is no memory; the directory belongs to one job
    self.directory, self.every = pathlib.Path(directory), every
    self.directory.mkdir(parents=True, exist_ok=True)

  def files(self):
    return sorted(self.directory.glob("step-*.pt"))

  def newest(self):
    found = self.files()
    return int(found[-1].stem.removeprefix("step-")) if found else None

  def save(self, step, state):
    if step % self.every or dist.get_rank() != 0:
      return False
    part = self.directory / f".{step}.part"
    torch.save({name: each.state_dict() for name, each in state.items()}, part)
    os.replace(part, self.directory / f"step-{step:012d}.pt")
    for old in self.files()[:-KEPT]:
      old.unlink()
    return True

  def restore(self, state):
    found = self.files()[-1]
    loaded = torch.load(found, map_location="cpu", weights_only=True)
    for name, each in state.items():
      each.load_state_dict(loaded[name])
    return int(found.stem.removeprefix("step-"))

  def wait(self):
    pass


if __name__ == "__main__":
  stand_in = types.ModuleType("pelton.checkpoint.ddp")
  stand_in.Checkpointer = Checkpointer
  sys.modules["pelton.checkpoint.ddp"] = stand_in
  del sys.argv[0]
  runpy.run_path(sys.argv[0], run_name="__main__")
