# SPDX-License-Identifier: Apache-2.0
"""What a PyTorch program needs to be seen, to be freed from a dead peer, and to resume in the same
bits. A worker of `pelton run` gets the first two by itself, its script unmodified.

    pelton.torch.warm_up(ddp, batch)       # after loading, before the first step
    pelton.torch.abort_collectives()       # from another thread: whoever waits gets a RuntimeError
"""

import os
import signal
import socket
import threading
import uuid
import weakref

import torch

from pelton import heartbeat

# Sent to a worker, it does what abort_collectives() does.
ABORT_SIGNAL = signal.SIGRTMIN + 8

_GLOO_THREAD = "gloo_tcp_loop"  # the thread of a gloo device; it waits in epoll for its sockets
_EPOLL_WAITS = frozenset({"232", "281"} if os.uname().machine == "x86_64" else {"22"})
_ESTABLISHED = "01"
_BEFORE_STEPS = (heartbeat.PHASES["none"], heartbeat.PHASES["start"])


def install():
  """Makes this worker visible and abortable. Once, in its main thread, before it does anything."""
  if os.environ.get("PELTON_HEARTBEAT"):
    # pylint: disable-next=import-outside-toplevel  (imported already, of a whole torch)
    from torch.optim.optimizer import register_optimizer_step_post_hook
    register_optimizer_step_post_hook(_Steps())
  if int(os.environ.get("WORLD_SIZE") or 1) > 1:
    # All threads that come later have it blocked too: it goes to the thread that waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {ABORT_SIGNAL})
    threading.Thread(target=_abort_on_signal, name="pelton-abort", daemon=True).start()


def _abort_on_signal():
  while True:
    signal.sigwait({ABORT_SIGNAL})
    abort_collectives()


class _Steps:
  """After a step of the program's first optimizer says that the next one begins.

  The number is the optimizer's own, so that it goes on after a restart; one that keeps none (SGD)
  is counted from the start of the process. Silent once the program says its own steps and phases.
  """

  def __init__(self):
    self._optimizer = None  # a weak reference
    self._done = 0
    self._said = None  # the last record, where it is ours

  def __call__(self, optimizer, args, kwargs):
    if self._optimizer is None:
      self._optimizer = weakref.ref(optimizer)
      self._done = _steps_of(optimizer) - 1
    elif self._optimizer() is not optimizer:
      return
    self._done += 1
    if heartbeat.attach():
      now = heartbeat._last()  # pylint: disable=protected-access
      if now == self._said or now[0] in _BEFORE_STEPS:
        heartbeat.step(self._done + 1)
        self._said = (heartbeat.PHASES["step"], self._done + 1)


def _steps_of(optimizer):
  """Returns how many steps `optimizer` has done, at least 1."""
  for state in optimizer.state.values():
    step = state.get("step") if isinstance(state, dict) else None
    if isinstance(step, int) or isinstance(step, torch.Tensor) and step.device.type == "cpu":
      return max(1, int(step))
    break  # reading it from a device would wait for the device
  return 1


def warm_up(ddp, *inputs, loss=None, **named_inputs):
  """Brings a DistributedDataParallel model to where it is after its first step; nothing is changed.

  DDP sorts gradients into new buckets after its first backward pass, and the sums of other buckets
  round otherwise: without this, the first step after a restart differs in its last bits. `inputs`
  are the model's, of the usual shapes and with any values; `loss(output)` makes a scalar of what it
  returns (default: the sum of all). Parameters, buffers and random state are as before. Every rank
  has to call it, and only in a run that resumes: the first step of a new run has the first buckets.
  """
  device = next(ddp.parameters()).device
  devices = [] if device.type == "cpu" else [device]
  buffers = [(buffer, buffer.detach().clone()) for buffer in ddp.buffers()]
  gradients = [(parameter, parameter.grad) for parameter in ddp.parameters()]
  for parameter, _ in gradients:
    parameter.grad = None
  with torch.random.fork_rng(devices, device_type="cuda" if not devices else device.type):
    output = ddp(*inputs, **named_inputs)
    (loss or _sum)(output).backward()
  with torch.no_grad():
    for buffer, before in buffers:
      buffer.copy_(before)
  for parameter, before in gradients:
    parameter.grad = before


def _sum(output):
  if isinstance(output, torch.Tensor):
    return output.sum()
  parts = output.values() if isinstance(output, dict) else output
  return sum(part.sum() for part in parts
             if isinstance(part, torch.Tensor) and part.requires_grad)


def attempt():
  """Returns what a Checkpointer has to be told, beyond the environment, for all ranks to be of one
  attempt: run, generation, rank and world size, as rank 0 says. Every rank of the default process
  group has to call it; without one, or where `pelton run` names the attempt, there is nothing.
  """
  dist, env = torch.distributed, os.environ
  is_named = env.get("PELTON_JOB_UID") or (
      env.get("PELTON_GENERATION") and env.get("TORCHELASTIC_RUN_ID", "none") != "none")
  if is_named or not dist.is_available() or not dist.is_initialized():
    return {}
  agreed = [uuid.uuid4().hex]
  dist.broadcast_object_list(agreed, src=0)
  return {"run": agreed[0], "generation": 0, "rank": dist.get_rank(),
          "world_size": dist.get_world_size()}


def abort_collectives():
  """Shuts down this process's connections of gloo, and nothing else; returns their number.

  Every collective in which this process or a peer waits for the other ends at once with a
  RuntimeError; the process group is of no use any more: destroy it, and make a new one. gloo's own
  abort() frees nobody while a peer is stopped. Call it from another thread than the one that waits.
  """
  established = _established_inodes()
  count = 0
  for epoll in _gloo_epolls():
    for descriptor in _watched(epoll):
      try:
        link = os.readlink(f"/proc/self/fd/{descriptor}")
        if link.removeprefix("socket:[").removesuffix("]") not in established:
          continue  # above all not the one that listens: that would end the process
        with socket.socket(fileno=os.dup(descriptor)) as connection:
          connection.shutdown(socket.SHUT_RDWR)
        count += 1
      except OSError:
        pass  # closed meanwhile
  return count


def _gloo_epolls():
  """Returns the epoll descriptors in which gloo's threads wait."""
  found = set()
  for task in os.listdir("/proc/self/task"):
    try:
      with open(f"/proc/self/task/{task}/comm", encoding="utf-8", errors="replace") as file:
        if file.read().strip() != _GLOO_THREAD:
          continue
      for _ in range(1000):  # it handles an event and will be back
        with open(f"/proc/self/task/{task}/syscall", encoding="ascii") as file:
          words = file.read().split()
        if words[0] in _EPOLL_WAITS:
          found.add(int(words[1], 16))
          break
        os.sched_yield()
    except OSError:
      pass  # the thread has ended
  return found


def _watched(epoll):
  try:
    with open(f"/proc/self/fdinfo/{epoll}", encoding="ascii") as file:
      return [int(line.split()[1]) for line in file if line.startswith("tfd:")]
  except OSError:
    return []


def _established_inodes():
  inodes = set()
  for name in ("tcp", "tcp6"):
    try:
      with open(f"/proc/self/net/{name}", encoding="ascii") as file:
        next(file, None)
        inodes.update(words[9] for words in map(str.split, file) if words[3] == _ESTABLISHED)
    except OSError:
      pass  # a kernel without IPv6
  return inodes
