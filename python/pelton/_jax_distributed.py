# SPDX-License-Identifier: Apache-2.0
"""JAX's coordination service outside of process 0, and jax.distributed.initialize made to use it.

JAX starts the service in process 0, and then everything ends with that process. `pelton run` starts
one for each generation (PELTON_COORDINATOR, "host:port") and no rank does. This leans on internals
of JAX, so it is used with versions it was tested with; with others JAX does what it always does.
"""

import ctypes
import functools
import inspect
import json
import os
import re
import socket
import sys
import time
import uuid
import warnings

from pelton import _jax_ahead, heartbeat

TESTED = ((0, 10), (0, 12))  # from, and below
_PARAMETERS = ("coordinator_address", "num_processes", "process_id", "local_device_ids",
               "initialization_timeout")
_CONNECT_AGAIN_SECONDS = 0.005
_AGREE_SECONDS = 300
_AHEAD_SECONDS = 3600  # of low priority, so that its peers wait for it


def check_version(distributed=None):
  """Raises ValueError where this JAX is not one that these functions were tested with."""
  from jax.version import __version__ as version  # pylint: disable=import-outside-toplevel
  if distributed is None:
    from jax._src import distributed  # pylint: disable=import-outside-toplevel
  numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
  state = getattr(distributed, "State", None)
  known = state is not None and set(_PARAMETERS) <= set(
      inspect.signature(state.initialize).parameters)
  makes = hasattr(getattr(distributed, "_jax", None), "get_distributed_runtime_service")
  if not TESTED[0] <= numbers < TESTED[1] or not known or not makes:
    raise ValueError(f"pelton's coordinator was tested with JAX {TESTED[0][0]}.{TESTED[0][1]}, and "
                     f"this is {version}: process 0 starts JAX's own")


def start_coordinator(address, processes):
  """Starts the service that `processes` ranks join at `address` ("host:port"); it listens on return.

  Returns the service: it lives as long as that. Raises ValueError and JAX's errors.
  """
  check_version()
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  return distributed._jax.get_distributed_runtime_service(
      address, processes, heartbeat_timeout=100, shutdown_timeout=300)


@functools.cache
def attempt():
  """Returns run, generation, rank and world size of this process, for a Checkpointer.

  They are process 0's, so that all have the same, under any launcher. After
  jax.distributed.initialize. Raises JAX's errors.
  """
  from jax._src import distributed  # pylint: disable=import-outside-toplevel
  state, env = distributed.global_state, os.environ
  agreed = {"run": env.get("PELTON_JOB_UID") or uuid.uuid4().hex,
            "generation": int(env.get("PELTON_GENERATION") or 0)}
  if state.client is None:
    return {**agreed, "rank": 0, "world_size": 1}
  if state.process_id == 0:
    state.client.key_value_set("pelton/attempt", json.dumps(agreed))
  agreed = json.loads(state.client.blocking_key_value_get("pelton/attempt", _AGREE_SECONDS * 1000))
  return {**agreed, "rank": state.process_id, "world_size": state.num_processes}


class _Elsewhere:
  """Stands for the service in process 0's state: it is not this process's to end."""

  def shutdown(self):
    pass


class _WithoutService:
  """JAX's extension module, except that no service starts."""

  def __init__(self, module):
    self._module = module

  def __getattr__(self, name):
    return getattr(self._module, name)

  @staticmethod
  def get_distributed_runtime_service(*_, **__):
    return _Elsewhere()


def install(distributed=None):
  """Makes JAX end at once after an exception, and jax.distributed.initialize use PELTON_COORDINATOR
  where that is set; with an untested JAX this only warns.

  `distributed` is jax._src.distributed where that is just being imported.
  """
  if distributed is None:
    from jax._src import distributed  # pylint: disable=import-outside-toplevel
  _leave_after_exceptions(distributed)
  if not os.environ.get("PELTON_COORDINATOR"):
    return
  try:
    check_version(distributed)
  except ValueError as error:
    warnings.warn(str(error), RuntimeWarning, stacklevel=2)
    return
  initialize = distributed.State.initialize
  if getattr(initialize, "by_pelton", False):
    return
  signature = inspect.signature(initialize)

  def initialize_with_coordinator(self, *arguments, **named):
    bound = signature.bind(self, *arguments, **named)
    given = bound.arguments
    if not _fill_in(given, os.environ):
      return initialize(self, *arguments, **named)
    if _jax_ahead.is_ahead():  # a world of its own, whose process 0 runs its service
      named = {"heartbeat_timeout_seconds", "initialization_timeout"} & set(signature.parameters)
      given.update(dict.fromkeys(named, _AHEAD_SECONDS))
      return initialize(*bound.args, **bound.kwargs)
    _wait_until_it_listens(given["coordinator_address"], given.get("initialization_timeout", 300))
    module = distributed._jax
    distributed._jax = _WithoutService(module)
    try:
      return initialize(*bound.args, **bound.kwargs)
    finally:
      distributed._jax = module

  initialize_with_coordinator.by_pelton = True
  distributed.State.initialize = initialize_with_coordinator


def _leave_after_exceptions(distributed):
  """At exit JAX waits until all ranks have come to theirs, for five minutes by default. Where an
  uncaught exception, or sys.exit() with a failure's code, ends this rank, its peers are in their collectives and wait for it."""
  shutdown = getattr(getattr(distributed, "State", None), "shutdown", None)
  if shutdown is None or getattr(shutdown, "by_pelton", False):
    return

  def shutdown_with_peers(self):
    client = getattr(self, "client", None)
    if client is not None and (hasattr(sys, "last_value") or heartbeat.is_dying()):
      ctypes.pythonapi.Py_IncRef(ctypes.py_object(client))  # its destructor would wait as well
      self.client = None
    shutdown(self)

  shutdown_with_peers.by_pelton = True
  distributed.State.shutdown = shutdown_with_peers


def _fill_in(given, environment):
  """Completes the arguments of initialize; returns False where the script wants another world."""
  ours = environment.get("PELTON_COORDINATOR")
  rank, world = environment.get("RANK", ""), environment.get("WORLD_SIZE", "")
  if not ours or not rank.isdigit() or not world.isdigit():
    return False
  torchrun = f"{environment.get('MASTER_ADDR')}:{environment.get('MASTER_PORT')}"
  asked = given.get("coordinator_address") or environment.get("JAX_COORDINATOR_ADDRESS")
  if (asked not in (None, ours, torchrun) or given.get("num_processes") not in (None, int(world))
      or given.get("process_id") not in (None, int(rank))):
    return False
  local_rank, local_world = environment.get("LOCAL_RANK"), environment.get("LOCAL_WORLD_SIZE", "1")
  if given.get("process_id") is None and given.get("local_device_ids") is None and (
      "JAX_LOCAL_DEVICE_IDS" not in environment and local_rank and local_world != "1"):
    given["local_device_ids"] = [int(local_rank)]
  if "cluster_detection_method" in given or given.get("local_device_ids") is None:
    given["cluster_detection_method"] = "deactivate"  # nothing is left to detect
  given.update(coordinator_address=ours, num_processes=int(world), process_id=int(rank))
  return True


def _wait_until_it_listens(address, timeout):
  """JAX dials again only after a second; this looks until the service is there."""
  host, _, port = address.rpartition(":")
  end = time.monotonic() + timeout
  while time.monotonic() < end:
    try:
      socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
      return
    except OSError:
      time.sleep(_CONNECT_AGAIN_SECONDS)
  print(f"pelton: nothing listened at PELTON_COORDINATOR={address} for {timeout} s",
        file=sys.stderr)
