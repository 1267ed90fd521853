# SPDX-License-Identifier: Apache-2.0
"""The training text: the Python standard library's own source, found on this machine.

Real text that every machine with Python has, so nothing is downloaded. Bytes are the alphabet, so
there is no tokenizer either.

What a part of a batch holds is a pure function of (seed, step, part): a resumed run needs no data
loader state to see exactly the batches that an uninterrupted one sees.
"""

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


def batch_for(text, *, seed, step, part, sequences, length):
  """Returns the int32 array [sequences, length + 1]: one part of the batch of `step`."""
  random = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, part, step]))
  starts = random.integers(0, len(text) - length - 1, size=sequences)
  return np.stack([text[s : s + length + 1] for s in starts]).astype(np.int32)
