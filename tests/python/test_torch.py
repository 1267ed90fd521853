# SPDX-License-Identifier: Apache-2.0
"""PyTorch workers forked from a parked parent: collectives that end, steps that are seen, and runs
that resume in the same bits. Real gloo, real SIGKILL and SIGSTOP.
"""

import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import parked

TRAIN = parked.ROOT / "examples/recipes/torch-ddp/train.py"
STEPS, EVERY = 9, 3

# Waits in an all-reduce for a peer that was stopped; says how it ended, and goes on without it.
SURVIVOR = """
import os, socket, sys, threading, time
import torch
import torch.distributed as dist
import pelton.torch

rank, how = dist.init_process_group("gloo") or dist.get_rank(), sys.argv[1]
dist.all_reduce(torch.ones(1))
server = socket.create_server(("127.0.0.1", 0))
mine = socket.create_connection(server.getsockname())
other, _ = server.accept()
print(f"ready {os.getpid()}", flush=True)
sys.stdin.close()
while not os.path.exists(sys.argv[2]):
  time.sleep(0.01)
if how == "call" and rank == 0:
  threading.Timer(0.3, lambda: print("aborted", time.monotonic(), pelton.torch.abort_collectives(),
                                     flush=True)).start()
try:
  dist.all_reduce(torch.ones(1))
except RuntimeError as error:
  print("ended", time.monotonic(), flush=True)
  mine.sendall(b"x")
  assert other.recv(1) == b"x"
  dist.destroy_process_group()
  dist.init_process_group("gloo", init_method=f"file://{sys.argv[2]}.again", rank=0, world_size=1)
  dist.all_reduce(torch.ones(1))
  print("goes on", flush=True)
  os._exit(0)
"""


