# SPDX-License-Identifier: Apache-2.0
"""Keeps compiled programs: each rank stores its own, straight after compiling it.

A file that does not fit, is damaged or does not load is a reason to compile, never an error. It is
code: who may write to the directory may run what they like in the ranks.
"""

import hashlib
import os
import pathlib
import pickle
import platform
import sys
import tempfile

from pelton import _jax_ahead, heartbeat

MAGIC = b"PELTON-PROGRAM-1\n"
KEPT = 16  # programs of a rank; the least recently used go first


def compiled(jitted, key=None, directory=None, ahead=False):
  """Returns a callable that does what `jitted` (the result of jax.jit) does.

  For arguments of new shapes its machine code is loaded if this rank has stored it before, else
  compiled and stored. It is found by the program's own text, for which it has to be traced. With a
  `key` it is not: a text that has to change whenever the program does (say, the sources and sizes
  that make it); JAX's version, the devices, the rank and the arguments' shapes are part of it
  anyway. Stored in `directory`, else in PELTON_MEMORY_DIR, else beside the heartbeat pages; where
  none of these is, nothing is stored.

  With `ahead`, which is for one function of a script, the programs for the job with one pod less are
  made while it trains: the same command runs beside each rank, at low priority, up to the first
  call of this function. There PELTON_AHEAD is set and a Checkpointer does nothing; whatever else the
  script writes before its first step has to look at that. It needs the memory of a second worker
  meanwhile, is for ranks on CPUs, and finds its program where the function and its arguments follow
  from the command line, the rank and the number of ranks.
  """
  return Compiled(jitted, key, directory, ahead)


class Compiled:
  """A jitted function with its stored programs. `loaded`: whether the last one was not compiled."""

  def __init__(self, jitted, key, directory, ahead=False):
    self._jitted, self._key = jitted, key
    self._directory = _directory(directory)
    self._programs = {}  # by the arguments' shapes
    self._last = self._path = None
    self._is_ahead = ahead and _jax_ahead.is_ahead()
    self._calls_left = _jax_ahead.AFTER_CALLS if ahead else 0  # until others are made
    self.loaded = False

  def __call__(self, *arguments, **named):
    if self._calls_left:
      self._calls_left -= 1
      if not self._calls_left and self._path is not None:
        _jax_ahead.start(self._path)
    if self._last is not None and len(self._programs) == 1:
      try:
        return self._last(*arguments, **named)
      except (TypeError, ValueError):  # before anything ran: other shapes, or a mistake
        if _shapes(arguments, named) in self._programs:
          raise
    return self.prepare(*arguments, **named)(*arguments, **named)

  def prepare(self, *arguments, **named):
    """Loads or compiles what a call with these arguments runs, and returns it."""
    shapes = _shapes(arguments, named)
    if shapes not in self._programs:
      with heartbeat.phase("compile"):
        self._programs[shapes] = self._load_or_compile(shapes, arguments, named)
      if self._is_ahead:
        _jax_ahead.leave(self._path)
    self._last = self._programs[shapes]
    return self._last

  def _load_or_compile(self, shapes, arguments, named):
    lowered = None
    if self._key is None or self._directory is None:
      lowered = self._jitted.lower(*arguments, **named)
    self.loaded = False
    if self._directory is None:
      return lowered.compile()
    text = lowered.as_text() if self._key is None else self._key
    path = self._path = self._directory / _name(text, shapes)
    program = _load(path)
    if program is not None:
      self.loaded = True
      return program
    program = _compile_without_cache(lowered or self._jitted.lower(*arguments, **named))
    _save(path, program)
    return program


def _directory(given):
  if given is not None:
    return pathlib.Path(given)
  if _jax_ahead.is_ahead():
    return pathlib.Path(os.environ["PELTON_AHEAD"]).parent
  if os.environ.get("PELTON_MEMORY_DIR"):
    return pathlib.Path(os.environ["PELTON_MEMORY_DIR"], "programs")
  if os.environ.get("PELTON_HEARTBEAT"):
    return pathlib.Path(os.environ["PELTON_HEARTBEAT"]).parent / "programs"
  return None


