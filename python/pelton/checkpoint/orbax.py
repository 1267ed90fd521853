# SPDX-License-Identifier: Apache-2.0
"""Pelton's checkpoints as an item of Orbax, which keeps its own directories, retention and steps.

  manager = ocp.CheckpointManager(directory, item_handlers=Handler())
  manager.save(step, args=Save(state))              # stalls for one copy
  state = manager.restore(step, args=Restore(template))

State and template are trees as pelton.checkpoint has them: of numpy arrays, numbers, and JAX arrays;
of a template also jax.ShapeDtypeStruct with a sharding. A template may have another sharding than was
saved, on another number of processes. Any Checkpointer and AsyncCheckpointer of Orbax will do as well.
"""

import dataclasses
import os
from typing import Any

import orbax.checkpoint as ocp

from pelton.checkpoint import Checkpointer, Damaged
from pelton.jax import attempt


def _opened(directory):
  return Checkpointer(os.fspath(directory), job="", memory="", **attempt())


async def _nothing():
  pass


class _Commit:
  """What Orbax waits for, in a thread of its own, before it gives the directory its name."""

  def __init__(self, checkpointer):
    self._checkpointer = checkpointer

  def result(self, timeout=None):
    del timeout  # it ends by itself
    if self._checkpointer is not None:
      checkpointer, self._checkpointer = self._checkpointer, None
      with checkpointer:
        checkpointer.wait()


class Handler(ocp.AsyncCheckpointHandler):
  """Saves and restores one item. Raises what Checkpointer raises."""

  async def async_save(self, directory, args):
    ocp.future.CommitFutureAwaitingContractedSignals(_nothing()).result()  # the directory is there
    checkpointer = _opened(directory)
    try:
      checkpointer.save(0, args.item)
    except BaseException:
      checkpointer.close()
      raise
    return [_Commit(checkpointer)]

  def save(self, directory, args):
    with _opened(directory) as checkpointer:
      checkpointer.save(0, args.item)
      checkpointer.wait()

  def restore(self, directory, args):
    with _opened(directory) as checkpointer:
      found = checkpointer.restore(args.item)
    if found is None:
      raise Damaged(f"{directory}: not all ranks' parts are there")
    return found[0]


@ocp.args.register_with_handler(Handler, for_save=True)
@dataclasses.dataclass
class Save(ocp.args.CheckpointArgs):
  """item: the state."""

  item: Any


@ocp.args.register_with_handler(Handler, for_restore=True)
@dataclasses.dataclass
class Restore(ocp.args.CheckpointArgs):
  """item: the template; its numpy arrays are filled in place."""

  item: Any
