# SPDX-License-Identifier: Apache-2.0
"""Keeps the compiled step beside the checkpoints: a restarted rank loads it instead of compiling.

JAX's own persistent cache is written by process 0 alone, under keys that no other process has, so a
restart of four ranks would compile three times. Here each rank keeps its own. A file that does not
fit or does not load is a reason to compile, never an error. It is code: who may write to the
directory may run what they like in the ranks.
"""

import hashlib
import os
import pathlib
import pickle
import platform

import jax
from jax.experimental import serialize_executable


def key_of(run, rank):
  """Returns a name for the program: whatever changes the machine code changes the name."""
  here = pathlib.Path(__file__).parent
  digest = hashlib.sha256()
  for part in (repr(sorted(run.items())), str(rank), jax.__version__,
               os.environ.get("XLA_FLAGS", ""), platform.machine(), cpu_features(), (here / "model.py").read_text(),
               (here / "train.py").read_text()):
    digest.update(part.encode() + b"\0")
  return f"step-{digest.hexdigest()[:16]}.rank-{rank}.bin"


def cpu_features():
  """Returns the first CPU's feature flags: machine code is made for them."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      return next((line for line in file if line.startswith(("flags", "Features"))), "")
  except OSError:
    return ""


def load_or_compile(jitted, arguments, directory, key):
  """Returns (callable, whether it was loaded). Without a directory it is always compiled."""
  path = pathlib.Path(directory, key) if directory else None
  if path and path.exists():
    try:
      return serialize_executable.deserialize_and_load(*pickle.loads(path.read_bytes())), True
    except Exception as error:  # pylint: disable=broad-except  (whatever it is, compiling helps)
      print(f"compiling anew: {path} does not load: {error}", flush=True)
  program = jitted.lower(*arguments).compile()
  if path:
    save(path, program)
  return program, False


def save(path, program):
  """Puts the program under its name in one step. What fails here costs only time later."""
  unfinished = path.with_suffix(f".{os.getpid()}.tmp")
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_bytes(pickle.dumps(serialize_executable.serialize(program)))
    unfinished.rename(path)
  except (OSError, ValueError) as error:
    print(f"the compiled step is not kept: {error}", flush=True)
    unfinished.unlink(missing_ok=True)
