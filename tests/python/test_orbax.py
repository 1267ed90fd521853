# SPDX-License-Identifier: Apache-2.0
"""Orbax's managers and checkpointers over Pelton's files, with JAX arrays sharded over a mesh.

PELTON_CHECKPOINT_LIBRARY names the library.
"""

import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

os.environ["JAX_PLATFORMS"] = "cpu"
if "RANK" not in os.environ:
  os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"

import jax  # noqa: E402  (reads the environment above)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import orbax.checkpoint as ocp  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P  # noqa: E402

PACKAGE = str(pathlib.Path(__file__).resolve().parents[2] / "python")
sys.path.insert(0, PACKAGE)
from pages import FAR, Page, save_of  # noqa: E402  (they lie beside this file)
from pelton.checkpoint import Damaged, orbax as adapter  # noqa: E402  (found by the line above)

GIVE_UP_SECONDS = 280


def state_of(step, shape=(24, 6)):
  rng = np.random.default_rng(step)
  return {"w": rng.random(shape, np.float32), "b": [rng.integers(0, 9, 5)], "half": np.arange(8.0)}


def on(mesh, state):
  """The state as JAX arrays on a mesh: one sharded two ways, one whole, one bfloat16."""
  place = lambda array, *axes: jax.make_array_from_callback(  # noqa: E731
      array.shape, NamedSharding(mesh, P(*axes)), lambda index: array[index])
  half = np.asarray(state["half"]).astype(jnp.bfloat16)
  return {"w": place(state["w"], "data", "model"), "b": [place(state["b"][0])],
          "half": place(half, "model")}


def mesh_of(data, model):
  return Mesh(np.array(jax.devices()[:data * model]).reshape(data, model), ("data", "model"))


def same(state, expected):
  """Whether what this process has of it is as expected, to the bit."""
  def one(array, whole):
    return all(np.array_equal(np.asarray(shard.data, whole.dtype), whole[shard.index])
               for shard in array.addressable_shards)
  return all(jax.tree.leaves(jax.tree.map(one, state, expected)))


class OneProcess(unittest.TestCase):

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(directory.name, "checkpoints")

  def test_a_manager_saves_on_one_mesh_and_restores_on_another(self):
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    with ocp.CheckpointManager(self.here, item_handlers=adapter.Handler(), options=options) as manager:
      for step in (1, 2, 3):
        manager.save(step, args=adapter.Save(on(mesh_of(4, 2), state_of(step))))
    mesh = mesh_of(3, 2)
    with ocp.CheckpointManager(self.here, item_handlers=adapter.Handler()) as manager:
      self.assertEqual(sorted(manager.all_steps()), [2, 3])
      for step in (3, 2):
        template = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding),
                                on(mesh, state_of(0)))
        back = manager.restore(step, args=adapter.Restore(template))
        self.assertTrue(same(back, state_of(step)))
        self.assertEqual(back["w"].sharding, NamedSharding(mesh, P("data", "model")))
        self.assertEqual(back["half"].dtype, jnp.bfloat16)

  def test_the_nodes_memory_does_not_say_what_is_restored(self):
    memory = {"PELTON_MEMORY_DIR": f"{self.here}-memory", "PELTON_RESTORE": "1:0"}
    with mock.patch.dict(os.environ, memory), ocp.CheckpointManager(
        self.here, item_handlers=adapter.Handler()) as manager:
      for step in (1, 2):
        manager.save(step, args=adapter.Save(state_of(step)))
      manager.wait_until_finished()
      back = manager.restore(1, args=adapter.Restore(state_of(0)))
      np.testing.assert_array_equal(back["w"], state_of(1)["w"])

  def test_a_checkpointer_raises_for_damage_instead_of_loading_it(self):
    with ocp.Checkpointer(adapter.Handler()) as checkpointer:
      checkpointer.save(self.here, args=adapter.Save(state_of(1)))
      template = state_of(0)
      self.assertTrue(np.array_equal(checkpointer.restore(
          self.here, args=adapter.Restore(template))["w"], state_of(1)["w"]))
      self.assertTrue(np.array_equal(template["w"], state_of(1)["w"]), "it is filled in place")
      data, = self.here.glob("**/*.data")
      damaged = bytearray(data.read_bytes())
      damaged[100] ^= 8
      data.write_bytes(damaged)
      with self.assertRaisesRegex(Damaged, "w00000.data"):
        checkpointer.restore(self.here, args=adapter.Restore(template))


