# SPDX-License-Identifier: Apache-2.0
"""Pelton's checkpoints under `torch.distributed.checkpoint` (DCP), which plans and reshards.

  writer = StorageWriter("/data/checkpoints")
  dcp.save(state_dict, storage_writer=writer, checkpoint_id=step)     # also dcp.async_save
  writer.wait()                                                       # before the program ends

  reader = StorageReader("/data/checkpoints")
  if reader.newest() is not None:
    dcp.load(state_dict, storage_reader=reader)                       # any number of ranks

Tensors are slices of the checkpoint; what is no tensor goes into the manifest of the rank that DCP
gives it to. dcp.save returns once the bytes are copied; they are written, and committed with the
last rank's, in the background, and what goes wrong there is raised by the next save or by wait().
DCP's directory per step does not exist: a reader loads the newest committed step.

One step more is saved before a node goes, where the loop asks at each:

  if writer.is_save_asked(step) or step % 100 == 0:
    dcp.save(state_dict, storage_writer=writer, checkpoint_id=step)
"""

import base64
import contextlib
import io
import json
import math
import os
import re
import threading

import torch
import torch.distributed as dist
from torch.distributed.checkpoint import metadata as dcp_metadata
from torch.distributed.checkpoint import planner as dcp_planner
from torch.distributed.checkpoint import storage as dcp_storage
from torch.futures import Future

from pelton import heartbeat
from pelton.checkpoint import Checkpointer, _library, _notice
from pelton.torch import attempt

_checkpointers = {}  # of this process, by directory: writer and reader are of one attempt


class _Storage:
  """What reads and writes the checkpoints of one directory."""

  def __init__(self, directory, **options):
    """options: of Checkpointer (keep, job, …), which count where the directory is named first.

    With several ranks torch.distributed has to be initialized. Raises as Checkpointer does.
    """
    path = _library.place(directory)
    if path not in _checkpointers:
      _checkpointers[path] = Checkpointer(path, **{"memory": "", **attempt(), **options})
    self.checkpointer = _checkpointers[path]
    self.directory = path

  @classmethod
  def validate_checkpoint_id(cls, checkpoint_id):
    return _step_of(checkpoint_id) is not None


