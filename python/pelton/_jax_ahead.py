# SPDX-License-Identifier: Apache-2.0
"""Programs for the job with one pod less, compiled while it trains.

Once a rank has done its first steps it starts the same command again, at low priority, in a world
that is as large as the job without one pod. There it runs until the function is compiled and stored,
and ends. Two such worlds follow each other: without the last pod, in which each has its own rank,
and without the first one, in which each has the rank that it moves up to when a pod before it is
lost. So each node has both of its programs, and no rank starts more than one process at a time.

The ranks agree by the key-value store of the job: each says whether it needs a program, and rank 0
whether the world is made, and where. What goes wrong is one line on stderr, and a program that a
shrunk job has to compile.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys
import threading
import time

from pelton import _worker

AFTER_CALLS = 3
_LIMIT_SECONDS = 3600
_POLL_SECONDS = 10
# What becomes the command: of low priority, the first to be killed for want of memory, and dead with
# its worker. Not idle: ranks that leave no CPU would have nothing made for them.
_START = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]): sys.exit("its worker has ended")
for name, value in (("autogroup", "10"), ("oom_score_adj", "1000")):
  try:
    with open("/proc/self/" + name, "w") as file: file.write(value)
  except OSError: pass
os.nice(10)
os.execv(sys.argv[2], sys.argv[2:])
"""


def is_ahead():
  """Whether this process exists only to compile."""
  return bool(os.environ.get("PELTON_AHEAD"))


