# SPDX-License-Identifier: Apache-2.0
"""Trees of arrays as named tensors and the parts of them that this rank has, or wants."""

import sys

import numpy as np


class Slice:
  """A part of a tensor, as this rank has it: `array` lies at `offset` of a tensor of
  `global_shape`. Another rank has the rest."""

  def __init__(self, array, global_shape, offset):
    self.array, self.global_shape, self.offset = array, tuple(global_shape), tuple(offset)


class _Leaf:
  """One tensor; of it, `parts`: (offset, contiguous array), or the whole, which every rank has."""

  def __init__(self, name, dtype, shape, whole=None, parts=()):
    self.tensor = {"name": name, "dtype": dtype.name, "itemBytes": dtype.itemsize,
                   "shape": list(shape)}
    self.whole, self.parts = whole, parts

  def shares(self, rank, ranks, turn):
    """The parts that this rank saves."""
    if self.whole is None:
      return self.parts
    for d, n in enumerate(self.whole.shape):
      if n >= ranks:
        first = n * rank // ranks
        index = (slice(None),) * d + (slice(first, n * (rank + 1) // ranks),)
        offset = [0] * self.whole.ndim
        offset[d] = first
        return [(offset, np.ascontiguousarray(self.whole[index]))]
    return [([0] * self.whole.ndim, self.whole)] if turn % ranks == rank else []


class _Wanted:
  """One part to be filled: `array`."""

  def __init__(self, leaf, offset, array, shape):
    self.leaf, self.tensor, self.array = leaf, leaf.tensor, array
    self.offset, self.extent = [int(n) for n in offset], list(shape)


def _flat(tree, name=""):
  """(name, leaf) of dicts, lists and tuples, by sorted key."""
  if isinstance(tree, dict):
    for key in sorted(tree, key=str):
      yield from _flat(tree[key], f"{name}/{key}")
  elif isinstance(tree, (list, tuple)):
    for i, item in enumerate(tree):
      yield from _flat(item, f"{name}/{i}")
  elif tree is not None:
    yield name[1:] or "state", tree


def _mapped(tree, leaves):
  if isinstance(tree, dict):
    done = {key: _mapped(tree[key], leaves) for key in sorted(tree, key=str)}
    return type(tree)((key, done[key]) for key in tree)
  if isinstance(tree, tuple) and hasattr(tree, "_fields"):
    return type(tree)(*(_mapped(item, leaves) for item in tree))
  if isinstance(tree, (list, tuple)):
    return type(tree)(_mapped(item, leaves) for item in tree)
  return None if tree is None else next(leaves)


def _is_jax(value):
  jax = sys.modules.get("jax")
  return jax is not None and isinstance(value, (jax.Array, jax.ShapeDtypeStruct))


def _held_jax(name, value):
  parts = []
  for shard in value.addressable_shards:
    if shard.replica_id == 0:
      offset = [index.start or 0 for index in shard.index]
      parts.append((offset, np.ascontiguousarray(shard.data).reshape(shard.data.shape)))
  return _Leaf(name, np.dtype(value.dtype), value.shape, parts=parts)


def _leaf(name, value):
  if isinstance(value, Slice):
    array = np.ascontiguousarray(value.array)
    return _Leaf(name, array.dtype, value.global_shape, parts=[(list(value.offset), array)])
  if _is_jax(value) and not value.sharding.is_fully_addressable:
    return _held_jax(name, value)
  whole = np.asarray(value)
  if whole.dtype.hasobject:
    raise ValueError(f"tensor {name}: {type(value).__name__} is no array or number")
  return _Leaf(name, whole.dtype, whole.shape,
               whole=np.ascontiguousarray(whole).reshape(whole.shape))


def held(state):
  """The tensors of a state, in an order that is the same at all ranks."""
  return [_leaf(name, value) for name, value in _flat(state)]


def _wanted_leaf(name, value):
  if isinstance(value, Slice):
    array = value.array
    if not array.flags.c_contiguous:
      raise ValueError(f"tensor {name}: the array of a Slice must be contiguous")
    leaf = _Leaf(name, array.dtype, value.global_shape)
    return [_Wanted(leaf, value.offset, array, array.shape)]
  if _is_jax(value):
    dtype = np.dtype(value.dtype)
    leaf = _Leaf(name, dtype, value.shape)
    wanted = []
    for index in value.sharding.addressable_devices_indices_map(value.shape).values():
      spans = [part.indices(n) for part, n in zip(index, value.shape)]
      shape = [stop - start for start, stop, _ in spans]
      wanted.append(_Wanted(leaf, [span[0] for span in spans], np.empty(shape, dtype), shape))
    return wanted
  is_usable = isinstance(value, np.ndarray) and value.flags.c_contiguous and value.flags.writeable
  array = value if is_usable else np.empty_like(np.asarray(value), order="C")
  return [_Wanted(_Leaf(name, array.dtype, array.shape), [0] * array.ndim, array, array.shape)]


def wanted(template):
  """What is to be loaded for a template, with memory for it."""
  return [part for name, value in _flat(template) for part in _wanted_leaf(name, value)]


def rebuilt(template, parts):
  """The template's structure with what was loaded."""
  remaining = iter(parts)

  def leaf(value):
    if _is_jax(value):
      import jax
      devices = value.sharding.addressable_devices_indices_map(value.shape)
      shards = [jax.device_put(next(remaining).array, device) for device in devices]
      return jax.make_array_from_single_device_arrays(value.shape, value.sharding, shards)
    part = next(remaining)
    if isinstance(value, Slice):
      return Slice(part.array, value.global_shape, value.offset)
    return part.array if isinstance(value, np.ndarray) else part.array[()]

  return _mapped(template, iter([leaf(value) for _, value in _flat(template)]))
