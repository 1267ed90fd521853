# SPDX-License-Identifier: Apache-2.0
"""Turns a process that was forked from the parked parent into `python SCRIPT ARGUMENTS…`.

What the script can see is what it would see if it had been started by hand: argv, __main__,
sys.path, the environment, the standard streams, signals, tracebacks, and the exit code, which
CPython itself computes, because whatever the script raises goes on up to it. What differs: the
frames below the script's own belong to the parked parent (inspect.stack() shows them), hash seeds
are the parent's, and more modules are loaded.
"""

import builtins
import contextlib
import gc
import importlib.machinery
import io
import os
import pkgutil
import random
import runpy
import signal
import sys
import types

from pelton import heartbeat

# What a framework or the interpreter reads when it starts: a worker that has other values cannot
# come from this parent.
STARTUP_PREFIXES = ("PYTHON", "LD_", "LC_", "LANG", "GLIBC_", "MALLOC_", "JAX_", "XLA_", "TF_",
                    "TPU_", "LIBTPU_", "TORCH_", "PYTORCH_", "OMP_", "KMP_", "MKL_", "OPENBLAS_",
                    "GOTO_", "BLIS_", "NUMEXPR_", "NPY_", "VIRTUAL_ENV")
# Of these, what is read later, and differs between ranks.
LATER = frozenset({"JAX_COORDINATOR_ADDRESS", "JAX_COORDINATOR_BIND_ADDRESS", "JAX_NUM_PROCESSES",
                   "JAX_PROCESS_ID", "JAX_LOCAL_DEVICE_IDS", "JAX_PARTITION_INDEX",
                   "TORCH_NCCL_ASYNC_ERROR_HANDLING"})


def started_environment():
  """Returns the environment with which this process was started, before anybody changed it."""
  with open("/proc/self/environ", "rb") as file:
    pairs = (part.partition(b"=") for part in file.read().split(b"\0") if part)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def difference(parent, wanted):
  """Returns the first variable for which a worker with `wanted` cannot be forked, or None."""
  for name in sorted(parent.keys() | wanted.keys()):
    if name.startswith(STARTUP_PREFIXES) and name not in LATER:
      if parent.get(name) != wanted.get(name):
        return name
  return None


_given = None  # the environment of a worker that was forked


def given_environment():
  """Returns the environment that this worker was started with, parked or not."""
  return dict(_given) if _given is not None else started_environment()


def replace_environment(wanted, parent, now):
  """Makes `wanted` the environment, with what the imports changed (`parent` → `now`) on top."""
  global _given
  _given = dict(wanted)
  changed = {name: value for name, value in now.items()
             if parent.get(name) != value and wanted.get(name) == parent.get(name)}
  os.environ.clear()
  os.environ.update(wanted)
  os.environ.update(changed)


@contextlib.contextmanager
def environment_with(settings):
  """Has what the script will set in the environment there while its frameworks are imported."""
  before = {variable: os.environ.get(variable) for variable, _, _ in settings}
  for variable, text, if_unset in settings:
    if not (if_unset and variable in os.environ):
      os.environ[variable] = text
  yield
  for variable, text in before.items():
    if text is None:
      os.environ.pop(variable, None)
    else:
      os.environ[variable] = text


def reset_process(stdout, stderr):
  """Gives the process what a started one has: session, signals, streams, randomness.

  `stdout` and `stderr` are files to append to; "" keeps the parent's. Raises OSError.
  """
  os.setsid()
  signal.set_wakeup_fd(-1)
  ignored = {signal.SIGPIPE, signal.SIGXFSZ}  # as CPython starts
  for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    if number == signal.SIGINT:
      signal.signal(number, signal.default_int_handler)
    elif signal.getsignal(number) is not None:  # the others belong to the C library
      signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL)
  signal.pthread_sigmask(signal.SIG_SETMASK, ())
  for descriptor, path in ((1, stdout), (2, stderr)):
    if path:
      opened = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
      os.dup2(opened, descriptor)
      os.close(opened)
  sys.stdin = sys.__stdin__ = _stream(0, "r", sys.__stdin__)
  sys.stdout = sys.__stdout__ = _stream(1, "w", sys.__stdout__)
  sys.stderr = sys.__stderr__ = _stream(2, "w", sys.__stderr__)
  random.seed()
  numpy_random = sys.modules.get("numpy.random")
  if numpy_random is not None:
    numpy_random.seed()  # else all ranks draw the same from the global generator
  gc.enable()


