# SPDX-License-Identifier: Apache-2.0
"""JAX ranks forked from a parked parent, with their coordinator beside them. Real gloo, real kills.

Needs an interpreter with examples/train-gpt/requirements.txt installed; `./dev test` has one.
"""

import os
import pathlib
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from parked import PACKAGE, ROOT, Parked, Refused

sys.path.insert(0, PACKAGE)
from pelton import _jax_distributed  # noqa: E402

TRAIN = ROOT / "examples/train-gpt/train.py"
GIVE_UP_SECONDS = 200
TINY = ["--layers", "1", "--width", "32", "--heads", "2", "--context", "16",
        "--sequences-per-rank", "2", "--steps", "30", "--checkpoint-every", "10"]
ENV = {**os.environ, "PYTHONPATH": PACKAGE, "PYTHONDONTWRITEBYTECODE": "1",
       "PYTHONUNBUFFERED": "1"}
JOIN = """
    import jax, numpy
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize()
    from jax.experimental import multihost_utils
    print("sum", int(multihost_utils.process_allgather(numpy.int32(jax.process_index())).sum()))
    print("service", type(jax._src.distributed.global_state.service).__name__)
    jax.distributed.shutdown()
    """


def free_address():
  with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    return f"127.0.0.1:{probe.getsockname()[1]}"


