# SPDX-License-Identifier: Apache-2.0
"""Speaks with a parked parent as `pelton run` does, and reaps the workers as its init does."""

import ctypes
import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = str(ROOT / "python")
GIVE_UP_SECONDS = 60
PR_SET_CHILD_SUBREAPER = 36


class Refused(Exception):
  """The parked parent answered with an error, or did not park."""


class Parked:
  """One parked parent and the workers that came from it. Use it in `with`."""

  def __init__(self, script, *, env, python=sys.executable, flags=(), imports=(), module=False,
               cwd=None, spares=0):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    self.directory = tempfile.TemporaryDirectory()
    self.errors = open(os.path.join(self.directory.name, "stderr"), "w+b")
    path = os.path.join(self.directory.name, "socket")
    extra = [word for name in imports for word in ("--import", name)]
    self.process = subprocess.Popen(
        [python, *flags, "-m", "pelton.park", "--socket", path, f"--spares={spares}", *extra, "--",
         *(["-m"] if module else []), str(script)],
        env=env, cwd=cwd, stdin=subprocess.DEVNULL, stderr=self.errors)
    self.workers = set()
    self.requests = 0
    try:
      self.socket = self.connect(path)
      self.lines = self.socket.makefile("rb")
      self.ready = json.loads(self.lines.readline())["ready"]
    except BaseException:
      self.close()
      raise

  def connect(self, path):
    ended = os.pidfd_open(self.process.pid)
    try:
      while True:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(GIVE_UP_SECONDS)
        try:
          client.connect(path)
          return client
        except OSError:
          client.close()
        if select.select([ended], [], [], 0.005)[0]:
          code = self.process.wait()
          raise Refused(f"exit code {code}: {self.said()}")
    finally:
      os.close(ended)

  def said(self):
    """What the parent (and a worker without a file of its own) wrote to stderr."""
    self.errors.seek(0)
    return self.errors.read().decode()

  def ask(self, **request):
    self.requests += 1
    self.socket.sendall(json.dumps({"id": self.requests, **request}).encode() + b"\n")
    answer = json.loads(self.lines.readline())
    assert answer["id"] == self.requests, answer
    if "error" in answer:
      raise Refused(answer["error"])
    self.workers.add(answer["pid"])
    return answer["pid"]

  def spawn(self, argv, *, env, cwd="/", stdout="", stderr="", module=False):
    return self.ask(spawn={"argv": [str(word) for word in argv], "module": module, "env": env,
                           "cwd": str(cwd), "stdout": str(stdout), "stderr": str(stderr)})

  def coordinator(self, address, processes):
    return self.ask(coordinator={"address": address, "processes": processes})

  def wait(self, pid, seconds=GIVE_UP_SECONDS):
    """Returns the exit code as subprocess does: -9 for SIGKILL. Kills what does not end."""
    ended = os.pidfd_open(pid)
    late = not select.select([ended], [], [], seconds)[0]
    os.close(ended)
    if late:
      os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    self.workers.discard(pid)
    if late:
      raise AssertionError(f"worker {pid} did not end in {seconds} s")
    return os.waitstatus_to_exitcode(status)

  def kill(self, *pids):
    for pid in pids:
      os.kill(pid, signal.SIGKILL)
    return [self.wait(pid) for pid in pids]

  def close(self):
    self.kill(*self.workers)
    if self.process.poll() is None:
      self.process.kill()
    self.process.wait()
    if hasattr(self, "socket"):
      self.lines.close()
      self.socket.close()
    self.errors.close()
    self.directory.cleanup()

  def __enter__(self):
    return self

  def __exit__(self, *error):
    self.close()
