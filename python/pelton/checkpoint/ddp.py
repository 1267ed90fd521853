# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of what every rank of a PyTorch job has whole: DistributedDataParallel and alone.

  checkpointer = Checkpointer("/data/checkpoints", every=100)
  state = {"model": model, "optimizer": optimizer}      # whatever has state_dict, or dicts of tensors
  step = checkpointer.restore(state) or 0
  …
    checkpointer.save(step, state)
  checkpointer.wait()

Each rank saves its share, and its own random state (of the CPU). A restore fills the tensors that
are there in place, without a copy between; so a model made on torch.device("meta"), then
to_empty(device="cpu"), costs no time to initialise. What is sharded: pelton.checkpoint.torch.
"""

import base64
import ctypes
import io
import json
import math
import mmap

import torch

from pelton import checkpoint
from pelton.checkpoint import _library, _trees
from pelton.torch import attempt

_AS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_OF_NUMPY = frozenset({
    torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float16,
    torch.float32, torch.float64})

_PAGE, _MANY_BYTES, _MADV_POPULATE_WRITE = mmap.PAGESIZE, 1 << 20, 23
_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


class Checkpointer:
  """As pelton.checkpoint.Checkpointer, which says what its options, errors and tiers are."""

  def __init__(self, directory=None, **options):
    """After torch.distributed is initialized, unless a launcher tells the attempt."""
    self._checkpointer = checkpoint.Checkpointer(directory, **{**attempt(), **options})
    self.extra = None

  def newest(self):
    """The step that a restore would take; None where there is none."""
    answer = self._found()
    return answer and answer["step"]

  def save(self, step, state, extra=None):
    """Copies this rank's share, where the step is due; returns whether it was.

    state: or a function that returns it, called where it is due. extra: what JSON holds, this rank's
    own.
    """
    about = {"extra": extra}

    def copied():
      skeleton, tensors = split(_state_of(state() if callable(state) else state))
      about["random"] = _text_of(torch.get_rng_state())
      if self._checkpointer.rank == 0:
        about["tree"] = _text_of(skeleton)
        about["tensors"] = {name: [str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
                            for name, tensor in tensors.items()}
      return {name: _array(tensor) for name, tensor in tensors.items() if tensor.numel()}

    return self._checkpointer.save(step, copied, extra=about)

  def restore(self, state):
    """Loads the newest checkpoint into the objects of `state`; returns its step, None: there is none.

    `extra` is then what this rank saved with it, or rank 0 where there were fewer ranks. The random
    state is restored where there are as many ranks as there were.
    """
    loaded, in_place = self._load(split(_state_of(state))[1])
    if loaded is None:
      return None
    for name, part in state.items():
      if not _is_filled(loaded[name], in_place):
        (part.load_state_dict if hasattr(part, "load_state_dict") else part.update)(loaded[name])
    return self.step

  def load(self):
    """Returns the newest checkpoint as a tree of new tensors; None where there is none."""
    return self._load({})[0]

  def _load(self, here):
    """Returns (tree, ids of its tensors that are those of `here`)."""
    answer = self._found()
    if answer is None:
      return None, frozenset()
    about = answer["extras"]
    if not isinstance(about[0], dict) or "tree" not in about[0]:
      raise ValueError(f"step {answer['step']} was not saved by pelton.checkpoint.ddp")
    tensors, in_place = {}, set()
    for name, (dtype, shape) in about[0]["tensors"].items():
      dtype, found = getattr(torch, dtype), here.get(name)
      if (found is not None and found.dtype == dtype and list(found.shape) == shape
          and found.is_cpu and found.is_contiguous()):
        tensors[name] = found.detach()
        in_place.add(id(tensors[name]))
      else:
        tensors[name] = torch.empty(shape, dtype=dtype)
    arrays = {name: _array(tensor) for name, tensor in tensors.items() if math.prod(tensor.shape)}
    wanted = _trees.wanted(arrays)
    for array in arrays.values():
      _populate(array)
    _library.restore(self._checkpointer._handle,
                     [dict(leaf.tensor, offset=leaf.offset, extent=leaf.extent) for leaf in wanted],
                     [leaf.array.ctypes.data for leaf in wanted])
    rank = self._checkpointer.rank
    own = about[rank if rank < len(about) else 0]
    self.step, self.extra = answer["step"], own["extra"]
    if len(about) == self._checkpointer.world_size:
      torch.set_rng_state(_of_text(own["random"]))
    return joined(_of_text(about[0]["tree"]), tensors), in_place

  def _found(self):
    answer = _library.restore(self._checkpointer._handle, [], [])
    if answer is not None:
      answer["extras"] = [json.loads(extra or "null") for extra in answer["extras"]]
    return answer

  def wait(self):
    """Blocks until this rank's saves are durable; raises what went wrong with one of them."""
    self._checkpointer.wait()

  def close(self):
    """Waits for the saves, quietly, and ends."""
    self._checkpointer.close()


_TENSOR = "pelton/tensor"  # {_TENSOR: name} stands for a tensor in a skeleton


def split(tree):
  """Returns (skeleton, {name: tensor}): the tree with each tensor's name in its place."""
  tensors = {}

  def walk(part, name):
    if isinstance(part, torch.Tensor):
      tensors[name] = part.detach()
      return {_TENSOR: name}
    if isinstance(part, dict):
      return {key: walk(value, f"{name}/{key}") for key, value in part.items()}
    if type(part) in (list, tuple):
      return type(part)(walk(value, f"{name}/{i}") for i, value in enumerate(part))
    return part

  return walk(tree, "state"), tensors


def joined(skeleton, tensors):
  """What split() has taken apart."""
  if isinstance(skeleton, dict):
    if list(skeleton) == [_TENSOR]:
      return tensors[skeleton[_TENSOR]]
    return {key: joined(value, tensors) for key, value in skeleton.items()}
  if type(skeleton) in (list, tuple):
    return type(skeleton)(joined(value, tensors) for value in skeleton)
  return skeleton


def _state_of(state):
  return {name: part.state_dict() if hasattr(part, "state_dict") else part
          for name, part in state.items()}


def _is_filled(tree, in_place):
  """Whether a tree is made of tensors that were filled where they are, and of nothing else."""
  if isinstance(tree, torch.Tensor):
    return id(tree) in in_place
  return isinstance(tree, dict) and all(_is_filled(part, in_place) for part in tree.values())


def _array(tensor):
  """The tensor's memory as numpy sees it; of a type that numpy has not, as integers."""
  tensor = tensor.detach().cpu().contiguous()
  return (tensor if tensor.dtype in _OF_NUMPY else tensor.view(_AS[tensor.itemsize])).numpy()


def _populate(array):
  """Has the kernel make the pages of a big array at once: a fault for each takes twice as long."""
  first, end = -(-array.ctypes.data // _PAGE) * _PAGE, (array.ctypes.data + array.nbytes) // _PAGE * _PAGE
  if end - first >= _MANY_BYTES:
    _madvise(first, end - first, _MADV_POPULATE_WRITE)  # a kernel that cannot does nothing


def _text_of(what):
  file = io.BytesIO()
  torch.save(what, file)
  return base64.b64encode(file.getvalue()).decode()


def _of_text(text):
  return torch.load(io.BytesIO(base64.b64decode(text)), weights_only=True)
