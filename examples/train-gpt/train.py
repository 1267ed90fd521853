# SPDX-License-Identifier: Apache-2.0
"""Trains a one-million-parameter transformer on the Python standard library, data-parallel.

Start one process per rank under torchrun's environment (RANK, WORLD_SIZE, MASTER_ADDR,
MASTER_PORT), which `pelton run` provides; alone, it trains as a world of one:

    pelton run --nproc-per-node 4 --standalone -- python train.py --steps 50

Every rank holds all parameters and computes the gradient of its own part of the batch; one
all-reduce per step makes the average. The same seed and world size give the same parameters bit for
bit, interrupted or not, and the run ends by comparing their hash across all ranks.

With --microbatches N the batch of a step is N parts whatever the number of ranks, dealt out to those
there are; a part has a key of its own for dropout. So the run may go on with fewer or more ranks: it
reads the same text in the same order, and the gradients differ in rounding alone.

Checkpoints are pelton.checkpoint's: each rank saves its share of parameters and moments, and with it
the random key and how many samples have been read.

Rank 0 prints one line per step, `step=17 loss=3.21 ms=512 tokens_per_s=4000`, and every rank prints
where it resumes. Exit code 0: all steps done and all ranks agree; 1: they do not, or a rank was
lost; 2: the arguments, the environment or the checkpoint directory do not fit.
"""

import argparse
import dataclasses
import functools
import hashlib
import json
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

import pelton  # noqa: E402  (`pelton run` and `pelton python-path` know where it is)
import pelton.checkpoint  # noqa: E402
import pelton.jax  # noqa: E402
import corpus  # noqa: E402
import model  # noqa: E402


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
  parser.add_argument("--dropout", type=float, default=shape.dropout)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--text", help="a directory of .py files (default: the standard library)")
  parser.add_argument("--checkpoint-dir", help="shared by all ranks; without it nothing is saved")
  parser.add_argument("--checkpoint-every", type=int, default=20, help="steps")
  parser.add_argument("--ahead", action="store_true",
                      help="compile for one pod less while training (with --microbatches)")
  parser.add_argument("--log-samples", type=pathlib.Path,
                      help="a directory: each rank writes there which samples it read at which step")
  arguments = parser.parse_args(argv)
  if arguments.microbatches < 0:
    parser.error("--microbatches must be at least 1, or 0 for one per rank")
  if arguments.ahead and not (arguments.microbatches and arguments.checkpoint_dir):
    parser.error("--ahead needs --microbatches, without which the run cannot go on with fewer ranks,"
                 " and --checkpoint-dir")
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
  """Returns the step, whose arguments are those of step_on_one_rank: → new state and loss."""
  whole, by_rank = PartitionSpec(), PartitionSpec("rank")

  def step_on_one_rank(parameters, mean, square, text, indices, weights, key, rate, step):
    of_step = jax.random.fold_in(jax.random.wrap_key_data(key), step.astype(jax.numpy.uint32))

    def one(sums, part):
      text, index, weight = part
      value, gradient = jax.value_and_grad(model.loss)(
          parameters, text, shape, jax.random.fold_in(of_step, index))
      return (sums[0] + weight * gradient, sums[1] + weight * value), None

    nothing = (jax.numpy.zeros_like(parameters), jax.numpy.float32(0))
    sums, _ = jax.lax.scan(one, nothing, (text, indices, weights))
    gradient, value = (part / microbatches for part in jax.lax.psum(sums, "rank"))
    return *model.adam(parameters, mean, square, gradient, rate, step), value

  sharded = jax.shard_map(
      step_on_one_rank, mesh=mesh, check_vma=False,
      in_specs=(whole,) * 3 + (by_rank,) * 3 + (whole,) * 3, out_specs=whole)
  return jax.jit(sharded, donate_argnums=(0, 1, 2))


def program_key(run):
  """Returns a text that changes whenever the compiled step does: it is found without tracing it."""
  here = pathlib.Path(__file__).parent
  return repr(sorted(run.items())) + "".join(
      (here / name).read_text() for name in ("model.py", "train.py"))


def open_checkpoints(directory, run):
  """Returns the Checkpointer of this run in a directory. Raises Refused for another run's."""
  job = " ".join(["train-gpt", *(f"{name}={value}" for name, value in sorted(run.items()))])
  return pelton.checkpoint.Checkpointer(directory, job=job, **pelton.jax.attempt())


def restore(checkpointer, arguments, rank):
  """Returns (last finished step, [parameters, mean, square], {position, key}): the newest
  checkpoint's, the same at all ranks, or those that training starts from."""
  parameters = model.initial_parameters(model_shape(arguments), arguments.seed)
  state = [parameters, np.zeros_like(parameters), np.zeros_like(parameters)]
  found = checkpointer and checkpointer.restore(state)
  if not found:
    say(f"start: step=0 rank={rank} no checkpoint to resume from")
    return 0, state, {"position": 0, "key": [0, arguments.seed]}
  step = checkpointer.restored["step"]
  say(f"resume: step={step} rank={rank} checkpoint={arguments.checkpoint_dir}")
  return step, *found


def model_shape(arguments):
  fields = [field.name for field in dataclasses.fields(model.Shape)]
  return model.Shape(**{name: getattr(arguments, name) for name in fields})