class Torch(unittest.TestCase):

  @classmethod
  def setUpClass(cls):
    cls.base = {"PATH": os.environ["PATH"], "PYTHONPATH": parked.PACKAGE, "OMP_NUM_THREADS": "1"}
    if library := os.environ.get("PELTON_CHECKPOINT_LIBRARY"):
      cls.base["PELTON_CHECKPOINT_LIBRARY"] = library
    cls.parent = parked.Parked(TRAIN, env=cls.base, python=sys.executable)

  @classmethod
  def tearDownClass(cls):
    cls.parent.close()

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(directory.name)

  def start(self, script, *arguments, ranks, **more):
    """Forks the ranks of a group; returns their pids. Rank r prints into rank-r."""
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      port = probe.getsockname()[1]
    return [self.parent.spawn(
        [script, *arguments], stdout=self.here / f"rank-{rank}", stderr=self.here / f"rank-{rank}",
        env={**self.base, "RANK": str(rank), "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
             "MASTER_PORT": str(port), **{name: value.format(rank=rank)
                                          for name, value in more.items()}})
            for rank in range(ranks)]

  def text(self, rank):
    path = self.here / f"rank-{rank}"
    return path.read_text() if path.exists() else ""

  def await_text(self, rank, pattern):
    until = time.monotonic() + parked.GIVE_UP_SECONDS
    while not (match := re.search(pattern, self.text(rank))):
      self.assertLess(time.monotonic(), until, f"rank {rank} printed {self.text(rank)!r}")
      time.sleep(0.005)
    return match

  def train(self, directory, *more, ranks=4):
    return self.start(TRAIN, "--steps", STEPS, "--checkpoint-every", EVERY, "--bit-exact",
                      "--data-workers", 1, "--checkpoint-dir", self.here / directory, *more,
                      ranks=ranks)

  def test_a_resumed_run_ends_in_the_same_bits(self):
    self.assertEqual([self.parent.wait(pid) for pid in self.train("whole")], [0] * 4, self.text(0))
    hashes = {rank: re.search(r"sha256=(\w+)", self.text(rank))[1] for rank in range(4)}
    self.assertEqual(len(set(hashes.values())), 1)
    for rank in range(4):
      (self.here / f"rank-{rank}").unlink()
    pids = self.train("killed")
    self.await_text(0, f"step={EVERY + 1} ")
    self.parent.kill(pids[2])
    self.parent.kill(*(pid for pid in pids if pid != pids[2]))
    pids = self.train("killed")
    self.assertEqual([self.parent.wait(pid) for pid in pids], [0] * 4, self.text(0))
    self.assertRegex(self.text(0), r"resume: step=[36]")
    self.assertEqual(re.search(r"sha256=(\w+)", self.text(0))[1], hashes[0])

  def survive(self, how):
    """Stops rank 1 while rank 0 waits for it; returns the seconds from the abort to its end."""
    script, go = self.here / "survivor.py", self.here / "go"
    script.write_text(SURVIVOR)
    pids = self.start(script, how, go, ranks=2)
    for rank in range(2):
      self.await_text(rank, "ready")
    os.kill(pids[1], signal.SIGSTOP)
    go.touch()
    if how == "signal":
      self.wait_until_it_waits(pids[0])
      began = time.monotonic()
      os.kill(pids[0], signal.SIGRTMIN + 8)
    else:
      began = float(self.await_text(0, r"aborted (\S+)")[1])
      self.assertRegex(self.text(0), r"aborted \S+ 1\n")
    self.assertEqual(self.parent.wait(pids[0]), 0, self.text(0))
    self.assertIn("goes on", self.text(0))
    self.parent.kill(pids[1])
    return float(re.search(r"ended (\S+)", self.text(0))[1]) - began

  def wait_until_it_waits(self, pid):
    """Until its main thread stays in the kernel in one futex."""
    until, calls = time.monotonic() + parked.GIVE_UP_SECONDS, []
    while len(calls) < 20 or len(set(calls[-20:])) != 1 or calls[-1] == "running":
      self.assertLess(time.monotonic(), until)
      calls.append(pathlib.Path(f"/proc/{pid}/syscall").read_text())
      time.sleep(0.01)

  def test_a_call_frees_who_waits_for_a_stopped_peer(self):
    self.assertLess(self.survive("call"), 20)  # of gloo's half an hour

  def test_a_signal_frees_who_waits_for_a_stopped_peer(self):
    self.assertLess(self.survive("signal"), 20)

  def make_pages(self, ranks):
    for rank in range(ranks):
      (self.here / f"page-{rank}").write_bytes(
          struct.pack("<8sIIqiiQ", b"PLTNBEAT", 1, 256, 7, rank, 0, 0).ljust(64 + 256 * 32, b"\0"))

  def records(self, rank):
    """[(phase, step)] of a page."""
    page = (self.here / f"page-{rank}").read_bytes()
    written, = struct.unpack_from("<Q", page, 32)
    records = [struct.unpack_from("<QqqI", page, 64 + 32 * i) for i in range(written)]
    return [(phase, step) for _, _, step, phase in records]

  def test_a_script_that_is_not_forked_is_seen_step_by_step_too(self):
    self.make_pages(1)
    done = subprocess.run(
        [sys.executable, TRAIN, "--steps", "4", "--data-workers", "1"], check=False, text=True,
        env={**self.base, "RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1",
             "MASTER_PORT": "0", "PELTON_HEARTBEAT": str(self.here / "page-0")}, capture_output=True)
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual(self.records(0), [(3, 2), (3, 3), (3, 4), (3, 5)])

  def test_an_unmodified_script_is_seen_step_by_step(self):
    self.make_pages(2)
    more = {"PELTON_HEARTBEAT": str(self.here) + "/page-{rank}"}
    command = [TRAIN, "--checkpoint-dir", self.here / "seen", "--checkpoint-every", "5"]
    for steps, seen in (("5", [2, 3, 4, 5, 6]), ("8", [7, 8, 9])):  # Adam's own count goes on
      pids = self.start(*command, "--steps", steps, ranks=2, **more)
      self.assertEqual([self.parent.wait(pid) for pid in pids], [0, 0], self.text(0))
      records = self.records(1)
      self.assertEqual([step for phase, step in records if phase == 3][-len(seen):], seen)
      self.assertEqual(sum(phase == 1 for phase, _ in records), 1 + (steps == "8"))

  def test_a_parent_that_ran_an_operator_is_refused(self):
    (self.here / "hasty.py").write_text(
        "import torch\ntorch.set_num_threads(2)\ntorch.ones(2000, 2000) @ torch.ones(2000, 2000)\n")
    env = {**self.base, "PYTHONPATH": f"{parked.PACKAGE}:{self.here}", "OMP_NUM_THREADS": "2"}
    with self.assertRaisesRegex(parked.Refused, "left threads running"):
      parked.Parked(TRAIN, env=env, imports=["hasty"])


if __name__ == "__main__":
  unittest.main()
