# SPDX-License-Identifier: Apache-2.0
"""Trains a small transformer with DistributedDataParallel and goes on where it was stopped.

It runs under torchrun (with the package on PYTHONPATH) and under `pelton run` alike.

    pelton run --standalone --nproc-per-node 4 --max-restarts 9 -- python train.py --checkpoint-dir …
    PYTHONPATH=$(pelton python-path) torchrun --standalone --nproc-per-node 4 --max-restarts 9 \
      train.py --checkpoint-dir …

A checkpoint holds parameters, Adam's moments, and each rank's random state (dropout is on); the
position in the data follows from the step. Each rank saves its share; all load the newest whole one.
With --bit-exact a resumed run ends in the same bits as one that was not disturbed. Rank 0 prints a
line per step: `step=17 loss=5.5129 ms=48`.
"""

import argparse
import hashlib
import os
import pathlib
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Dataset, Sampler

from pelton.checkpoint.ddp import Checkpointer
from pelton.torch import warm_up


def parse_arguments():
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--layers", type=int, default=2)
  parser.add_argument("--width", type=int, default=128)
  parser.add_argument("--context", type=int, default=64, help="bytes per sequence")
  parser.add_argument("--batch", type=int, default=4, help="sequences per rank and step")
  parser.add_argument("--dropout", type=float, default=0.1)
  parser.add_argument("--data-workers", type=int, default=0)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--state-mb", type=int, default=0,
                      help="at least this much state (parameters and moments), by a table of pairs")
  parser.add_argument("--checkpoint-dir", type=pathlib.Path, help="shared by all ranks")
  parser.add_argument("--checkpoint-every", type=int, default=20, help="steps")
  parser.add_argument("--memory-every", type=int, help="steps, in memory; else as --checkpoint-every")
  parser.add_argument("--bit-exact", action="store_true")
  return parser.parse_args()


class Text(Dataset):
  """Every sequence of `length + 1` bytes of the standard library's sources."""

  def __init__(self, length):
    sources = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))[:40]
    data = bytearray(b"".join(path.read_bytes() for path in sources))
    self.bytes, self.length = torch.frombuffer(data, dtype=torch.uint8), length

  def __len__(self):
    return len(self.bytes) - self.length

  def __getitem__(self, index):
    return self.bytes[index:index + self.length + 1].long()


class FromPosition(Sampler):
  """This rank's share of one endless shuffled order, from the global batch `position` on."""

  def __init__(self, size, batch, rank, world, seed, position):
    self.size, self.batch, self.seed = size, batch, seed
    self.rank, self.world, self.position = rank, world, position

  def __iter__(self):
    while True:
      draw = torch.Generator().manual_seed(self.seed * 1_000_003 + self.position)
      indices = torch.randint(self.size, (self.world, self.batch), generator=draw)
      self.position += 1
      yield indices[self.rank].tolist()


class Transformer(nn.Module):

  def __init__(self, arguments):
    super().__init__()
    width = arguments.width
    self.embedding = nn.Embedding(256, width)
    self.places = nn.Parameter(torch.zeros(arguments.context, width))
    layer = nn.TransformerEncoderLayer(width, 4, 4 * width, arguments.dropout, batch_first=True)
    self.layers = nn.TransformerEncoder(layer, arguments.layers, enable_nested_tensor=False)
    self.pairs = nn.Embedding(max(256, arguments.state_mb * 2**20 // (12 * width)), width)
    self.out = nn.Linear(width, 256)
    self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(arguments.context))

  def forward(self, text):
    pairs = (256 * nn.functional.pad(text[:, :-1], (1, 0)) + text) % self.pairs.num_embeddings
    hidden = self.embedding(text) + self.pairs(pairs) + self.places
    return self.out(self.layers(hidden, self.mask, is_causal=True))


def loss_of(model, text):
  logits = model(text[:, :-1])
  return nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())


def main():
  arguments = parse_arguments()
  torch.set_num_threads(1)  # the ranks share this machine's cores
  dist.init_process_group("gloo")
  rank, world = dist.get_rank(), dist.get_world_size()
  checkpointer = None
  if arguments.checkpoint_dir:
    checkpointer = Checkpointer(arguments.checkpoint_dir, every=arguments.checkpoint_every,
                                memory_every=arguments.memory_every, job="torch-ddp")
  resumes = checkpointer is not None and checkpointer.newest() is not None
  torch.manual_seed(arguments.seed)
  with torch.device("meta" if resumes else "cpu"):  # what is loaded need not be drawn
    model = Transformer(arguments)
  if resumes:
    model.to_empty(device="cpu")
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
  torch.manual_seed(arguments.seed + 1 + rank)  # from here on dropout's, of each rank its own
  state = {"model": model, "optimizer": optimizer}
  step = checkpointer.restore(state) if resumes else 0
  ddp = DistributedDataParallel(model, init_sync=not resumes)  # all have loaded the same
  text = Text(arguments.context)
  if arguments.bit_exact and step:
    warm_up(ddp, torch.zeros(arguments.batch, arguments.context, dtype=torch.long))
  batches = iter(DataLoader(
      text, num_workers=arguments.data_workers, generator=torch.Generator(),
      batch_sampler=FromPosition(len(text), arguments.batch, rank, world, arguments.seed, step)))
  print(f"rank={rank} pid={os.getpid()}", flush=True)
  if rank == 0:
    print(f"resume: step={step} world={world}", flush=True)
  began = time.monotonic()
  while step < arguments.steps:
    optimizer.zero_grad()
    loss = loss_of(ddp, next(batches))
    loss.backward()
    optimizer.step()
    step += 1
    if rank == 0:
      now = time.monotonic()
      print(f"step={step} loss={loss.item():.4f} ms={(now - began) * 1e3:.0f}", flush=True)
    if checkpointer:
      checkpointer.save(step, state)
    began = time.monotonic()
  if checkpointer:
    checkpointer.wait()
  digest = hashlib.sha256()
  for parameter in model.parameters():
    digest.update(parameter.detach().numpy().tobytes())
  print(f"done: rank={rank} parameters_sha256={digest.hexdigest()}", flush=True)
  dist.destroy_process_group()


if __name__ == "__main__":
  main()