class StorageWriter(_Storage, dcp_storage.StorageWriter):
  """Saves. `extra`, what JSON holds, is saved with each checkpoint as this rank's own (RNG state,
  place in the data)."""

  def __init__(self, directory, **options):
    super().__init__(directory, **options)
    self.extra = None
    self._step, self._named = self.checkpointer.newest() or 0, None
    self._asked = None
    self._lock = threading.RLock()  # dcp.async_save writes in a thread of its own
    self._notice = _notice.Notice(
        self._agree, lambda step: (self.newest() or 0) >= step, self.checkpointer.world_size == 1,
        self._are_all_here)

  def is_save_asked(self, step):
    """Whether a node is to go, or `pelton run` to end, and this is the step that all ranks save
    before. Ask at each step, at all ranks, and save it then under its number. Who waits for the save
    is told when it is committed; dcp.save() returns only then, after dcp.async_save() the next
    question does."""
    is_asked = self._notice.is_due(step)
    if is_asked:
      self._notice.saved()
      self._asked = step
    return is_asked

  def _agree(self, **what):
    with self._lock:
      return _library.agree(self.checkpointer._handle, what)

  def _are_all_here(self, by):
    world = self.checkpointer.world_size
    if world == 1:
      return True
    if torch.cuda.is_available():
      torch.cuda.synchronize()  # it runs ahead of its device, and so of its peers
    store = dist.distributed_c10d._get_default_store()
    key = f"pelton/here/{os.environ.get('PELTON_GENERATION')}/{by}/"
    store.set(f"{key}{self.checkpointer.rank}", "here")
    return store.check([f"{key}{rank}" for rank in range(world)])

  def wait(self):
    """Blocks until this rank's saves are durable; raises what went wrong with one of them."""
    with self._lock:
      self.checkpointer.wait()

  def newest(self):
    """The newest committed step; None where there is none."""
    with self._lock:
      return self.checkpointer.newest()

  def reset(self, checkpoint_id=None):
    """checkpoint_id: the step, or a name that ends in it; default: one more than the last."""
    self._named = None if checkpoint_id is None else _step_of(checkpoint_id)
    if self._named is None and checkpoint_id is not None:
      raise ValueError(f"checkpoint_id {checkpoint_id!r}: must be a step, or a name that ends in it")

  def set_up_storage_writer(self, is_coordinator, *args, **kwargs):
    self._step = self._step + 1 if self._named is None else self._named
    self._named = None  # DCP calls reset only where there is a checkpoint_id

  def prepare_local_plan(self, plan):
    return plan

  def prepare_global_plan(self, plans):
    """Tells every rank which tensors there are in all."""
    usable = [plan for plan in plans if plan.usable]
    tensors = {}
    for item in (item for plan in usable for item in plan.items if item.tensor_data):
      data = item.tensor_data
      tensors[item.index.fqn] = {
          "name": item.index.fqn, "dtype": _name_of(data.properties.dtype),
          "itemBytes": data.properties.dtype.itemsize, "shape": list(data.size)}
    tensors = [tensors[name] for name in sorted(tensors)]
    if len(usable) < len(plans) and usable:
      raise ValueError("a planner with enable_plan_caching=True: the plan of some ranks changed and "
                       "that of others did not; use one without it")
    return [plan if not plan.usable else _with(plan, tensors) for plan in plans]

  def write_data(self, plan, planner):
    tensors = plan.storage_data
    places = {tensor["name"]: i for i, tensor in enumerate(tensors)}
    objects, slices, held = {}, [], []
    for item in plan.items:
      value = planner.resolve_data(item)
      if item.type == dcp_planner.WriteItemType.BYTE_IO:
        objects[item.index.fqn] = base64.b64encode(value.getbuffer()).decode()
        continue
      chunk = item.tensor_data.chunk
      slices.append({"tensor": places[item.index.fqn], "offset": list(chunk.offsets),
                     "extent": list(chunk.sizes)})
      held.append(value.detach().to("cpu").contiguous())
    kept = [(one, tensor) for one, tensor in zip(slices, held) if tensor.numel()]
    extra = {"extra": self.extra, "objects": objects, "paths": _paths(plan.planner_data),
             "chunks": [{**tensors[one["tensor"]], "offset": one["offset"], "extent": one["extent"]}
                        for one in slices]}
    with self._lock:
      _library.save(
          self.checkpointer._handle,
          {"step": self._step, "extra": json.dumps(extra), "tensors": tensors,
           "slices": [one for one, _ in kept]},
          [tensor.data_ptr() for _, tensor in kept])
      if self._step == self._asked:
        self._wait_for_commit()
    done = Future()
    done.set_result([dcp_storage.WriteResult(item.index, item.tensor_storage_size() or 0, None)
                     for item in plan.items])
    return done

  def _wait_for_commit(self):
    """Waits for the save that was asked for, since what follows would be lost."""
    is_loop = threading.current_thread() is threading.main_thread()
    with heartbeat.phase("save") if is_loop else contextlib.nullcontext():
      self.checkpointer.wait()
    self._notice.tell()

  def finish(self, metadata, results):
    pass  # who writes the last part commits