def _shapes(arguments, named):
  """Returns a text that differs where another program is needed for these arguments."""
  import jax  # pylint: disable=import-outside-toplevel
  leaves, tree = jax.tree_util.tree_flatten((arguments, named))
  parts = [str(tree)]
  for leaf in leaves:
    sharding = getattr(leaf, "sharding", None)
    mesh = getattr(sharding, "mesh", None)
    devices = getattr(mesh, "devices", None)
    ids = [device.id for device in devices.flat] if hasattr(devices, "flat") else sorted(
        device.id for device in getattr(sharding, "device_set", ()))
    kind = getattr(leaf, "dtype", type(leaf).__name__)
    weak = getattr(getattr(leaf, "aval", None), "weak_type", False)
    parts.append(f"{kind}{getattr(leaf, 'shape', ())} {weak} {sharding} {ids}")
  return "\n".join(parts)


def _name(text, shapes):
  import jax  # pylint: disable=import-outside-toplevel
  import jaxlib  # pylint: disable=import-outside-toplevel
  rank, devices = jax.process_index(), jax.devices()
  settings = sorted((name, repr(value)) for name, value in jax.config.values.items()
                    if not name.endswith(("_dir", "_log_compiles", "_timeout")))
  digest = hashlib.sha256()
  for part in (text, shapes, str(rank), str(jax.process_count()), jax.__version__,
               jaxlib.__version__, devices[0].client.platform_version, repr(settings),
               " ".join(f"{d.id}:{d.process_index}:{d.device_kind}" for d in devices),
               os.environ.get("XLA_FLAGS", ""), os.environ.get("LIBTPU_INIT_ARGS", ""),
               platform.machine(), _cpu_features()):
    digest.update(part.encode() + b"\0")
  return f"{digest.hexdigest()[:32]}.rank-{rank}.bin"


def _cpu_features():
  """Returns the first CPU's feature flags: machine code is made for them."""
  try:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
      return next((line for line in file if line.startswith(("flags", "Features"))), "")
  except OSError:
    return ""


def _load(path):
  try:
    data = path.read_bytes()
  except OSError:
    return None
  try:
    body = memoryview(data)[len(MAGIC) + 32 :]
    if not data.startswith(MAGIC) or hashlib.sha256(body).digest() != data[len(MAGIC) :][:32]:
      raise ValueError("it is damaged")
    from jax.experimental import serialize_executable  # pylint: disable=import-outside-toplevel
    program = serialize_executable.deserialize_and_load(*pickle.loads(body))
    os.utime(path)
    return program
  except Exception as error:  # pylint: disable=broad-except  (whatever it is, compiling helps)
    first = (str(error) or type(error).__name__).splitlines()[0]
    print(f"pelton: compiling anew: {path} does not load: {first}", file=sys.stderr)
    return None


def _compile_without_cache(lowered):
  """Compiles in earnest: what JAX's own cache returns cannot be stored (it does not load)."""
  import jax  # pylint: disable=import-outside-toplevel
  if not (jax.config.jax_compilation_cache_dir and jax.config.jax_enable_compilation_cache):
    return lowered.compile()
  from jax.experimental.compilation_cache import compilation_cache  # pylint: disable=C0415
  compilation_cache.reset_cache()
  jax.config.update("jax_enable_compilation_cache", False)
  try:
    return lowered.compile()
  finally:
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def _save(path, program):
  """Puts the program under its name in one step. What fails here costs only time later."""
  unfinished = None
  try:
    from jax.experimental import serialize_executable  # pylint: disable=import-outside-toplevel
    body = pickle.dumps(serialize_executable.serialize(program))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".program-")
    with open(handle, "wb") as file:
      file.write(MAGIC + hashlib.sha256(body).digest())
      file.write(body)
    os.rename(unfinished, path)
    rank = path.name.partition(".")[2]
    old = sorted(path.parent.glob(f"*.{rank}"), key=lambda kept: kept.stat().st_mtime)[:-KEPT]
    for kept in old:
      kept.unlink(missing_ok=True)
  except Exception as error:  # pylint: disable=broad-except
    first = (str(error) or type(error).__name__).splitlines()[0]
    print(f"pelton: the compiled program is not stored: {first}", file=sys.stderr)
    if unfinished and os.path.exists(unfinished):
      os.unlink(unfinished)
