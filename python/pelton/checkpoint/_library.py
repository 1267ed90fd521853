# SPDX-License-Identifier: Apache-2.0
"""libpelton_checkpoint.so by ctypes; its header, pelton_checkpoint.h, says what each call means."""

import ctypes
import json
import os
import pathlib


class Error(Exception):
  """Of a checkpoint; the message names the file or tensor, and what to do."""


class Refused(Error):
  """The directory is another job's, a later attempt has begun, or the format is newer."""


class Damaged(Error):
  """Bytes are not what was written. With several ranks, or where the job's generation named the
  checkpoint, it is not taken again: end, and the next attempt takes another. Else none there is
  intact."""


class Failed(Error, OSError):
  """The disk: full, read-only, gone."""


_OK, _INVALID, _NONE, _REFUSED, _DAMAGED = range(5)
_ERRORS = {_INVALID: ValueError, _REFUSED: Refused, _DAMAGED: Damaged}
_NAME = "libpelton_checkpoint.so"


def _path():
  named = os.environ.get("PELTON_CHECKPOINT_LIBRARY")
  if named:
    return named
  here = pathlib.Path(__file__).resolve()
  for path in (here.parent / _NAME, here.parents[3] / "build/release" / _NAME):
    if path.exists():
      return str(path)
  if hasattr(__loader__, "archive"):  # the package that the executable has with it
    try:
      data = __loader__.get_data(os.path.join(os.path.dirname(__file__), _NAME))
    except OSError:
      return _NAME
    memory = os.memfd_create(_NAME)  # open for as long as the process lives: the path names it
    with os.fdopen(os.dup(memory), "wb") as file:
      file.write(data)
    return f"/proc/self/fd/{memory}"
  return _NAME  # where the linker looks


def _load():
  library = ctypes.CDLL(_path())
  library.pelton_checkpoint_error.restype = ctypes.c_char_p
  pointer, text = ctypes.c_void_p, ctypes.c_char_p
  for name, arguments in {
      "open": [text, ctypes.POINTER(pointer)], "save": [pointer, text, pointer],
      "prepare": [pointer, text], "wait": [pointer],
      "plan": [pointer, text, ctypes.POINTER(text)],
      "agree": [pointer, text, ctypes.POINTER(text)],
      "newest": [pointer, ctypes.POINTER(ctypes.c_int64)],
      "restore": [pointer, text, pointer, ctypes.POINTER(text)], "close": [pointer]}.items():
    function = getattr(library, "pelton_checkpoint_" + name)
    function.argtypes = arguments
    function.restype = None if name == "close" else ctypes.c_int
  return library


_library = None


def is_off():
  """Whether this process only compiles (pelton.jax.compiled, ahead): it reads and writes nothing."""
  return bool(os.environ.get("PELTON_AHEAD"))


def _call(name, *arguments):
  if is_off():
    return _NONE
  code = getattr(_library, "pelton_checkpoint_" + name)(*arguments)
  if code not in (_OK, _NONE):
    raise _ERRORS.get(code, Failed)(_library.pelton_checkpoint_error().decode())
  return code


def place(directory):
  """The same for every working directory; the URL of an object store is."""
  directory = os.fspath(directory)
  if directory.startswith("s3://"):
    return "s3://" + directory[5:].rstrip("/")
  return os.path.abspath(directory)


def _text(what):
  return json.dumps(what).encode()


def _addresses(pointers):
  return (ctypes.c_void_p * len(pointers))(*pointers)


def open(options):
  global _library
  _library = _library or (None if is_off() else _load())
  handle = ctypes.c_void_p()
  _call("open", _text(options), ctypes.byref(handle))
  return handle


def save(handle, what, pointers):
  _call("save", handle, _text(what), _addresses(pointers))


def plan(handle, what):
  answer = ctypes.c_char_p()
  _call("plan", handle, _text(what), ctypes.byref(answer))
  return json.loads(answer.value)


def agree(handle, what):
  """What all ranks say about it; None: nobody has said anything."""
  answer = ctypes.c_char_p()
  return None if _call("agree", handle, _text(what), ctypes.byref(answer)) == _NONE \
      else answer.value.decode()


def prepare(handle, what):
  _call("prepare", handle, _text(what))


def wait(handle):
  _call("wait", handle)


def newest(handle):
  step = ctypes.c_int64(-1)
  _call("newest", handle, ctypes.byref(step))
  return step.value


def restore(handle, targets, pointers):
  """What was loaded; None where nothing is committed."""
  answer = ctypes.c_char_p()
  code = _call("restore", handle, _text({"targets": targets}), _addresses(pointers),
               ctypes.byref(answer))
  return None if code == _NONE else json.loads(answer.value)


def close(handle):
  _library.pelton_checkpoint_close(handle)
