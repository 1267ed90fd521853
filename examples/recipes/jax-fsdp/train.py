# SPDX-License-Identifier: Apache-2.0
"""Trains a small transformer whose parameters and moments are sharded over a mesh (data, fsdp).

One process per device, under `pelton run` or any launcher that sets torchrun's environment:

    pelton run --standalone --nproc-per-node 4 --max-restarts 9 -- python train.py --checkpoint-dir DIR

The compiler makes the collectives: a tensor is gathered where it is used, and its gradient scattered.
A checkpoint holds each process's shards; MESHES says on which other numbers of processes it can go
on. The batch of a step, its order and what dropout drops are the same on all of them.
"""

import argparse
import functools
import hashlib
import os
import pathlib
import sysconfig

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax  # noqa: E402  (reads the environment above)
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from jax.experimental import multihost_utils  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

import pelton  # noqa: E402
import pelton.checkpoint  # noqa: E402
import pelton.jax  # noqa: E402

MESHES = {4: (2, 2), 3: (1, 3), 2: (1, 2), 1: (1, 1)}  # processes: (data, fsdp)
BATCH, CONTEXT, WIDTH, HEADS, LAYERS = 12, 64, 96, 4, 2  # what all meshes divide
DROPOUT, RATE = 0.1, 1e-3


def parse_arguments():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--checkpoint-dir", help="shared by all ranks")
  parser.add_argument("--checkpoint-every", type=int, default=10, help="steps")
  return parser.parse_args()


def join_world():
  """Joins the other processes; returns (rank, world size)."""
  rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
  if world > 1:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}", world, rank,
                               local_device_ids=[0])
  if world not in MESHES:
    raise SystemExit(f"error: no mesh for {world} processes; there are meshes for {list(MESHES)}")
  return rank, world


def initial_parameters(seed):
  random = np.random.default_rng(seed)
  draw = lambda *shape: 0.02 * random.standard_normal(shape, dtype=np.float32)  # noqa: E731
  layer = lambda: {"attend": draw(WIDTH, 3 * WIDTH), "project": draw(WIDTH, WIDTH),  # noqa: E731
                   "up": draw(WIDTH, 4 * WIDTH), "down": draw(4 * WIDTH, WIDTH)}
  return {"bytes": draw(256, WIDTH), "places": draw(CONTEXT, WIDTH),
          "layers": [layer() for _ in range(LAYERS)]}


def sharded(mesh, tree):
  """Puts a tree of whole arrays on the mesh, each sharded by its last dimension."""
  sharding = NamedSharding(mesh, PartitionSpec(None, "fsdp"))
  return jax.tree.map(lambda whole: jax.make_array_from_callback(
      whole.shape, sharding, lambda index: whole[index]), tree)


def normalize(x):
  return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + 1e-5)


def drop(x, key):
  return jnp.where(jax.random.bernoulli(key, 1 - DROPOUT, x.shape), x / (1 - DROPOUT), 0)


def attention(x, weights):
  split = (normalize(x) @ weights["attend"]).reshape(BATCH, CONTEXT, 3, HEADS, WIDTH // HEADS)
  query, key, value = (split[:, :, i] for i in range(3))
  mixed = jax.nn.dot_product_attention(query, key, value, is_causal=True)
  return mixed.reshape(x.shape) @ weights["project"]


def loss_of(parameters, text, key):
  x = parameters["bytes"][text[:, :-1]] + parameters["places"]
  for weights, of_layer in zip(parameters["layers"], jax.random.split(key, LAYERS)):
    first, second = jax.random.split(of_layer)
    x = x + drop(attention(x, weights), first)
    x = x + drop(jax.nn.gelu(normalize(x) @ weights["up"]) @ weights["down"], second)
  likelihood = jax.nn.log_softmax(normalize(x) @ parameters["bytes"].T)
  return -jnp.mean(jnp.take_along_axis(likelihood, text[:, 1:, None], axis=-1))


def train_step(state, text, key, step):
  """One step of Adam: (state, batch, random key, step) → (state, loss)."""
  key = jax.random.fold_in(jax.random.wrap_key_data(key), step)
  loss, gradient = jax.value_and_grad(loss_of)(state["parameters"], text, key)
  mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state["mean"], gradient)
  square = jax.tree.map(lambda s, g: 0.95 * s + 0.05 * g * g, state["square"], gradient)
  count = step.astype(jnp.float32)
  parameters = jax.tree.map(
      lambda p, m, s: p - RATE * (m / (1 - 0.9**count)) / (jnp.sqrt(s / (1 - 0.95**count)) + 1e-8),
      state["parameters"], mean, square)
  return {"parameters": parameters, "mean": mean, "square": square}, loss


def batch_at(text, seed, position):
  """The BATCH samples after `position` others: an epoch is each sample once, in its own order."""
  samples = (len(text) - 1) // CONTEXT
  turns = range(position, position + BATCH)
  numbers = [order_of(seed, turn // samples, samples)[turn % samples] for turn in turns]
  return np.stack([text[n * CONTEXT:(n + 1) * CONTEXT + 1] for n in numbers]).astype(np.int32)


@functools.lru_cache(maxsize=2)
def order_of(seed, epoch, samples):
  return np.random.default_rng([seed, epoch]).permutation(samples)


def main():
  arguments = parse_arguments()
  rank, world = join_world()
  mesh = Mesh(np.array(jax.devices()).reshape(MESHES[world]), ("data", "fsdp"))
  sources = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
  text = np.frombuffer(b"".join(path.read_bytes() for path in sources), np.uint8)
  parameters = initial_parameters(arguments.seed)
  zeros = jax.tree.map(np.zeros_like, parameters)
  state = sharded(mesh, {"parameters": parameters, "mean": zeros, "square": zeros})
  last, extra, checkpointer = 0, {"position": 0, "key": [0, arguments.seed]}, None
  if arguments.checkpoint_dir:
    checkpointer = pelton.checkpoint.Checkpointer(
        arguments.checkpoint_dir, every=arguments.checkpoint_every, job="jax-fsdp",
        **pelton.jax.attempt())
    if found := checkpointer.restore(state):
      (state, extra), last = found, checkpointer.restored["step"]
  print(f"rank={rank} pid={os.getpid()}", flush=True)
  if rank == 0:
    print(f"resume: step={last} world={world} mesh={dict(mesh.shape)}", flush=True)
  by_sample = NamedSharding(mesh, PartitionSpec(("data", "fsdp")))
  key, position = np.array(extra["key"], np.uint32), extra["position"]
  step_of = pelton.jax.compiled(jax.jit(train_step, donate_argnums=0))
  for step in range(last + 1, arguments.steps + 1):
    pelton.step(step)
    whole = batch_at(text, arguments.seed, position)
    batch = jax.make_array_from_callback(whole.shape, by_sample, lambda index: whole[index])  # noqa: B023
    state, loss = step_of(state, batch, key, np.uint32(step))
    position += BATCH
    if rank == 0:
      print(f"step={step} loss={float(loss):.4f}", flush=True)
    if checkpointer:
      checkpointer.save(step, state, extra={"position": position, "key": extra["key"]})
  if checkpointer:
    checkpointer.wait()
  digest = hashlib.sha256()
  for array in jax.tree.leaves(state["parameters"]):
    digest.update(np.ascontiguousarray(multihost_utils.process_allgather(array, tiled=True)))
  print(f"done: rank={rank} parameters_sha256={digest.hexdigest()}", flush=True)


if __name__ == "__main__":
  main()
