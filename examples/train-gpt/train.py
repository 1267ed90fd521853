# SPDX-License-Identifier: Apache-2.0
"""Trains a one-million-parameter transformer on the Python standard library, data-parallel.

Start one process per rank under torchrun's environment (RANK, WORLD_SIZE, MASTER_ADDR,
MASTER_PORT), which `pelton run` provides; alone, it trains as a world of one:

    pelton run --nproc-per-node 4 --standalone -- python train.py --steps 50

Every rank holds all parameters and computes the gradient of its own part of the batch; one
all-reduce per step makes the average. The same seed and world size give the same parameters bit for
bit, interrupted or not, and the run ends by comparing their hash across all ranks.

With --microbatches N the batch of a step is N parts whatever the number of ranks, dealt out to those
there are. So the run may go on with fewer or more ranks: it reads the same text in the same order,
and the gradients differ in rounding alone.

Rank 0 prints one line per step, `step=17 loss=3.21 ms=512 tokens_per_s=4000`, and every rank prints
where it resumes. Exit code 0: all steps done and all ranks agree; 1: they do not, or a rank was
lost; 2: the arguments, the environment or the checkpoint directory do not fit.
"""

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import os
import pathlib
import sys
import time

# One thread of compute per rank: the ranks share this machine's cores, and a fixed split of the
# sums makes them come out the same each time. The other one shortens compiling and costs the steps
# nothing.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false --xla_llvm_disable_expensive_passes=true")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

STARTED = time.monotonic()

import jax  # noqa: E402  (reads the environment above)
import numpy as np  # noqa: E402
from jax.experimental import multihost_utils  # noqa: E402
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # noqa: E402

import checkpoint  # noqa: E402
import corpus  # noqa: E402
import model  # noqa: E402

try:
  import pelton
  import pelton.jax
except ImportError:  # not under `pelton run`: it trains all the same, and compiles at each start
  pelton = None


def say(line):
  print(line, flush=True)


def parse_arguments(argv):
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  shape, schedule = model.Shape(), model.Schedule()
  parser.add_argument("--steps", type=int, default=schedule.steps)
  parser.add_argument("--learning-rate", type=float, default=schedule.peak)
  parser.add_argument("--layers", type=int, default=shape.layers)
  parser.add_argument("--heads", type=int, default=shape.heads)
  parser.add_argument("--width", type=int, default=shape.width)
  parser.add_argument("--context", type=int, default=shape.context, help="bytes per sequence")
  parser.add_argument("--sequences-per-rank", type=int, default=shape.sequences_per_rank)
  parser.add_argument("--microbatches", type=int, default=0,
                      help="parts of a batch (default: one per rank)")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--text", help="a directory of .py files (default: the standard library)")
  parser.add_argument("--checkpoint-dir", help="shared by all ranks; without it nothing is saved")
  parser.add_argument("--checkpoint-every", type=int, default=20, help="steps")
  arguments = parser.parse_args(argv)
  if arguments.microbatches < 0:
    parser.error("--microbatches must be at least 1, or 0 for one per rank")
  if arguments.steps < 1 or arguments.checkpoint_every < 1 or arguments.width % arguments.heads:
    parser.error("--steps and --checkpoint-every must be at least 1, --width a multiple of --heads")
  return arguments


def join_world():
  """Joins the ranks that the environment names; returns (rank, world size)."""
  rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
  if world == 1:
    return 0, 1
  jax.config.update("jax_cpu_collectives_implementation", "gloo")
  # JAX would take SIGTERM for itself to announce a preemption; here it has to end the process.
  jax.config.update("jax_enable_preemption_service", False)
  jax.distributed.initialize(
      f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}", world, rank,
      local_device_ids=[0],
      initialization_timeout=120,
      # A rank that dies leaves the others in a collective that cannot end. They abort after this,
      # unless they are stopped first, as a Job and `pelton run` do. A busy machine may stall long.
      heartbeat_timeout_seconds=40,
      shutdown_timeout_seconds=30)
  return rank, world


