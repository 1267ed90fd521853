# SPDX-License-Identifier: Apache-2.0
"""The parked parent: imports a script's frameworks once, and forks its workers from then on.

    PYTHON [flags] -m pelton.park --socket PATH [--spares N] [--import MODULE]... -- SCRIPT
    PYTHON [flags] -m pelton.park --socket PATH [--spares N] [--import MODULE]... -- -m MODULE

It runs no operator, starts no thread and no back-end, and never runs the script. It listens on the
Unix socket PATH and speaks one JSON object per line; docs/adr/0013-training-that-survives.md says
who it speaks with.

    → {"ready": {"modules": [...], "seconds": 1.2, "pid": 7}}          on connecting
    ← {"id": 1, "spawn": {"argv": ["train.py", "--x"], "module": false, "env": {...}, "cwd": "/",
                          "stdout": "", "stderr": ""}}
    ← {"id": 2, "coordinator": {"address": "0.0.0.0:29501", "processes": 4}}
    → {"id": 1, "pid": 123} or {"id": 1, "error": "..."}

A fork of a process of this size takes tens of milliseconds, one rank after the other. So N children
are forked ahead, when nobody asked for anything for a while, and wait for what they shall become.

It ends when its last client has gone and its own parent has died. Exit code 3: it cannot park.
"""

import argparse
import ctypes
import errno
import gc
import importlib
import importlib.util
import json
import os
import select
import signal
import socket
import sys
import time

from pelton import _scan, _worker

PR_SET_PDEATHSIG = 1
CANNOT_PARK = 3
QUIET_MILLISECONDS = 200  # between two children that are forked ahead, and after the last request
# Imported besides by every program before its first step, but only when they are used.
ALSO = {"jax": ("jax.numpy", "jax._src.distributed", "jax.experimental.multihost_utils",
                "jax.experimental.serialize_executable", "pelton.jax"),
        # The first optimizer imports torch._dynamo, which takes as long as torch itself.
        "torch": ("torch.distributed", "torch._dynamo", "torch.profiler._cupti_monitor",
                  "torch.utils.serialization.config", "pelton.torch")}


class CannotPark(Exception):
  """The reason why workers cannot be forked from this process."""


def main(arguments):
  """Serves until its clients are gone; in a worker, runs the program. The caller exits with it."""
  options = parse_arguments(arguments)
  # The workers' streams are made anew; ours shall not die of a terminal that is gone.
  try:
    parent = Parent(options)
  except CannotPark as error:
    print(f"pelton.park: cannot park: {error}", file=sys.stderr)
    return CANNOT_PARK
  try:
    program = parent.serve()
  except KeyboardInterrupt:
    os._exit(128 + signal.SIGINT)
  if program is None:
    os._exit(0)  # nothing of a framework was started, so nothing of it is to be ended
  del parent, options, arguments
  return program()


def parse_arguments(arguments):
  parser = argparse.ArgumentParser(prog="pelton.park", description=__doc__.split("\n", 1)[0])
  parser.add_argument("--socket", required=True, help="the Unix socket to listen on")
  parser.add_argument("--spares", type=int, default=0, help="children to fork ahead")
  parser.add_argument("--import", action="append", default=[], dest="modules", metavar="MODULE",
                      help="import this too; may be repeated")
  parser.add_argument("script", nargs=argparse.REMAINDER, metavar="SCRIPT | -m MODULE")
  options = parser.parse_args(arguments)
  if options.script[:1] == ["--"]:
    del options.script[0]
  options.module = options.script[:1] == ["-m"]
  if len(options.script) < 1 + options.module:
    parser.error("a script or -m MODULE is missing after --")
  options.script = options.script[options.module]
  return options


def import_frameworks(options):
  """Imports what the script will import; returns the names. Raises CannotPark."""
  directory = os.getcwd() if options.module else _worker.script_directory(options.script)
  _worker.set_first_path(directory)
  try:
    path = options.script
    if options.module:
      spec = importlib.machinery.PathFinder.find_spec(path) if "." not in path else None
      path = spec.origin if spec else os.path.join(directory, *path.split(".")) + ".py"
    elif os.path.isdir(path):
      path = os.path.join(path, "__main__.py")
    names, settings = _scan.frameworks_of(path, directory, _worker.STARTUP_PREFIXES)
  except _scan.Unknown as error:
    raise CannotPark(f"{path}: {error}") from error
  except (OSError, SyntaxError, ValueError, TypeError):
    names, settings = [], []  # a worker will say it, as it would without a parked parent
  names += [name for name in options.modules if name not in names]
  names += [also for name in {name.partition(".")[0] for name in names}
            for also in ALSO.get(name, ())]
  with _worker.environment_with(settings):
    return [name for name in dict.fromkeys(names) if import_if_there(name)]


