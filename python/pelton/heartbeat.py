# SPDX-License-Identifier: Apache-2.0
"""The worker's side of the heartbeat page: which phase it is in, and since when.

The supervisor makes one page per rank, in shared memory, and names it in PELTON_HEARTBEAT. It is a
ring of records; each says that a phase began. Without that variable every call here does nothing.
A beat costs less than two microseconds (`./dev bench heartbeat`) and calls nothing that can block.

The layout, little endian: a header of 64 bytes (magic, version, capacity, generation, rank, pid,
number of records ever written), then `capacity` records of 32 bytes: index + 1, CLOCK_MONOTONIC in
nanoseconds, step or -1, phase. A record is filled before the header counts it. Then, where the page
is long enough, what _ticks.py says.
"""

import json
import mmap
import os
import struct
import sys
import threading
import time
import traceback

from pelton import _ticks

PHASES = {"none": 0, "start": 1, "compile": 2, "step": 3, "eval": 4, "save": 5, "restore": 6,
          "collective": 7, "data": 8, "done": 9, "exit": 10}

_HEADER = struct.Struct("<8sIIqiiQ")  # magic, version, capacity, generation, rank, pid, written
_HEADER_BYTES, _RECORD_BYTES = 64, 32
_MAGIC, _VERSION = b"PLTNBEAT", 1
_STEP = PHASES["step"]
_BY, _MAY_AGREE, _ANSWER = 5, 6, 7  # words of the header

_write = None  # the function that appends a record; None: this process has no page
_words = None  # the page as words of 64 bits; None as _write
_answered = 0  # the deadline whose save is done
_last = None  # returns the phase and step of the last record; None as _write
_is_dying = False  # of an exception that nobody caught
_looked = False  # whether PELTON_HEARTBEAT has been looked at
_lock = threading.Lock()


def beat(phase, step=-1):
  """Says that `phase` (a name of PHASES) begins now, at `step` if it belongs to one.

  Raises ValueError for a name that is none of them.
  """
  number = _number(phase)
  if _write is not None or attach():
    _write(number, step)


def step(number):
  """Says that the training step `number` begins now."""
  if _write is not None:
    _write(_STEP, number)
  elif not _looked and attach():
    _write(_STEP, number)


class phase:  # pylint: disable=invalid-name  (used as a function: `with pelton.phase("eval"):`)
  """A part of the program that is in another phase; what was before goes on after it."""

  __slots__ = ("_number", "_step", "_before")

  def __init__(self, name, step=None):  # pylint: disable=redefined-outer-name
    self._number, self._step, self._before = _number(name), step, None

  def __enter__(self):
    if _write is not None or attach():
      self._before = _last()
      _write(self._number, self._before[1] if self._step is None else self._step)
    return self

  def __exit__(self, *error):
    if self._before is not None and _write is not None:
      _write(*self._before)


def save_requested():
  """Whether a node of the job is to go soon, or this run is to end: save now, and then call saved().

  Ask at each step; it costs nothing. Ranks may hear of it one step apart.
  """
  return save_request()[0] != 0


def saved(number):
  """Says that the state of step `number` is safe on storage that outlives this node, in whole.

  By one rank: what was waited for goes on, so all others must have saved theirs.
  """
  global _answered
  if _words is not None:
    _answered = _words[_BY]
    _words[_ANSWER] = number + 2


def save_request():
  """Returns when the save has to be done by, in ms since 1970 (0: none is asked for, or it is
  done), and whether all ranks have been asked. The first call says that somebody here looks."""
  if _words is None and (_looked or not attach()):
    return 0, False
  if not _words[_ANSWER]:
    _words[_ANSWER] = 1
  by = _words[_BY]
  return (0, False) if by == _answered else (by, _words[_MAY_AGREE] == 1)


def _number(name):
  number = PHASES.get(name)
  if number is None:
    raise ValueError(f"pelton: there is no phase {name!r}; there are {', '.join(PHASES)}")
  return number


def attach():
  """Maps the page that PELTON_HEARTBEAT names, once; returns whether this process writes to one.

  A page belongs to one process: a child of a worker that inherited the variable gets none. What is
  wrong with a page is said once on stderr; training goes on without it.
  """
  global _write, _words, _last, _looked
  with _lock:
    if _looked:
      return _write is not None
    try:
      path = os.environ.get("PELTON_HEARTBEAT")
      if not path:
        return False
      with open(path, "r+b") as file:
        page = mmap.mmap(file.fileno(), 0)
      capacity, written = _take(page)
      words = memoryview(page).cast("q")
      _write, _last = _writer(words, capacity, written)
      _words = words
      ticks = (_HEADER_BYTES + _RECORD_BYTES * capacity) // 8
      if len(words) >= ticks + _ticks.WORDS:
        _ticks.start(words, ticks)
      return True
    except _OtherOwner:
      return False
    except (OSError, ValueError, struct.error) as error:
      print(f"pelton: no heartbeats: PELTON_HEARTBEAT={path}: {error}", file=sys.stderr)
      return False
    finally:
      _looked = True


