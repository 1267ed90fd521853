# SPDX-License-Identifier: Apache-2.0
"""The training text: the Python standard library's own source, found on this machine.

Real text that every machine with Python has, so nothing is downloaded. Bytes are the alphabet, so
there is no tokenizer either.

A sample is one window of the text. An epoch is all samples in an order drawn from its number, each
exactly once; so the place in the data is one number, how many samples have been read, and it means
the same on any number of ranks.
"""

import functools
import hashlib
import pathlib
import sysconfig

import numpy as np

BYTE_VALUES = 256


def load_corpus(root=None):
  """Returns (bytes as a uint8 array, their SHA-256), every .py file below `root` in path order.

  `root` defaults to the standard library of the interpreter that runs this. Raises ValueError
  when there is too little text to train on. Packages that were installed on top of the standard
  library are left out: they differ between machines.
  """
  root = pathlib.Path(root or sysconfig.get_path("stdlib"))
  skipped = {"site-packages", "dist-packages", "__pycache__"}
  files = [p for p in sorted(root.rglob("*.py")) if not skipped.intersection(p.parts)]
  text = b"\n".join(p.read_bytes() for p in files)
  if len(text) < 4096:
    raise ValueError(f"only {len(text)} bytes of Python source below {root}: nothing to train on")
  return np.frombuffer(text, dtype=np.uint8), hashlib.sha256(text).hexdigest()


@functools.lru_cache(maxsize=2)
def order_of(seed, epoch, samples):
  """Returns the order in which an epoch reads the samples 0 … samples - 1."""
  return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, epoch])).permutation(samples)


def samples_at(text, *, seed, position, count, length):
  """Returns the numbers of the `count` samples that come after `position` others were read."""
  samples = (len(text) - 1) // length
  turns = range(position, position + count)
  return [int(order_of(seed, turn // samples, samples)[turn % samples]) for turn in turns]


def read(text, samples, length):
  """Returns the int32 array [samples, length + 1] of these samples."""
  return np.stack([text[n * length : (n + 1) * length + 1] for n in samples]).astype(np.int32)