def import_if_there(name):
  """Imports a module; returns False where there is none of that name. Raises CannotPark."""
  if not _scan.is_module(name):
    return False
  try:
    importlib.import_module(name)
  except Exception as error:
    raise CannotPark(f"importing {name} failed: {type(error).__name__}: {error}") from error
  return True


def check_still(names):
  """Raises CannotPark where a child of this process would not be whole."""
  bridge = sys.modules.get("jax._src.xla_bridge")
  if bridge is not None and getattr(bridge, "_backends", None):
    raise CannotPark("importing " + ", ".join(names) + " initialised a JAX back-end")
  torch = sys.modules.get("torch")
  if torch is not None and torch.cuda.is_initialized():
    raise CannotPark("importing " + ", ".join(names) + " initialised CUDA")
  # Libraries that are safe to fork (OpenBLAS) end their threads before a fork: try one.
  child = os.fork()
  if child == 0:
    os._exit(0)
  os.waitpid(child, 0)
  threads = {}
  for thread in os.listdir("/proc/self/task"):
    with open(f"/proc/self/task/{thread}/comm", encoding="utf-8", errors="replace") as file:
      threads[thread] = file.read().strip()
  threads.pop(str(os.getpid()), None)
  if threads:
    raise CannotPark(f"importing {', '.join(names) or 'the modules'} left threads running: "
                     f"{', '.join(sorted(threads.values()))}. A fork would lose them.")


