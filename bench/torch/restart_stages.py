# SPDX-License-Identifier: Apache-2.0
"""Runs examples/recipes/torch-ddp/train.py, and has rank 0 say when each stage of its start ended.

    stages: NAME=SECONDS/CPU …     by CLOCK_MONOTONIC, and the process's own CPU time until then
"""

import pathlib
import runpy
import sys
import time

ENDED = [("script begins", time.monotonic(), time.process_time())]

import torch  # noqa: E402  (measured too)
import torch.distributed as dist  # noqa: E402
from torch import nn  # noqa: E402,F401  (for the parked parent: what train.py imports)
from torch.nn.parallel import DistributedDataParallel  # noqa: E402
from torch.optim.optimizer import register_optimizer_step_post_hook  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402,F401

from pelton.checkpoint.ddp import Checkpointer  # noqa: E402

TRAIN = pathlib.Path(__file__).resolve().parents[2] / "examples/recipes/torch-ddp/train.py"


def ended(name):
  ENDED.append((name, time.monotonic(), time.process_time()))


def timed(owner, attribute, name, before=None):
  function = getattr(owner, attribute)

  def call(*arguments, **named):
    if before:
      ended(before)
    result = function(*arguments, **named)
    ended(name)
    return result

  setattr(owner, attribute, call)


def say(*_):
  ended("first step: optimizer")
  hook.remove()
  if dist.get_rank() == 0:
    print("stages:", *(f"{name.replace(' ', '_')}={at}/{cpu}" for name, at, cpu in ENDED), flush=True)


ended("imports")
timed(dist, "init_process_group", "join: store and gloo")
timed(Checkpointer, "__init__", "open checkpoints")
timed(Checkpointer, "restore", "copy of the state", before="model")
timed(DistributedDataParallel, "__init__", "DDP")
timed(torch.Tensor, "backward", "first step: backward", before="first step: data, forward")
hook = register_optimizer_step_post_hook(say)
sys.argv[0] = str(TRAIN)
runpy.run_path(str(TRAIN), run_name="__main__")
