# SPDX-License-Identifier: Apache-2.0
"""Kills from outside the cluster: a worker as a kernel out of memory would, a node as a power cut.

A pod is real processes of this machine, so its worker stands in /proc like any other. It is told
from the workers of other pods and clusters by its ancestor, the shim of its container, whose
command names the pod's directory in the demo's own data directory.
"""

import dataclasses
import os
import pathlib
import signal
import struct

# magic, version, capacity, generation, rank, pid, records written: see python/pelton/heartbeat.py
PAGE_HEADER = struct.Struct("<8sIIqiiQ")


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


def is_shim_below(process, directory):
  """Whether this is the shim of a container whose directory is below `directory`."""
  words = process.command
  return any(verb == "container-shim" and path.startswith(f"{directory}/")
             for verb, path in zip(words, words[1:]))


def is_agent_of(process, node, data_directory):
  words = process.command
  return (("agent" in words) and (str(data_directory) in words)
          and ("--node", node) in zip(words, words[1:]))


def has_own_page(process, proc=pathlib.Path("/proc")):
  """Whether a heartbeat page in its memory names this very process as its writer: a worker of
  `pelton run`, also one that was forked from a parked parent, whose environment tells of no rank.
  Supervisor, parent and the worker's own children may have the page in memory too."""
  directory = proc / str(process.pid)
  try:
    maps = (directory / "maps").read_text(errors="replace")
    inside = (directory / "status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1]
    for path in {line.split()[-1] for line in maps.splitlines() if "/pelton-run-" in line}:
      with open(f"{directory}/root{path}", "rb") as page:
        header = page.read(PAGE_HEADER.size)
      if len(header) == PAGE_HEADER.size:
        magic, *_, writer, _ = PAGE_HEADER.unpack(header)
        if magic == b"PLTNBEAT" and writer == int(inside):
          return True
  except (OSError, IndexError):
    pass  # gone, or not ours to read
  return False


def find_worker(processes, index, pod_directory, has_page=has_own_page):
  """Returns the pid of the trainer with this completion index (None: any) in that pod. Raises
  LookupError.

  It writes a heartbeat page of its own; before it does, it is the first process that `pelton run`
  started there: it has a rank, and its parent has none.
  """
  def belongs(process):
    while process:
      if is_shim_below(process, pod_directory):
        return True
      process = processes.get(process.parent)
    return False

  def has_rank(process):
    parent = processes.get(process.parent)
    return (index in (None, process.environment.get("NODE_RANK"))
            and "LOCAL_RANK" in process.environment
            and not (parent and "LOCAL_RANK" in parent.environment))

  inside = [process for process in processes.values() if belongs(process)]
  found = [process.pid for process in inside if has_page(process)]
  found = found or [process.pid for process in inside if has_rank(process)]
  if not found:
    which = "a worker of that pod" if index is None else f"worker {index}"
    raise LookupError(f"no process of {which} runs on this machine now")
  return min(found)


def find_node(processes, node, data_directory):
  """Returns the pids of all that runs on a node: first its agent, so that nobody is left to tell
  of the others' end, then the shims of its containers, then all that descends from these."""
  agents = [p.pid for p in processes.values() if is_agent_of(p, node, data_directory)]
  shims = [p.pid for p in processes.values() if is_shim_below(p, f"{data_directory}/nodes/{node}")]
  found = sorted(agents) + sorted(shims)
  children = {}
  for process in processes.values():
    children.setdefault(process.parent, []).append(process.pid)
  for pid in found:  # grows meanwhile
    found += [child for child in sorted(children.get(pid, [])) if child not in found]
  return found


def kill(pid):
  os.kill(pid, signal.SIGKILL)


def kill_node(node, data_directory, look=all_processes, strike=kill):
  """SIGKILL to all that runs on a node; returns their pids, the agent's first. Raises LookupError
  where nothing runs there, and OSError."""
  killed = []
  while True:
    # What an agent began while we looked is found by looking again.
    new = [pid for pid in find_node(look(), node, data_directory) if pid not in killed]
    if not new:
      break
    for pid in new:
      try:
        strike(pid)
      except ProcessLookupError:
        pass  # died with its parent
    killed += new
  if not killed:
    raise LookupError(f"nothing of {node} runs on this machine now")
  return killed


def has_agent(processes, node, data_directory):
  return any(is_agent_of(process, node, data_directory) for process in processes.values())