class Parent:
  """The process that is forked, its socket and its clients."""

  def __init__(self, options):
    """Imports and listens. Raises CannotPark."""
    began = time.monotonic()
    self.started = _worker.started_environment()
    self.above = os.getppid()
    self.above_alive = _open_pid(self.above)
    self.prctl = ctypes.CDLL(None, use_errno=True).prctl
    gc.disable()  # with freeze(): what is shared with the workers stays shared
    modules = import_frameworks(options)
    check_still(modules)
    self.environment = dict(os.environ)
    gc.collect()
    gc.freeze()
    self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Under its name once it listens: who waits for the name connects at once, and only once. It
    # replaces a predecessor's, whose clients know that it is gone.
    unfinished = options.socket + ".new"
    try:
      if os.path.exists(unfinished):
        os.unlink(unfinished)
      self.listener.bind(unfinished)
      self.listener.listen()
      os.rename(unfinished, options.socket)
    except OSError as error:
      raise CannotPark(f"--socket {options.socket}: {error.strerror or error}") from error
    self.clients = {}  # descriptor → (socket, bytes that are no whole line yet)
    self.spares = []  # sockets of children that wait for an order
    self.ordered = {}  # descriptor → (socket of a child that has one, client, id of its request)
    self.wanted = options.spares + ("jax" in sys.modules if options.spares else 0)  # a coordinator
    self.ready = {"modules": modules, "seconds": round(time.monotonic() - began, 3),
                  "pid": os.getpid()}

  def serve(self):
    """Answers requests. Returns None when nobody needs it, and in a child what it has to run."""
    poll = select.poll()
    poll.register(self.listener, select.POLLIN)
    if self.above_alive is not None:
      poll.register(self.above_alive, select.POLLIN)
    while self.clients or self.above_alive is not None:
      events = poll.poll(QUIET_MILLISECONDS if len(self.spares) < self.wanted else None)
      if not events:
        program = self.add_spare()
        if program is not None:
          return program
      for descriptor, _ in events:
        if descriptor == self.listener.fileno():
          client, _ = self.listener.accept()
          self.clients[client.fileno()] = (client, bytearray())
          poll.register(client, select.POLLIN)
          self.tell(client, {"ready": self.ready})
        elif descriptor == self.above_alive:
          poll.unregister(descriptor)
          os.close(descriptor)
          self.above_alive = None
        elif descriptor in self.ordered:
          poll.unregister(descriptor)
          self.hear(descriptor)
        else:
          program = self.read(descriptor, poll)
          if program is not None:
            return program
    return None

  def read(self, descriptor, poll):
    """Takes what a client sent; returns what a child has to run, or None."""
    client, pending = self.clients[descriptor]
    try:
      data = client.recv(1 << 16)
    except ConnectionError:
      data = b""
    if not data:
      poll.unregister(descriptor)
      del self.clients[descriptor]
      client.close()
      return None
    pending += data
    while b"\n" in pending:
      line, _, rest = bytes(pending).partition(b"\n")
      pending[:] = rest
      program = self.answer(client, line, poll)
      if program is not None:
        return program
    return None

  def answer(self, client, line, poll):
    """Gives a child the order; what comes of it, hear() tells the client."""
    identity = None
    try:
      request = json.loads(line)
      identity = request.get("id")
      self.prepare(request)
      while True:
        program = None if self.spares else self.add_spare()
        if program is not None:
          return program
        child = self.spares.pop(0)
        try:
          child.sendall(line + b"\n")
          break
        except OSError:  # somebody has killed it
          child.close()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
      what = f"{type(error).__name__}: {error}" if isinstance(error, KeyError) else str(error)
      self.tell(client, {"id": identity, "error": what})
      return None
    self.ordered[child.fileno()] = (child, client, identity)
    poll.register(child, select.POLLIN)
    return None

  def hear(self, descriptor):
    """Tells the client what has become of its order."""
    child, client, identity = self.ordered.pop(descriptor)
    with child, child.makefile("rb") as file:
      try:
        pid, _, error = file.read().decode().partition(" ")
      except OSError:
        pid = error = ""
    if error or not pid:
      self.tell(client, {"id": identity, "error": error or "the child died before it was ready"})
    else:
      self.tell(client, {"id": identity, "pid": int(pid)})

  @staticmethod
  def tell(client, message):
    try:
      client.sendall(json.dumps(message).encode() + b"\n")
    except OSError:
      pass  # it has gone; poll says so

  def prepare(self, request):
    """Returns what a child does before it counts as started; that returns what it then runs."""
    if "spawn" in request:
      wanted = request["spawn"]
      argv, module, env = list(wanted["argv"]), bool(wanted.get("module")), dict(wanted["env"])
      if not argv or not all(isinstance(word, str) for word in [*argv, *env, *env.values()]):
        raise ValueError("spawn: argv and env have to be texts, and argv not empty")
      name = _worker.difference(self.started, env)
      if name:
        raise ValueError(f"spawn: {name} is {env.get(name)!r}, and the parked parent was started "
                         f"with {self.started.get(name)!r}: start another one")
      return lambda: self.become_worker(wanted, argv, module, env)
    if "coordinator" in request:
      address, processes = (request["coordinator"][key] for key in ("address", "processes"))
      if "jax" not in sys.modules:
        raise ValueError("coordinator: jax is not among the parked modules")
      from pelton import jax  # pylint: disable=import-outside-toplevel
      jax.check_version()
      return lambda: self.become_coordinator(jax, address, processes)
    raise ValueError("a request has to be spawn or coordinator")

  def become_worker(self, wanted, argv, module, env):
    _worker.reset_process(wanted.get("stdout", ""), wanted.get("stderr", ""))
    _worker.replace_environment(env, self.started, self.environment)
    os.chdir(wanted.get("cwd") or "/")
    importlib.invalidate_caches()
    if "jax" in sys.modules:
      from pelton import jax  # pylint: disable=import-outside-toplevel
      jax.install()
    if "pelton.torch" in sys.modules:
      from pelton import torch  # pylint: disable=import-outside-toplevel
      torch.install()
    return lambda: _worker.run(argv, module)

  @staticmethod
  def become_coordinator(jax, address, processes):
    _worker.reset_process("", "")
    service = jax.start_coordinator(address, processes)

    def stay():
      signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
      signal.sigwait({signal.SIGTERM})
      os._exit(0 if service else 1)

    return stay

  def add_spare(self):
    """Forks twice, so that the child is the nearest subreaper's. Returns None, and in the child what
    it has to run, once it knows. Raises OSError."""
    sys.stdout.flush()
    sys.stderr.flush()
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
      if os.fork() != 0:
        os._exit(0)
      ours.close()
      return self.become_ordered(theirs)
    theirs.close()
    os.waitpid(child, 0)
    self.spares.append(ours)
    return None

  def become_ordered(self, orders):
    """In the child: waits for its order, prepares for it, says so, and returns what to run."""
    try:
      for kept in (self.listener, *(client for client, _ in self.clients.values()), *self.spares,
                   *(child for child, _, _ in self.ordered.values())):
        kept.close()
      if self.above_alive is not None:
        os.close(self.above_alive)
      pending = bytearray()
      while not pending.endswith(b"\n"):
        data = orders.recv(1 << 16)
        if not data:
          os._exit(0)  # nobody needs it
        pending += data
      self.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # as every worker of `pelton run`
      program = self.prepare(json.loads(pending))()
    except BaseException as error:  # pylint: disable=broad-except
      orders.sendall(f"{os.getpid()} {type(error).__name__}: {error}".encode())
      os._exit(1)
    orders.sendall(str(os.getpid()).encode())
    orders.close()
    return program


def _open_pid(pid):
  """Returns a descriptor that is readable once the process has ended, or None if it has."""
  try:
    return os.pidfd_open(pid)
  except OSError as error:
    if error.errno == errno.ESRCH:
      return None
    raise


if __name__ == "__main__":
  from pelton import park  # not as __main__: that is the script's name in the workers

  sys.exit(park.main(sys.argv[1:]))
