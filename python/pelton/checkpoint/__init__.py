# SPDX-License-Identifier: Apache-2.0
"""Checkpoints that survive a crash at any moment: state in, state out, on any number of ranks.

  checkpointer = Checkpointer("/data/checkpoints")  # or "s3://bucket/prefix"
  state, extra = checkpointer.restore(state) or (state, {"position": 0})
  for step in …:
    …
    checkpointer.save(step, state, extra={"position": position})
  checkpointer.wait()

A state is a tree (dicts, lists, tuples, named tuples) of numpy or JAX arrays and
numbers. Arrays that every rank has whole are cut into one share per rank; a JAX array that is
sharded over processes, or a `Slice`, is saved as each rank has it. A save stalls for one copy.

Where the job has memory on its node (PELTON_MEMORY_DIR), the copy is made there and counts at once: it
survives the death of any process. With a directory, it is written from there. A restore takes the newest
from the fastest tier.

Rank, world size and the attempt come from the environment of `pelton run` or torchrun, or by
argument. Made once per process, after a fork; used from one thread at a time.
"""

import json
import math
import os
import time
import uuid

from pelton import heartbeat

from . import _library, _notice, _trees
from ._library import Damaged, Error, Failed, Refused
from ._trees import Slice

__all__ = ["Checkpointer", "Damaged", "Error", "Failed", "Refused", "Slice"]