def target(environment):
  """Returns (rank, world, ranks in a pod), or None where no pod can be lost or none is known."""
  values = [environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")]
  if not all(value.isdigit() for value in values):
    return None
  rank, world, pod = map(int, values)
  return (rank, world, pod) if 0 < pod < world and world % pod == 0 else None


def start(program):
  """Has the programs for one pod less made beside this process; `program` is its own one's path."""
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  import jax  # pylint: disable=import-outside-toplevel
  wanted, state = target(os.environ), distributed.global_state
  if wanted is None or state.client is None or (state.process_id, state.num_processes) != wanted[:2]:
    return
  if jax.default_backend() != "cpu":
    print("pelton: no programs ahead: a second process would need this one's devices",
          file=sys.stderr)
    return
  threading.Thread(target=_make_all, args=(program, *wanted), name="pelton-ahead",
                   daemon=True).start()


def leave(program):
  """In a process that exists only to compile: says what is stored, and ends with its peers."""
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  code = 1
  try:
    if program is not None and program.exists():
      marker = pathlib.Path(os.environ["PELTON_AHEAD"])
      unfinished = marker.with_name(f".{marker.name}.{os.getpid()}")
      unfinished.write_text(program.name)
      os.rename(unfinished, marker)
      code = 0
    client = distributed.global_state.client
    if client is not None:  # the coordinator is in one of them
      client.wait_at_barrier("pelton/ahead", _LIMIT_SECONDS * 1000)
  finally:
    os._exit(code)


def _make_all(program, rank, world, pod):
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  client = distributed.global_state.client
  try:
    has_failed = False
    for shift in (0, pod):
      has_failed = not _make(client, program, rank, world, pod, shift, has_failed)
  except Exception as error:  # pylint: disable=broad-except  (the job goes on without)
    if distributed.global_state.client is client:  # else the job has ended meanwhile
      _complain(world - pod, (str(error) or type(error).__name__).splitlines()[0])


def _complain(world, why):
  print(f"pelton: no programs ahead for {world} ranks: {why}", file=sys.stderr)


def _make(client, program, rank, world, pod, shift, has_failed):
  """One world, in which this process has the rank `rank - shift` if that is one; none is made once
  one has failed. Returns False if this one does at this rank."""
  ours = rank - shift
  takes_part = 0 <= ours < world - pod
  marker = program.with_name(f"{program.name.removesuffix('.bin')}.ahead-{shift}")
  key = f"pelton/ahead/{shift}"
  stored = _stored(marker)
  if takes_part and shift and not stored:  # where the directory is shared, it is there already
    stored = _get(client, f"pelton/ahead/0/made/{ours}")
    stored = stored if stored and (program.parent / stored).exists() else ""
  needs = takes_part and not stored
  client.key_value_set(f"{key}/needs/{rank}",
                       json.dumps([needs, has_failed, _free_address() if rank == shift else ""]))
  if rank == 0:
    answers = [json.loads(_get(client, f"{key}/needs/{peer}")) for peer in range(world)]
    is_made = any(needs for needs, _, _ in answers) and not any(failed for _, failed, _ in answers)
    client.key_value_set(f"{key}/address", answers[shift][2] if is_made else "none")
  address = _get(client, f"{key}/address")
  if takes_part and address != "none":
    try:
      _run(client, f"{key}/failed", marker, ours, world - pod, address)
    except (OSError, RuntimeError) as error:
      client.key_value_set(f"{key}/failed", str(ours), allow_overwrite=True)
      _complain(world - pod, error)
      has_failed = True
    stored = _stored(marker)
  if takes_part and not shift:
    client.key_value_set(f"{key}/made/{rank}", stored or "none")
  return not has_failed


def _stored(marker):
  """Returns the name of the program that was made ahead, if it is still there, or ""."""
  try:
    name = marker.read_text()
  except OSError:
    return ""
  return name if name and (marker.parent / name).exists() else ""


def _get(client, key):
  for _ in range(_LIMIT_SECONDS // _POLL_SECONDS):
    try:
      return client.blocking_key_value_get(key, _POLL_SECONDS * 1000)
    except Exception as error:  # pylint: disable=broad-except
      if "DEADLINE_EXCEEDED" not in str(error):
        raise
  raise TimeoutError(f"no rank has said {key} for {_LIMIT_SECONDS} s")


def _is_set(client, key):
  try:
    return bool(client.key_value_try_get(key))
  except Exception as error:  # pylint: disable=broad-except
    if "NOT_FOUND" not in str(error):
      raise
    return False


def _free_address():
  """Returns an address of this node by which the others reach it, with a port that is free."""
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  host, _, port = distributed.global_state.coordinator_address.rpartition(":")
  family, kind, _, _, peer = socket.getaddrinfo(host.strip("[]"), int(port),
                                                type=socket.SOCK_DGRAM)[0]
  with socket.socket(family, kind) as probe:
    probe.connect(peer)  # sends nothing
    host = probe.getsockname()[0]
  with socket.socket(family, socket.SOCK_STREAM) as probe:
    probe.bind((host, 0))
    return f"{host}:{probe.getsockname()[1]}" if family == socket.AF_INET else (
        f"[{host}]:{probe.getsockname()[1]}")


def environment(given, marker, rank, world, address):
  """Returns the environment of the process that compiles for `rank` of `world`."""
  host, _, port = address.rpartition(":")
  env = {name: value for name, value in given.items()
         if name not in ("PELTON_HEARTBEAT", "PELTON_AGENT_SOCKET", "PELTON_RESTORE")}
  env.update(PELTON_AHEAD=str(marker), PELTON_COORDINATOR=address, RANK=str(rank),
             WORLD_SIZE=str(world), MASTER_ADDR=host.strip("[]"), MASTER_PORT=port)
  pod = int(given["LOCAL_WORLD_SIZE"])
  for name, value in (("JAX_COORDINATOR_ADDRESS", address), ("JAX_PROCESS_ID", rank),
                      ("JAX_NUM_PROCESSES", world), ("GROUP_RANK", rank // pod),
                      ("GROUP_WORLD_SIZE", world // pod)):
    if name in env:
      env[name] = str(value)
  return env


def _run(client, failed, marker, rank, world, address):
  """Runs the command as that rank until it has ended, or a peer has said that its own `failed`.
  Raises RuntimeError where nothing is stored, and OSError."""
  marker.unlink(missing_ok=True)
  given = _worker.given_environment()
  process = subprocess.Popen(
      [sys.executable, "-I", "-S", "-c", _START, str(os.getpid()), sys.executable,
       *sys.orig_argv[1:]],
      env=environment(given, marker, rank, world, address), stdin=subprocess.DEVNULL,
      stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
  end, why = time.monotonic() + _LIMIT_SECONDS, ""
  while True:
    try:
      _, errors = process.communicate(timeout=_POLL_SECONDS)
      break
    except subprocess.TimeoutExpired:
      if time.monotonic() > end:
        why = f"it took more than {_LIMIT_SECONDS} s"
      elif _is_set(client, failed):
        why = "another rank's has failed"
      if why:
        process.kill()
  if not _stored(marker):
    lines = [line for line in errors.decode(errors="replace").splitlines()
             if line.strip() and not line.startswith("    @ ")]  # addresses, after an abort
    last = why or (lines[-1] if lines else "it said nothing")
    raise RuntimeError(f"rank {rank} ended with {process.returncode}: {last}")
