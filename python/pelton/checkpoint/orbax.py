# SPDX-License-Identifier: Apache-2.0
"""Pelton's checkpoints as an item of Orbax, which keeps its own directories, retention and steps.

  manager = ocp.CheckpointManager(directory, item_handlers=Handler())
  manager.save(step, args=Save(state))              # stalls for one copy
  state = manager.restore(step, args=Restore(template))

State and template are trees as pelton.checkpoint has them: of numpy arrays, numbers, and JAX arrays;
of a template also jax.ShapeDtypeStruct with a sharding. A template may have another sharding than was
saved, on another number of processes. Any Checkpointer and AsyncCheckpointer of Orbax will do as well.

A save before a node goes, whatever the handler; call manager.save() at each step then:

  policies = ocp.checkpoint_managers
  options = ocp.CheckpointManagerOptions(save_decision_policy=policies.AnySavePolicy(
      [NoticePolicy(directory), policies.FixedIntervalPolicy(100)]))
"""

import contextlib
import dataclasses
import os
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax._src import distributed

from pelton.checkpoint import Checkpointer, Damaged, _notice
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


class NoticePolicy(ocp.checkpoint_managers.SaveDecisionPolicy):
  """Saves the step that all processes agree upon when a node is to go, or `pelton run` to end; told
  as done at the first step after the manager has committed it. Made after
  jax.distributed.initialize().

  In AnySavePolicy it stands first: it has to be asked at each step.
  """

  def __init__(self, directory):
    """directory: the manager's."""
    is_alone = attempt()["world_size"] == 1
    self._notice = _notice.Notice(
        _mine if is_alone else _agreed, lambda step: max(
            ocp.path.step.checkpoint_steps(directory), default=-1) >= step,
        is_alone, (lambda by: True) if is_alone else _are_all_here)

  def should_save(self, step, previous_steps, *, context):
    is_due = self._notice.is_due(step.step)
    if is_due:
      self._notice.saved()
    return is_due


def _mine(name, mine=None):
  del name  # nobody else says anything
  return mine


def _agreed(name, mine=None):
  """By the coordination service, which is a new one for each attempt."""
  client, key = distributed.global_state.client, f"pelton/{name}"
  if mine is not None:
    with _unless("ALREADY_EXISTS"):
      client.key_value_set(key, mine)
  with _unless("NOT_FOUND"):
    return client.key_value_try_get(key)


def _are_all_here(by):
  jax.block_until_ready(jax.live_arrays())  # it runs ahead of its devices, and so of its peers
  state, key = distributed.global_state, f"pelton/here-{by}/"
  state.client.key_value_set(f"{key}{state.process_id}", "here", allow_overwrite=True)
  return len(state.client.key_value_dir_get(key)) == state.num_processes


@contextlib.contextmanager
def _unless(code):
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if code not in str(error):
      raise