def train(arguments, rank, world):
  """Runs all steps that are left; returns the parameters as a NumPy vector."""
  shape = model_shape(arguments)
  schedule = model.Schedule(arguments.steps, arguments.learning_rate)
  text, text_hash = corpus.load_corpus(arguments.text)
  microbatches = arguments.microbatches or world
  run = {"microbatches": microbatches, "seed": arguments.seed, "text": text_hash[:16],
         **dataclasses.asdict(shape), **dataclasses.asdict(schedule)}
  checkpointer = None
  if arguments.checkpoint_dir:
    checkpointer = open_checkpoints(arguments.checkpoint_dir, run)
  last, state, extra = restore(checkpointer, arguments, rank)
  position, sequences = extra["position"], shape.sequences_per_rank
  say(f"rank {rank} of {world}: {len(state[0]):,} parameters, {len(text):,} bytes of text, "
      f"ready {time.monotonic() - STARTED:.1f} s after its start")

  mesh = Mesh(np.array(jax.devices()), ("rank",))
  whole, by_rank = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), ("rank",)))
  everywhere = functools.partial(jax.make_array_from_process_local_data, whole)

  here = microbatches_of(rank, world, microbatches)
  indices, weights = (jax.make_array_from_process_local_data(by_rank, np.array(part, kind))
                      for part, kind in zip(zip(*here), (np.int32, np.float32)))
  key = everywhere(np.array(extra["key"], np.uint32))

  def samples(position):
    """The samples of this rank's parts of the batch that begins at `position`."""
    return [corpus.samples_at(text, seed=arguments.seed, position=position + index * sequences,
                              count=sequences, length=shape.context) for index, _ in here]

  def inputs(step, position):
    mine = np.stack([corpus.read(text, part, shape.context) for part in samples(position)])
    return (jax.make_array_from_process_local_data(by_rank, mine), indices, weights, key,
            everywhere(np.float32(schedule.rate(step))), everywhere(np.float32(step)))

  if checkpointer:
    checkpointer.prepare(state)
  state = [everywhere(array) for array in state]
  began = time.monotonic()
  run_step = pelton.jax.compiled(build_step(shape, mesh, microbatches), key=program_key(run),
                                 directory=arguments.checkpoint_dir, ahead=arguments.ahead)
  run_step.prepare(*state, *inputs(last + 1, position))
  say(f"rank {rank}: the step was {'loaded' if run_step.loaded else 'compiled'} in "
      f"{time.monotonic() - began:.1f} s")
  saves = Saves(checkpointer, rank)
  per_step = microbatches * sequences
  for step in range(last + 1, arguments.steps + 1):
    began = time.monotonic()
    pelton.step(step)
    *state, value = run_step(*state, *inputs(step, position))
    value = float(value.addressable_data(0))
    seconds = time.monotonic() - began
    if arguments.log_samples:
      log_samples(arguments.log_samples, rank, step, here, samples(position))
    position += per_step
    if rank == 0:
      say(f"step={step} loss={value:.4f} ms={seconds * 1e3:.0f} "
          f"tokens_per_s={per_step * shape.context / seconds:.0f} of={arguments.steps}")
    if checkpointer and (step % arguments.checkpoint_every == 0 or step == arguments.steps):
      saves.save(step, [np.asarray(array.addressable_data(0)) for array in state],
                 {"position": position, "key": extra["key"]})
    saves.tell()
  saves.finish()
  return np.asarray(state[0].addressable_data(0))


class Saves:
  """Saves, and has rank 0 say which checkpoints all ranks have finished."""

  def __init__(self, checkpointer, rank):
    self.checkpointer, self.rank = checkpointer, rank
    self.begun = {}  # what is not committed: step → (bytes, milliseconds that it cost the step)

  def save(self, step, state, extra):
    began = time.monotonic()
    with pelton.phase("save"):
      self.checkpointer.save(step, state, extra)
    self.begun[step] = sum(a.nbytes for a in state), (time.monotonic() - began) * 1e3

  def tell(self):
    if not self.begun or self.rank:
      return
    newest = self.checkpointer.newest() or 0
    for step in [step for step in self.begun if step <= newest]:
      size, stall = self.begun.pop(step)
      say(f"checkpoint: step={step} bytes={size} ms={stall:.0f}")

  def finish(self):
    if self.checkpointer:
      self.checkpointer.wait()
      self.tell()
      self.checkpointer.close()


def log_samples(directory, rank, step, parts, samples):
  """Appends which samples this rank trained on in a step, as {part of the batch: [sample]}."""
  read = {index: part for (index, weight), part in zip(parts, samples) if weight}
  directory.mkdir(parents=True, exist_ok=True)
  with open(directory / f"rank-{rank}.{os.getpid()}.jsonl", "a", encoding="utf-8") as file:
    file.write(json.dumps({"step": step, "rank": rank, "parts": read}) + "\n")


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
  except (pelton.checkpoint.Refused, ValueError) as error:
    say(f"error: {error}")
    return 2
  except pelton.checkpoint.Error as error:
    say(f"error: rank {rank}: {error}")
    os._exit(1)  # as below
  except jax.errors.JaxRuntimeError as error:
    say(f"error: rank {rank} lost the other ranks: {str(error).splitlines()[0]}")
    os._exit(1)  # leaving the world in good order would wait for those who are gone
  agree = all_ranks_agree(parameters, rank, world)
  if world > 1:
    jax.distributed.shutdown()
  return 0 if agree else 1


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