class Ranks(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(directory.name)
    self.generation = 0

  def park(self, script):
    parent = Parked(script, env=ENV)
    self.addCleanup(parent.close)
    return parent

  def write(self, text):
    script = self.here / "script.py"
    script.write_text(textwrap.dedent(text))
    return script

  def env(self, rank, world, master, coordinator=None):
    host, _, port = master.rpartition(":")
    env = {**ENV, "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
           "LOCAL_WORLD_SIZE": str(world), "MASTER_ADDR": host, "MASTER_PORT": port,
           "JAX_COORDINATOR_ADDRESS": master}
    return {**env, "PELTON_COORDINATOR": coordinator} if coordinator else env

  def spawn(self, parent, argv, rank, world, coordinator):
    out = self.here / f"out-{self.generation}-{rank}"
    return parent.spawn(argv, env=self.env(rank, world, coordinator, coordinator), cwd=self.here,
                        stdout=out, stderr=f"{out}.err")

  def start(self, parent, argv, world):
    """A new generation; returns the pids of its coordinator and its ranks."""
    self.generation += 1
    coordinator = free_address()
    service = parent.coordinator(coordinator, world)
    return service, [self.spawn(parent, argv, rank, world, coordinator) for rank in range(world)]

  def text(self, rank, suffix=""):
    return (self.here / f"out-{self.generation}-{rank}{suffix}").read_text()

  def wait_for(self, pid, rank, pattern):
    """Waits until the rank has printed a line that matches; fails if it ends before."""
    ended = os.pidfd_open(pid)
    while not re.search(f"(?m)^{pattern}", self.text(rank)):
      over = select.select([ended], [], [], 0.01)[0]
      self.assertFalse(over, self.text(rank) + self.text(rank, ".err"))
    os.close(ended)

  def hashes(self, texts):
    return {re.search(r"parameters_sha256=(\w+)", text)[1] for text in texts}

  def plain_hashes(self, world):
    master = free_address()
    ranks = [subprocess.Popen([sys.executable, TRAIN, *TINY], env=self.env(rank, world, master),
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
             for rank in range(world)]
    return self.hashes([rank.communicate()[0] for rank in ranks])

  def check_kill_all_and_resume(self, world):
    parent = self.park(TRAIN)
    argv = [TRAIN, *TINY, "--checkpoint-dir", self.here / "checkpoints"]
    service, pids = self.start(parent, argv, world)
    self.wait_for(pids[0], 0, "checkpoint: step=10 ")
    self.assertEqual(parent.kill(*pids, service), [-signal.SIGKILL] * (world + 1))
    service, pids = self.start(parent, argv, world)
    self.assertEqual([parent.wait(pid) for pid in pids], [0] * world, self.text(0, ".err"))
    for rank in range(world):
      self.assertRegex(self.text(rank), f"(?m)^resume: step=[12]0 rank={rank} ")
      self.assertIn(f"rank {rank}: the step was loaded", self.text(rank))
      self.assertNotIn("pelton:", self.text(rank, ".err"))
    self.assertIn(f"agreement: ranks={world} equal=yes", self.text(0))
    self.assertEqual(self.hashes(self.text(rank) for rank in range(world)),
                     self.plain_hashes(world))


class FourRanks(Ranks):
  def test_that_four_ranks_killed_and_forked_again_end_as_a_plain_run_does(self):
    self.check_kill_all_and_resume(4)


class TwoRanks(Ranks):
  def test_that_two_ranks_killed_and_forked_again_end_as_a_plain_run_does(self):
    self.check_kill_all_and_resume(2)

  def test_that_ranks_which_dial_before_the_coordinator_join_it_parked_or_not(self):
    script = self.write(JOIN)
    parent = self.park(script)
    coordinator = free_address()
    early = self.spawn(parent, [script], 0, 2, coordinator)
    plain = subprocess.Popen([sys.executable, script], env=self.env(1, 2, coordinator, coordinator),
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    self.assertFalse(select.select([plain.stdout], [], [], 3)[0], "it joined nobody")
    parent.coordinator(coordinator, 2)
    out, error = plain.communicate()
    self.assertTrue(out.endswith("sum 1\nservice NoneType\n"), out + error)
    self.assertEqual(plain.returncode, 0)
    self.assertEqual(parent.wait(early), 0, self.text(0, ".err"))
    self.assertTrue(self.text(0).endswith("sum 1\nservice _Elsewhere\n"), self.text(0))

  def test_that_ranks_leave_when_the_coordinator_is_killed_and_come_back_with_a_new_one(self):
    parent = self.park(TRAIN)
    argv = [TRAIN, *TINY, "--steps", "100000"]
    service, pids = self.start(parent, argv, 2)
    self.wait_for(pids[0], 0, "step=2 ")
    parent.kill(service)
    self.assertTrue(all(parent.wait(pid) != 0 for pid in pids))
    _, pids = self.start(parent, argv, 2)
    self.wait_for(pids[0], 0, "step=2 ")
    parent.kill(*pids)

  def test_that_a_rank_with_an_exception_does_not_wait_for_its_peers(self):
    script = self.write(JOIN.replace("jax.distributed.shutdown()", "import time") + """
    if jax.process_index() == 0:
      time.sleep(3600)
    raise RuntimeError("of rank 1")
    """)
    parent = self.park(script)
    _, pids = self.start(parent, [script], 2)
    self.assertEqual(parent.wait(pids[1]), 1)
    self.assertIn("RuntimeError: of rank 1", self.text(1, ".err"))
    self.assertEqual(parent.kill(pids[0]), [-signal.SIGKILL], "the other one was still there")

  def test_that_a_busy_port_is_an_answer(self):
    with socket.socket() as busy:
      busy.bind(("127.0.0.1", 0))
      busy.listen()
      with self.assertRaisesRegex(Refused, "."):
        self.park(self.write(JOIN)).coordinator(f"127.0.0.1:{busy.getsockname()[1]}", 1)


class OtherWorldsAreLeftAlone(Ranks):
  def test_that_only_torchruns_address_and_none_are_replaced(self):
    env = {"PELTON_COORDINATOR": "c:1", "RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "m",
           "MASTER_PORT": "2"}
    full = {"coordinator_address": "c:1", "num_processes": 4, "process_id": 1}
    for given in ({}, {"coordinator_address": "m:2"}, {"coordinator_address": "c:1"},
                  {"coordinator_address": "m:2", "num_processes": 4, "process_id": 1}):
      self.assertTrue(_jax_distributed._fill_in(given, env))
      self.assertLessEqual(full.items(), given.items())
    for given, change in (({"coordinator_address": "other:2"}, {}), ({"num_processes": 2}, {}),
                          ({"process_id": 0}, {}), ({}, {"JAX_COORDINATOR_ADDRESS": "other:2"}),
                          ({}, {"PELTON_COORDINATOR": ""}), ({}, {"RANK": ""})):
      before = dict(given)
      self.assertFalse(_jax_distributed._fill_in(given, {**env, **change}))
      self.assertEqual(given, before)

  def test_that_an_untested_jax_starts_its_own_service_after_one_warning(self):
    address = free_address()
    script = self.write("import pelton._jax_distributed as d\nd.TESTED = ((9, 0), (9, 1))\n"
                        + textwrap.dedent(JOIN).replace("initialize()", f"initialize('{address}', 1, 0)"))
    done = subprocess.run([sys.executable, script], env=self.env(0, 1, address, address),
                          capture_output=True, text=True, check=False)
    self.assertEqual((done.returncode, done.stderr.count("was tested with JAX 9.0, and this is")),
                     (0, 1), done.stderr)
    self.assertEqual(done.stdout.splitlines()[0], "sum 0")
    self.assertNotIn("_Elsewhere", done.stdout)


class CompiledPrograms(Ranks):
  SCRIPT = """
      import sys, jax, jax.numpy as jnp, pelton.jax
      factor = float(sys.argv[1])
      f = pelton.jax.compiled(jax.jit(lambda x, y=1.0: {"out": jnp.sin(x) * factor + y}))
      for n in (3, 4, 3):
        out = f(jnp.arange(n, dtype=jnp.float32), y=2.0)["out"]
        print(n, f.loaded, float(out.sum()))
      """

  def run_script(self, factor, **env):
    done = subprocess.run([sys.executable, self.write(self.SCRIPT), factor], text=True, check=True,
                          env={**ENV, "JAX_PLATFORMS": "cpu", **env}, capture_output=True)
    return [line.split() for line in done.stdout.splitlines()], done.stderr

  def test_that_a_stored_program_is_loaded_and_never_a_wrong_one(self):
    memory = {"PELTON_MEMORY_DIR": str(self.here / "memory"),
              # JAX's own cache, full of hits, which could not be stored
              "JAX_COMPILATION_CACHE_DIR": str(self.here / "cache"),
              "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    without, _ = self.run_script("2", PELTON_MEMORY_DIR="")
    self.run_script("2", **{**memory, "PELTON_MEMORY_DIR": ""})
    first, _ = self.run_script("2", **memory)
    again, error = self.run_script("2", **memory)
    self.assertEqual([row[2] for row in first], [row[2] for row in without])
    self.assertEqual([row[1] for row in first], ["False"] * 3)
    self.assertEqual([row[1] for row in again], ["True"] * 3, error)
    self.assertEqual([row[2] for row in again], [row[2] for row in without])
    other, _ = self.run_script("3", **memory)
    self.assertEqual(other[0][1], "False")
    self.assertNotEqual(other[0][2], first[0][2])

    kept = sorted((self.here / "memory/programs").iterdir())
    self.assertEqual(len(kept), 4)
    for path in kept:
      data = bytearray(path.read_bytes())
      data[len(data) // 2] ^= 1
      path.write_bytes(data)
    damaged, error = self.run_script("2", **memory)
    self.assertEqual([row[1:] for row in damaged], [row[1:] for row in first])
    self.assertEqual(error.count("does not load: it is damaged"), 2)
    self.assertEqual(self.run_script("2", **memory)[0], again)


class ProgramsAhead(Ranks):
  """Pods of one rank each: what is there when one of three is lost."""
  OWN = """
      import jax, pelton.jax, time
      import jax.numpy as jnp
      from jax.sharding import Mesh, NamedSharding, PartitionSpec
      jax.config.update("jax_cpu_collectives_implementation", "gloo")
      jax.distributed.initialize()
      sharding = NamedSharding(Mesh(jax.devices(), ("rank",)), PartitionSpec("rank"))
      x = jax.make_array_from_process_local_data(sharding, jnp.ones(2))
      f = pelton.jax.compiled(jax.jit(lambda x: x.sum()), ahead=True)
      for step in range(1_000_000):
        total = float(f(x))
        if step in (0, 5):
          print("loaded" if f.loaded else "compiled", total, flush=True)
        time.sleep(0.01)
      """

  TRAIN = f"""
      import sys, time, jax, pelton
      sys.path.append({str(TRAIN.parent)!r})
      import train
      step = pelton.step
      pelton.step = lambda number: time.sleep(0.3) or step(number)  # leaves this machine to others
      sys.exit(train.main(sys.argv[1:]))
      """

  def env(self, rank, world, master, coordinator=None):
    node = rank if world == 3 else rank + 1  # the first one is lost
    return {**super().env(rank, world, master, coordinator), "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1", "PELTON_MEMORY_DIR": str(self.here / f"node-{node}"),
            "PELTON_HEARTBEAT": str(self.here / "nowhere")}

  def compilers(self):
    """Pids of the processes that exist only to compile for this test."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
      try:
        if f"PELTON_AHEAD={self.here}".encode() in (process / "environ").read_bytes():
          found.append(int(process.name))
      except OSError:
        pass
    return found

  def wait_until(self, condition, what, pids=()):
    end = time.monotonic() + GIVE_UP_SECONDS
    ended = [os.pidfd_open(pid) for pid in pids]
    while not condition():
      over = select.select(ended, [], [], 0.05)[0] or time.monotonic() > end
      self.assertFalse(over, what + "".join(
          path.read_text() for path in self.here.glob("out-*.err")))
    for descriptor in ended:
      os.close(descriptor)

  def test_that_a_shrunk_job_loads_and_compiles_nothing(self):
    script, checkpoints = self.write(self.TRAIN), self.here / "checkpoints"
    parent = self.park(script)
    argv = [script, *TINY, "--steps", "100000", "--checkpoint-every", "1", "--checkpoint-dir",
            checkpoints, "--microbatches", "3", "--ahead"]
    service, pids = self.start(parent, argv, 3)
    self.wait_until(lambda: len(list(checkpoints.glob("*.ahead-0"))) == 2, "no programs",
                    pids)
    self.wait_until(lambda: not self.compilers(), "they do not end", pids)
    parent.kill(*pids, service)
    before = sorted(checkpoints.glob("*.bin"))
    self.assertEqual(len(before), 3 + 2)

    service, pids = self.start(parent, argv, 2)
    self.wait_for(pids[0], 0, "step=")
    for rank in range(2):  # three parts of a batch for two ranks: two on each, one of no weight
      self.assertIn(f"rank {rank}: the step was loaded", self.text(rank))
      self.assertRegex(self.text(rank), "(?m)^resume: step=[1-9]")
    self.assertEqual(sorted(checkpoints.glob("*.bin")), before)
    parent.kill(*pids, service)

  def test_that_each_node_has_the_program_of_the_rank_that_it_moves_up_to(self):
    script = self.write(self.OWN)
    parent = self.park(script)
    service, pids = self.start(parent, [script], 3)
    self.wait_until(self.compilers, "nobody compiles ahead", pids)
    parent.kill(*pids, service)
    self.wait_until(lambda: not self.compilers(), "they outlive their workers")
    service, pids = self.start(parent, [script], 3)
    for shift in (0, 1):
      self.wait_until(lambda: len(list(self.here.glob(f"node-*/programs/*.ahead-{shift}"))) == 2,
                      f"no programs after {shift} pods", pids)
    parent.kill(*pids, service)
    service, pids = self.start(parent, [script], 2)
    for rank, pid in enumerate(pids):
      self.wait_for(pid, rank, "loaded 4.0\nloaded 4.0")
    parent.kill(*pids, service)

  def test_that_what_fails_costs_a_line(self):
    script = self.write("import os\nif os.environ.get('PELTON_AHEAD') and os.environ['RANK'] == '0':\n"
                        "  raise SystemExit('not me')\n" + textwrap.dedent(self.OWN))
    parent = self.park(script)
    service, pids = self.start(parent, [script], 3)
    self.wait_until(lambda: "pelton: no programs ahead for 2 ranks: rank 0 ended with 1: not me\n"
                    in self.text(0, ".err"), "no line", pids)
    self.wait_until(lambda: "rank 1 ended with -9: another rank's has failed\n"
                    in self.text(1, ".err"), "no line", pids)
    self.wait_for(pids[0], 0, "compiled 6.0\ncompiled 6.0")
    parent.kill(*pids, service)

  def test_that_checkpoints_are_off_in_it(self):
    checkpoints = self.here / "checkpoints"
    done = subprocess.run(
        [sys.executable, "-c", "import sys, numpy, pelton.checkpoint\n"
         "with pelton.checkpoint.Checkpointer(sys.argv[1], run='r', generation=9) as c:\n"
         "  state = {'a': numpy.ones(3)}; c.prepare(state)\n"
         "  print(c.restore(state), c.save(1, state), c.wait(), c.newest())", checkpoints],
        env={**ENV, "PELTON_AHEAD": str(self.here / "marker"),
             "PELTON_MEMORY_DIR": str(self.here / "memory")},
        capture_output=True, text=True, check=False)
    self.assertEqual(done.stdout, "None False None None\n", done.stderr)
    self.assertEqual(sorted(path.name for path in self.here.iterdir()), [])


if __name__ == "__main__":
  unittest.main()