def microbatches_of(rank, world, microbatches):
  """Returns [(index, weight)] of the parts of a batch that a rank computes: as many on each rank,
  so that all run one program; where they do not come out even, some count for nothing."""
  turns = -(-microbatches // world)
  mine = [rank + turn * world for turn in range(turns)]
  return [(index % microbatches, float(index < microbatches)) for index in mine]


def build_step(shape, mesh, microbatches):
  """Returns the step: (parameters, mean, square, text, weights, rate, step) → new state and loss."""
  whole, by_rank = PartitionSpec(), PartitionSpec("rank")

  def step_on_one_rank(parameters, mean, square, text, weights, rate, step):
    def one(sums, part):
      value, gradient = jax.value_and_grad(model.loss)(parameters, part[0], shape)
      return (sums[0] + part[1] * gradient, sums[1] + part[1] * value), None

    nothing = (jax.numpy.zeros_like(parameters), jax.numpy.float32(0))
    sums, _ = jax.lax.scan(one, nothing, (text, weights))
    gradient, value = (part / microbatches for part in jax.lax.psum(sums, "rank"))
    return *model.adam(parameters, mean, square, gradient, rate, step), value

  sharded = jax.shard_map(
      step_on_one_rank, mesh=mesh, check_vma=False,
      in_specs=(whole, whole, whole, by_rank, by_rank, whole, whole), out_specs=whole)
  return jax.jit(sharded, donate_argnums=(0, 1, 2))


def program_key(run):
  """Returns a text that changes whenever the compiled step does: it is found without tracing it."""
  here = pathlib.Path(__file__).parent
  return repr(sorted(run.items())) + "".join(
      (here / name).read_text() for name in ("model.py", "train.py"))


def restore(arguments, run, rank, world):
  """Returns (last finished step, state arrays) on which all ranks agree; (0, fresh) at first."""
  found = None
  if arguments.checkpoint_dir:
    found = checkpoint.load_newest(arguments.checkpoint_dir, run, warn=say)
  step = found[0] if found else 0
  if world > 1:
    chosen = int(multihost_utils.process_allgather(np.int32(step)).min())
    if chosen != step:  # this rank sees a newer one than some other rank: use the common one
      step, found = chosen, None
      if step:
        found = checkpoint.load(checkpoint.path_of(arguments.checkpoint_dir, step), run)
  if found:
    say(f"resume: step={step} rank={rank} checkpoint="
        f"{checkpoint.path_of(arguments.checkpoint_dir, step)}")
    return found
  say(f"start: step=0 rank={rank} no checkpoint to resume from")
  parameters = model.initial_parameters(model_shape(arguments), arguments.seed)
  return 0, [parameters, np.zeros_like(parameters), np.zeros_like(parameters)]


def model_shape(arguments):
  fields = [field.name for field in dataclasses.fields(model.Shape)]
  return model.Shape(**{name: getattr(arguments, name) for name in fields})


def train(arguments, rank, world):
  """Runs all steps that are left; returns the parameters as a NumPy vector."""
  shape = model_shape(arguments)
  schedule = model.Schedule(arguments.steps, arguments.learning_rate)
  text, text_hash = corpus.load_corpus(arguments.text)
  microbatches = arguments.microbatches or world
  run = {"microbatches": microbatches, "seed": arguments.seed, "text": text_hash,
         **dataclasses.asdict(shape), **dataclasses.asdict(schedule)}
  last, state = restore(arguments, run, rank, world)
  say(f"rank {rank} of {world}: {len(state[0]):,} parameters, {len(text):,} bytes of text, "
      f"ready {time.monotonic() - STARTED:.1f} s after its start")

  mesh = Mesh(np.array(jax.devices()), ("rank",))
  whole, by_rank = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("rank",)))
  everywhere = functools.partial(jax.make_array_from_process_local_data, whole)

  here = microbatches_of(rank, world, microbatches)
  weights = jax.make_array_from_process_local_data(
      by_rank, np.array([weight for _, weight in here], np.float32))

  def inputs(step):
    mine = np.stack([corpus.batch_for(text, seed=arguments.seed, step=step, part=index,
                                      sequences=shape.sequences_per_rank, length=shape.context)
                     for index, _ in here])
    return (jax.make_array_from_process_local_data(by_rank, mine), weights,
            everywhere(np.float32(schedule.rate(step))), everywhere(np.float32(step)))

  state = [everywhere(array) for array in state]
  began = time.monotonic()
  run_step = build_step(shape, mesh, microbatches)
  if pelton:
    run_step = pelton.jax.compiled(run_step, key=program_key(run),
                                   directory=arguments.checkpoint_dir)
    run_step.prepare(*state, *inputs(last + 1))
    say(f"rank {rank}: the step was {'loaded' if run_step.loaded else 'compiled'} in "
        f"{time.monotonic() - began:.1f} s")
  tokens = microbatches * shape.sequences_per_rank * shape.context
  for step in range(last + 1, arguments.steps + 1):
    began = time.monotonic()
    if pelton:
      pelton.step(step)
    *state, value = run_step(*state, *inputs(step))
    value = float(value.addressable_data(0))
    seconds = time.monotonic() - began
    if rank == 0:
      say(f"step={step} loss={value:.4f} ms={seconds * 1e3:.0f} "
          f"tokens_per_s={tokens / seconds:.0f} of={arguments.steps}")
      if arguments.checkpoint_dir and (
          step % arguments.checkpoint_every == 0 or step == arguments.steps):
        began = time.monotonic()
        with pelton.phase("save") if pelton else contextlib.nullcontext():
          size = checkpoint.save(arguments.checkpoint_dir, step, run,
                                 [np.asarray(array.addressable_data(0)) for array in state])
        say(f"checkpoint: step={step} bytes={size} ms={(time.monotonic() - began) * 1e3:.0f}")
  return np.asarray(state[0].addressable_data(0))


def all_ranks_agree(parameters, rank, world):
  """Prints this rank's parameter hash; returns whether every rank has the same."""
  digest = hashlib.sha256(parameters.tobytes()).digest()
  say(f"done: rank={rank} parameters_sha256={digest.hex()}")
  if world == 1:
    return True
  hashes = multihost_utils.process_allgather(np.frombuffer(digest, np.uint8))
  agree = bool((hashes == hashes[0]).all())
  if rank == 0:
    say(f"agreement: ranks={world} equal={'yes' if agree else 'no'}")
  return agree


def main(argv):
  arguments = parse_arguments(argv)
  rank, world = join_world()
  try:
    parameters = train(arguments, rank, world)
  except (checkpoint.Mismatch, ValueError) as error:
    say(f"error: {error}")
    return 2
  except jax.errors.JaxRuntimeError as error:
    say(f"error: rank {rank} lost the other ranks: {str(error).splitlines()[0]}")
    os._exit(1)  # leaving the world in good order would wait for those who are gone
  agree = all_ranks_agree(parameters, rank, world)
  if world > 1:
    jax.distributed.shutdown()
  return 0 if agree else 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