class StorageReader(_Storage, dcp_storage.StorageReader):
  """Loads the newest committed checkpoint. After a load, `step` is its step and `extra` what this
  rank saved with it, or rank 0 where there were fewer ranks."""

  def __init__(self, directory, **options):
    super().__init__(directory, **options)
    self.step = self.extra = self._wanted = None
    self._objects = {}

  def newest(self):
    """The step that a load would take, the same at all ranks; None where there is none."""
    answer = _library.restore(self.checkpointer._handle, [], [])
    return answer and answer["step"]

  def reset(self, checkpoint_id=None):
    """checkpoint_id: the step that has to be the newest, or a name that ends in it."""
    self._wanted = None if checkpoint_id is None else _step_of(checkpoint_id)

  def read_metadata(self, *args, rank=None, **kwargs):
    wanted = self._wanted
    if rank is not None:  # DCP asks again, for this rank's own, after an error
      self._wanted = None
    answer = _library.restore(self.checkpointer._handle, [], [])
    if answer is None:
      raise FileNotFoundError(f"{self.directory}: no checkpoint is committed there")
    if wanted not in (None, answer["step"]):
      raise ValueError(f"{self.directory}: step {wanted} is asked for, and the newest that is "
                       f"committed is {answer['step']}")
    self.step = answer["step"]
    parts = [json.loads(extra) or {} for extra in answer["extras"]]
    if not all("chunks" in part for part in parts):
      raise ValueError(f"{self.directory}: step {self.step} was not saved by this StorageWriter")
    own = self.checkpointer.rank
    self.extra = parts[own if own < len(parts) else 0]["extra"]
    self._objects = {name: text for part in parts for name, text in part["objects"].items()}
    found = {name: dcp_metadata.BytesStorageMetadata() for name in self._objects}
    for chunk in (chunk for part in parts for chunk in part["chunks"]):
      tensor = found.setdefault(chunk["name"], dcp_metadata.TensorStorageMetadata(
          dcp_metadata.TensorProperties(dtype=getattr(torch, chunk["dtype"])),
          torch.Size(chunk["shape"]), []))
      tensor.chunks.append(dcp_metadata.ChunkStorageMetadata(
          torch.Size(chunk["offset"]), torch.Size(chunk["extent"])))
    paths = {name: tuple(path) for part in parts for name, path in part["paths"].items()}
    return dcp_metadata.Metadata(found, planner_data=paths)

  def set_up_storage_reader(self, metadata, is_coordinator, *args, **kwargs):
    self._metadata = metadata.state_dict_metadata
    self._wanted = None

  def prepare_local_plan(self, plan):
    return plan

  def prepare_global_plan(self, plans):
    return plans

  def read_data(self, plan, planner):
    targets, places = [], []
    for item in plan.items:
      name = item.storage_index.fqn
      if item.type == dcp_planner.LoadItemType.BYTE_IO:
        planner.load_bytes(item, io.BytesIO(base64.b64decode(self._objects[name])))
        continue
      stored = self._metadata[name]
      dtype = stored.properties.dtype
      target = planner.resolve_tensor(item).detach()
      direct = target.is_cpu and target.is_contiguous() and target.dtype == dtype
      places.append((item, target, target if direct else torch.empty(item.lengths, dtype=dtype)))
      targets.append({
          "name": name, "dtype": _name_of(dtype), "itemBytes": dtype.itemsize,
          "shape": list(stored.size), "extent": list(item.lengths),
          "offset": [a + b for a, b in zip(item.storage_index.offset, item.storage_offsets)]})
    filled = [i for i, target in enumerate(targets) if math.prod(target["extent"])]
    _library.restore(self.checkpointer._handle, [targets[i] for i in filled],
                     [places[i][2].data_ptr() for i in filled])
    for item, target, buffer in places:
      if buffer is not target:
        target.copy_(buffer)
      planner.commit_tensor(item, target)
    done = Future()
    done.set_result(None)
    return done


def _step_of(checkpoint_id):
  match = re.search(r"(\d+)/*$", str(checkpoint_id))
  return int(match[1]) if match else None


def _name_of(dtype):
  return str(dtype).removeprefix("torch.")


def _with(plan, tensors):
  return dcp_planner.SavePlan(plan.items, tensors, plan.planner_data, plan.usable)


def _paths(planner_data):
  """Where in the state the planner found what it flattened: {name: path}, as JSON holds it."""
  return {name: list(path) for name, path in planner_data.items()} if planner_data else {}