def train(directory):
  """Saves what `policies` say, until there is the file "finish"; prints which steps it has saved."""
  policies = ocp.checkpoint_managers
  options = ocp.CheckpointManagerOptions(save_decision_policy=policies.AnySavePolicy(
      [adapter.NoticePolicy(f"{directory}/checkpoints"), policies.FixedIntervalPolicy(10000)]))
  mesh = mesh_of(jax.device_count(), 1)
  state = on(mesh, state_of(7))
  total = jax.jit(lambda state: state["w"].sum())  # a collective: nobody gets ahead of the others
  with ocp.CheckpointManager(f"{directory}/checkpoints", item_handlers=adapter.Handler(),
                             options=options) as manager:
    step, saved, is_over = 0, [], 0
    while not is_over:
      step += 1
      finish = on_all(mesh, os.path.exists(f"{directory}/finish"))
      is_over = int(jax.jit(jnp.max)(finish))
      total(state).block_until_ready()
      if manager.save(step, args=adapter.Save(state)):
        saved.append(step)
  print(f"equal {saved}", flush=True)


def on_all(mesh, mine):
  """What each process has, as an array over all of them."""
  return jax.make_array_from_callback((mesh.size,), NamedSharding(mesh, P("data")),
                                      lambda _: np.array([mine], np.int32))


def rank(what, directory):
  """A process of a job: saves on a mesh of all processes, or restores, or trains."""
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  jax.distributed.initialize(f"127.0.0.1:{os.environ['MASTER_PORT']}", int(os.environ["WORLD_SIZE"]),
                             int(os.environ["RANK"]), local_device_ids=[0])
  if what == "train":
    train(directory)
    return jax.distributed.shutdown()
  mesh = mesh_of(jax.device_count(), 1)
  options = ocp.CheckpointManagerOptions(enable_async_checkpointing=what == "save")
  with ocp.CheckpointManager(directory, item_handlers=adapter.Handler(), options=options) as manager:
    if what == "save":
      manager.save(7, args=adapter.Save(on(mesh, state_of(7))))
      manager.wait_until_finished()
    else:
      back = manager.restore(manager.latest_step(), args=adapter.Restore(on(mesh, state_of(0))))
      print(f"equal {same(back, state_of(7))}", flush=True)
  jax.distributed.shutdown()


class Processes(unittest.TestCase):

  def job(self, what, ranks, directory, meanwhile=lambda: None):
    """Runs the ranks of a job; returns what each said."""
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      env = {**os.environ, "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": str(ranks)}
    del env["XLA_FLAGS"]
    jobs = [subprocess.Popen([sys.executable, "-B", __file__, what, directory],
                             env={**env, "RANK": str(rank),
                                  "PELTON_HEARTBEAT": f"{directory}/page-{rank}"},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for rank in range(ranks)]
    try:
      meanwhile()
      told = []
      for job in jobs:
        out, errors = job.communicate(timeout=GIVE_UP_SECONDS)
        self.assertEqual(job.returncode, 0, errors)
        told += re.findall(r"equal (.+)", out)
      return told
    finally:
      for job in jobs:
        job.kill()
        job.wait()

  def test_three_save_and_two_restore(self):
    with tempfile.TemporaryDirectory() as directory:
      self.job("save", 3, f"{directory}/checkpoints")
      self.assertEqual(len(list(pathlib.Path(directory).glob("checkpoints/7/**/*.data"))), 3)
      self.assertEqual(self.job("restore", 2, f"{directory}/checkpoints"), ["True", "True"])

  def test_a_notice_has_all_save_the_same_step(self):
    with tempfile.TemporaryDirectory() as directory:
      pages = [Page(pathlib.Path(directory, f"page-{rank}"), rank) for rank in range(2)]
      saved = []

      def meanwhile():
        for turn in range(2):
          saved.append(save_of(pages, FAR + turn))
          self.assertTrue(pathlib.Path(directory, "checkpoints", str(saved[-1])).exists())
        pathlib.Path(directory, "finish").touch()

      told = self.job("train", 2, directory, meanwhile)
      self.assertEqual(told, [str(saved)] * 2)


if __name__ == "__main__":
  if sys.argv[1:2] in (["save"], ["restore"], ["train"]):
    rank(*sys.argv[1:3])
  else:
    unittest.main()