class Checkpointer:
  """The checkpoints of one job: in one directory, which all of its ranks see, and in memory.

  "s3://BUCKET/PREFIX" is one in an S3-compatible store, whose address and credentials stand in the
  environment: AWS_ENDPOINT_URL (but for Amazon's own), AWS_REGION, AWS_ACCESS_KEY_ID,
  AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. A call that fails is tried again for
  PELTON_STORE_PATIENCE seconds (120), while training goes on.
  """

  def __init__(self, directory=None, *, every=1, memory_every=None, memory=None, keep=2, job=None,
               run=None, generation=None, rank=None, world_size=None):
    """Begins an attempt: whatever an earlier one still writes does not count any more.

    directory: the durable tier; None: memory alone, which ends with its node (a notice that it goes is
    not answered then: the newest step that peers have copies of is gone on from).
    every: save() does nothing at other steps (call it at each: where a node is to go, one more is
    saved before, the same at all ranks); "auto": by what saves cost and how often the job has failed
    (PELTON_FAILURES_OBSERVED; 4.2 times in 1,000 node-days, as far as nothing was seen), the same at
    all ranks, for each tier by the failures that it is needed for (call save() at each step then).
    memory_every: steps at which it copies to memory, besides; default the same ones. keep: how many
    committed checkpoints stay.
    memory: a directory in memory that outlives the processes; default PELTON_MEMORY_DIR, "": none.
    job: a directory belongs to one job; default PELTON_JOB_UID, else "".
    run, generation: of two attempts the later is right; default PELTON_JOB_UID or
    TORCHELASTIC_RUN_ID, and PELTON_GENERATION or TORCHELASTIC_RESTART_COUNT. One process alone needs
    neither; several started by hand must be told the same ones, new at each start.

    Raises Refused (another job's directory, fenced by a later attempt), Failed (the disk), and
    ValueError.
    """
    env = os.environ
    rank = int(env.get("RANK", 0)) if rank is None else rank
    world_size = int(env.get("WORLD_SIZE", 1)) if world_size is None else world_size
    if run is None:
      named = env.get("TORCHELASTIC_RUN_ID")
      run = env.get("PELTON_JOB_UID") or (named if named != "none" else None)
    if generation is None:
      generation = env.get("PELTON_GENERATION") or env.get("TORCHELASTIC_RESTART_COUNT")
    if run is None or generation is None:
      if world_size > 1:
        raise ValueError(f"{world_size} ranks must know which attempt they are: pass run= and "
                         "generation=, the same at all ranks and new at each start")
      run, generation = str(uuid.uuid4()), None
    self._is_auto = every == "auto"
    self._plan, self._last_call, self._step_seconds = None, None, 0.0
    if self._is_auto:
      if memory_every is not None:
        raise ValueError('memory_every: every="auto" decides about it')
      every = 1
    if every < 1:
      raise ValueError("every: must be at least 1")
    if memory_every is not None and memory_every < 1:
      raise ValueError("memory_every: must be at least 1")
    memory = env.get("PELTON_MEMORY_DIR", "") if memory is None else memory
    self.every = every
    self.memory_every = (memory_every or every) if memory else 0
    self.rank, self.world_size = rank, world_size
    self._nodes = max(1, world_size // int(env.get("LOCAL_WORLD_SIZE", 1)))
    self._is_durable = directory is not None
    job = env.get("PELTON_JOB_UID", "") if job is None else job
    handle = self._handle = _library.open({
        "directory": _library.place(directory) if self._is_durable else "",
        "memory": os.path.abspath(memory) if memory else "",
        # What the job's nodes hold: of no meaning for checkpoints that are not in memory.
        "restore": env.get("PELTON_RESTORE", "") if memory else "",
        "failures": env.get("PELTON_FAILURES_OBSERVED", "") if self._is_auto else "",
        "oneNode": world_size == int(env.get("LOCAL_WORLD_SIZE", 1)), "job": job, "run": run,
        "generation": -1 if generation is None else int(generation), "writer": rank,
        "writers": world_size, "keep": keep})
    self._notice = _notice.Notice(
        lambda **what: _library.agree(handle, what), lambda step: _library.newest(handle) >= step,
        world_size == 1) if self._is_durable else None  # memory goes with the node, its copies do not

  def save(self, step, state, extra=None):
    """Copies this rank's part of the state, which may be changed at once after; returns whether it
    was due. In memory it counts from then on; it is written to the directory, and committed with the
    last rank's part, in the background.

    state: a tree, or a function that returns it, called where it is due. extra: what JSON holds; this
    rank's own (RNG state, place in the data).
    Raises what went wrong with an earlier save, once; the state is saved no more then. Training can
    go on.
    """
    if _library.is_off():
      return False
    is_durable, is_due = self._due(step)
    is_asked = self._notice is not None and self._notice.is_due(step)
    if is_asked:
      is_durable = is_due = True
    if is_due:
      what, arrays = self._described(state() if callable(state) else state)
      what.update(step=step, extra=json.dumps(extra), durable=is_durable and self._is_durable)
      try:
        _library.save(self._handle, what, [array.ctypes.data for array in arrays])
      finally:  # ranks whose disks do not fail go on by the same plan
        if self._is_auto and is_durable:
          self._plan = _library.plan(self._handle, {"step": step, "nodes": self._nodes,
                                                    "stepSeconds": self._step_seconds})
          self._planned_at = step
    if is_asked:
      self._notice.saved()
      with heartbeat.phase("save"):  # waited for, since what follows would be lost
        _library.wait(self._handle)
      self._notice.tell()
    self._last_call = step, time.monotonic()
    return is_due

  def _due(self, step):
    """Whether the step is to be saved durably, and whether at all."""
    if not self._is_auto:
      is_durable = self._is_durable and step % self.every == 0
      return is_durable, is_durable or (self.memory_every > 0 and step % self.memory_every == 0)
    if self._last_call and step > self._last_call[0]:
      took = (time.monotonic() - self._last_call[1]) / (step - self._last_call[0])
      self._step_seconds += (took - self._step_seconds) * (0.2 if self._step_seconds else 1)
    if self._plan is None or step >= self._plan["next"]:
      return True, True
    return False, self.memory_every > 0 and (step - self._planned_at) % self._plan["memory"] == 0

  def prepare(self, state):
    """Makes the buffers, so that the first save stalls no longer than the others."""
    _library.prepare(self._handle, self._described(state)[0])

  def restore(self, template):
    """Returns (state, extra) of the newest checkpoint, in memory or committed, or of the one that the
    job's generation names (PELTON_RESTORE); None where there is none.

    The state has the template's structure, types, shapes and shardings; a numpy array of the
    template is filled in place, so it should be warm. `extra` is this rank's, or rank 0's where there
    were fewer ranks; all of them, the step, and the bytes that came from each tier are in
    `self.restored`.

    Raises Damaged (see there), ValueError naming the tensor that the checkpoint has not, or not so,
    and Refused for a newer format.
    """
    leaves = _trees.wanted(template)
    targets = [dict(leaf.tensor, offset=leaf.offset, extent=leaf.extent) for leaf in leaves]
    answer = _library.restore(self._handle, targets, [leaf.array.ctypes.data for leaf in leaves])
    if answer is None:
      return None
    answer["extras"] = [json.loads(extra or "null") for extra in answer["extras"]]
    self.restored = answer
    extras = answer["extras"]
    return _trees.rebuilt(template, leaves), extras[self.rank if self.rank < len(extras) else 0]

  def wait(self):
    """Blocks until this rank's saves are durable; raises what went wrong with one of them."""
    _library.wait(self._handle)

  def newest(self):
    """The newest committed step (without a directory: in this node's memory); None: there is none."""
    step = _library.newest(self._handle)
    return None if step < 0 else step

  def close(self):
    """Waits for the saves, quietly, and ends. Further calls fail."""
    if self._handle:
      _library.close(self._handle)
    self._handle = None

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self.close()

  def __del__(self):
    if getattr(self, "_handle", None):
      self.close()

  def _described(self, state):
    tensors, slices, arrays = [], [], []
    for turn, leaf in enumerate(_trees.held(state)):
      tensors.append(leaf.tensor)
      for offset, array in leaf.shares(self.rank, self.world_size, turn):
        slices.append({"tensor": turn, "offset": list(offset), "extent": list(array.shape)})
        arrays.append(array)
    assert all(array.flags.c_contiguous for array in arrays)
    return {"tensors": tensors, "slices": slices}, arrays


def size_of(state):
  """Bytes of a state, as all ranks together hold it."""
  return sum(leaf.tensor["itemBytes"] * math.prod(leaf.tensor["shape"])
             for leaf in _trees.held(state))
