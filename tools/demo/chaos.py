# SPDX-License-Identifier: Apache-2.0
"""Kills one worker the way a kernel's out-of-memory killer would: SIGKILL, from outside the pod.

A pod is real processes of this machine, so its worker stands in /proc like any other. It is told
from the workers of other clusters by its ancestor, the agent of the demo's own data directory.
"""

import dataclasses
import os
import pathlib
import signal


@dataclasses.dataclass(frozen=True)
class Process:
  pid: int
  parent: int
  command: tuple
  environment: dict


def read_process(pid, proc=pathlib.Path("/proc")):
  """Returns the Process, or None where it is gone or not ours to read."""
  try:
    directory = proc / str(pid)
    stat = (directory / "stat").read_text(errors="replace")
    environment = (directory / "environ").read_bytes().decode(errors="replace").split("\0")
    words = (directory / "cmdline").read_bytes().decode(errors="replace").split("\0")
    return Process(
        pid=pid,
        parent=int(stat.rpartition(")")[2].split()[1]),
        command=tuple(words[:-1]),
        environment=dict(e.split("=", 1) for e in environment if "=" in e))
  except OSError:
    return None


def all_processes(proc=pathlib.Path("/proc")):
  found = (read_process(int(p.name), proc) for p in proc.iterdir() if p.name.isdigit())
  return {process.pid: process for process in found if process}


def find_worker(processes, index, data_directory):
  """Returns the pid of the trainer of the pod with this completion index. Raises LookupError.

  The first process that `pelton run` started there: it has a rank, and its parent has none.
  """
  def belongs(process):
    while process:
      if str(data_directory) in " ".join(process.command):
        return True
      process = processes.get(process.parent)
    return False

  found = []
  for process in processes.values():
    parent = processes.get(process.parent)
    if (process.environment.get("NODE_RANK") == index and "LOCAL_RANK" in process.environment
        and not (parent and "LOCAL_RANK" in parent.environment) and belongs(process)):
      found.append(process.pid)
  if not found:
    raise LookupError(f"no process of worker {index} runs on this machine now")
  return min(found)


def kill(pid):
  os.kill(pid, signal.SIGKILL)