def attach_anew():
  """As attach, in a child that has a page of its own: the parked parent's."""
  global _looked
  _looked = False
  return attach()


class _OtherOwner(Exception):
  pass


def _take(page):
  """Writes this process's pid into the header; returns (capacity, number of records written)."""
  magic, version, capacity, _, _, pid, written = _HEADER.unpack_from(page)
  if magic != _MAGIC or version != _VERSION:
    raise ValueError(f"not a heartbeat page of version {_VERSION}")
  if not 0 < capacity <= (len(page) - _HEADER_BYTES) // _RECORD_BYTES:
    raise ValueError(f"{capacity} records do not fit into {len(page)} bytes")
  if pid not in (0, os.getpid()) and os.path.exists(f"/proc/{pid}"):
    raise _OtherOwner
  page[28:32] = os.getpid().to_bytes(4, "little")
  return capacity, written


def _writer(words, capacity, written):
  # Words are stored whole; struct.pack_into would clear them first, and a reader would see that.
  clock, lock = time.monotonic_ns, _lock
  last = (0, -1)

  def write(number, at_step):
    nonlocal written, last
    with lock:
      slot = 8 + written % capacity * 4
      words[slot + 1] = clock()
      words[slot + 2] = at_step
      words[slot + 3] = number
      words[slot] = written = written + 1
      words[4] = written
      last = (number, at_step)

  return write, lambda: last


def _forget():
  """In a child: the page is its parent's."""
  global _write, _words, _last, _looked, _lock
  _write, _words, _last, _looked, _lock = None, None, None, True, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def report_exception(kind, value, trace, thread=None):
  """Writes beside the page what this process is about to die of, or only one thread. Never raises."""
  global _is_dying
  path = os.environ.get("PELTON_HEARTBEAT")
  if not path or not _may_report(path):
    return
  try:
    last = traceback.extract_tb(trace)[-1:] if trace else []
    where = f"{last[0].filename}:{last[0].lineno} in {last[0].name}" if last else ""
    if thread:
      where += f" (thread {thread})"
    line = json.dumps({"type": kind.__qualname__, "message": str(value)[:4000], "where": where})
    unfinished = f"{path}.exception.{os.getpid()}.tmp"
    with open(unfinished, "w", encoding="utf-8") as file:
      file.write(line + "\n")
    os.rename(unfinished, path + ".exception")
    if not thread:
      _is_dying = True
      if _write is not None or attach():
        _write(PHASES["exit"], _last()[1])
  except Exception:  # pylint: disable=broad-except  (the exception itself must still be printed)
    pass


def report_exit(code):
  """The same for sys.exit(code), of which nothing is printed, where the code says failure."""
  if code not in (None, 0):
    report_exception(SystemExit, f"sys.exit({code!r})", None)


def is_dying():
  """Whether an exception that nobody caught is about to end this process."""
  return _is_dying


class _Exit(SystemExit):
  """What sys.exit() raises: where nobody catches it, no frame is left when it is forgotten."""

  def __del__(self):
    if sys._getframe().f_back is None:  # pylint: disable=protected-access
      report_exit(self.code)


_Exit.__name__ = _Exit.__qualname__ = "SystemExit"


def _exit(status=None, /):
  is_main = threading.current_thread() is threading.main_thread()
  raise (_Exit if is_main else SystemExit)(status)  # of another thread it ends that alone


def _may_report(path):
  """Returns whether the page is this process's, or nobody's yet."""
  try:
    with open(path, "rb") as file:
      return _HEADER.unpack(file.read(_HEADER.size))[5] in (0, os.getpid())
  except (OSError, struct.error):
    return False


def install_exception_hooks(main_thread=True):
  """Makes exceptions that nobody catches known to the supervisor; they are printed as ever."""
  hook, thread_hook = sys.excepthook, threading.excepthook

  def on_exception(kind, value, trace):
    if issubclass(kind, Exception):
      report_exception(kind, value, trace)
    hook(kind, value, trace)

  def on_thread_exception(what):
    if what.exc_type is not SystemExit:
      name = what.thread.name if what.thread else "unknown"
      report_exception(what.exc_type, what.exc_value, what.exc_traceback, name)
    thread_hook(what)

  threading.excepthook = on_thread_exception
  if main_thread:
    sys.excepthook = on_exception
    _exit.__doc__ = sys.exit.__doc__
    sys.exit = _exit