def _stream(descriptor, mode, like):
  """Returns a standard stream as CPython makes it, for what the descriptor is now."""
  if like is None:
    return None
  buffered = not (mode == "w" and like.write_through)  # write_through: as by -u
  try:
    buffer = io.open(descriptor, mode + "b", buffering=-1 if buffered else 0, closefd=False)
  except OSError:
    return None  # the descriptor is closed
  raw = buffer.raw if buffered else buffer
  raw.name = f"<{('stdin', 'stdout', 'stderr')[descriptor]}>"
  lines = buffered and (raw.isatty() or descriptor == 2)
  stream = io.TextIOWrapper(buffer, like.encoding, like.errors, "\n" if mode == "w" else None,
                            line_buffering=lines, write_through=like.write_through)
  stream.mode = mode
  return stream


def run(argv, module):
  """Runs a script (`argv[0]` is its path) or a module (its name) as __main__.

  Returns, or raises, what the program raises: the caller must let it through.
  """
  flags = sys.orig_argv[1 : _position(sys.orig_argv, "-m")]
  sys.orig_argv = [sys.orig_argv[0], *flags, *(["-m"] if module else []), *argv]
  sys.argv = list(argv)
  process = sys.modules.get("multiprocessing.process")
  if process is not None:
    process.ORIGINAL_DIR = os.getcwd()
  main = types.ModuleType("__main__")
  main.__dict__.update(__annotations__={}, __builtins__=builtins)
  sys.modules["__main__"] = main
  set_first_path(os.getcwd() if module else script_directory(argv[0]))
  if heartbeat.attach_anew():
    heartbeat.beat("start")
    heartbeat.install_exception_hooks(main_thread=False)
  try:
    if module:
      sys.argv[0] = "-m"
      runpy._run_module_as_main(argv[0])  # pylint: disable=protected-access  (as CPython does)
    elif pkgutil.get_importer(argv[0]) is not None:  # a directory or an archive
      set_first_path(os.path.join(os.getcwd(), argv[0]))
      runpy._run_module_as_main("__main__", False)  # pylint: disable=protected-access
    else:
      exec(_code_of(argv[0], main), main.__dict__)  # pylint: disable=exec-used
  except SystemExit as error:
    heartbeat.report_exit(error.code)
    raise
  except BaseException as error:
    _show_without_our_frames(error)
    raise


def _position(words, word):
  return words.index(word) if word in words else len(words)


def script_directory(script):
  """Returns what CPython puts first on sys.path for a script."""
  return os.path.dirname(os.path.realpath(script))


def set_first_path(directory):
  """Puts `directory` first on sys.path, in the place of what the parent had there."""
  if not sys.flags.safe_path:
    sys.path[0] = directory


def _code_of(script, main):
  path = os.path.join(os.getcwd(), script)  # not normalised, as CPython
  try:
    with open(path, "rb") as file:
      source = file.read()
  except OSError as error:
    print(f"{sys.orig_argv[0]}: can't open file {path!r}: [Errno {error.errno}] {error.strerror}",
          file=sys.stderr)
    sys.exit(2)
  loader = importlib.machinery.SourceFileLoader("__main__", path)
  main.__dict__.update(__file__=path, __cached__=None, __loader__=loader)
  return compile(source, path, "exec", dont_inherit=True)


def _show_without_our_frames(error):
  """Has `error` shown as it would be if the script had been started by hand."""
  trace = error.__traceback__.tb_next
  if isinstance(error, SyntaxError) and trace and trace.tb_frame.f_globals is globals():
    trace = None  # of the script's own text
  if isinstance(error, Exception):
    heartbeat.report_exception(type(error), error, trace)
  hook = sys.excepthook

  def show(kind, value, _):
    sys.excepthook, sys.last_traceback = hook, trace
    hook(kind, value.with_traceback(trace), trace)

  sys.excepthook = show
