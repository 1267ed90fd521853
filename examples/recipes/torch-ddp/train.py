# SPDX-License-Identifier: Apache-2.0
"""Trains a small transformer with DistributedDataParallel and goes on where it was stopped.

An ordinary script: it runs under torchrun and under `pelton run` alike, and knows neither.

    torchrun --standalone --nproc-per-node 4 --max-restarts 9 train.py --checkpoint-dir /tmp/ddp
    pelton run --standalone --nproc-per-node 4 --max-restarts 9 -- python train.py --checkpoint-dir …

A checkpoint holds parameters, Adam's moments, each rank's random state (dropout is on) and the
position in the data. Rank 0 renames it into place at last; all ranks load the newest.
With --bit-exact a resumed run ends in the same bits as one that was not disturbed (this alone
imports the package `pelton`). Rank 0 prints a line per step: `step=17 loss=5.5129 ms=48`.
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

KEPT = 2


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


def save(directory, step, model, optimizer, rank):
  directory.mkdir(parents=True, exist_ok=True)
  torch.save(torch.get_rng_state(), directory / f"random-{step:08d}-{rank}.pt")
  dist.barrier()  # it counts once step-N.pt is there, and then all of it is
  if rank:
    return
  unfinished, path = directory / ".unfinished", directory / f"step-{step:08d}.pt"
  with open(unfinished, "wb") as file:
    torch.save({"step": step, "model": model.state_dict(),
                "optimizer": optimizer.state_dict()}, file)
    file.flush()
    os.fsync(file.fileno())
  os.rename(unfinished, path)
  for old in sorted(directory.glob("step-*.pt"))[:-KEPT]:
    old.unlink()
    for random in directory.glob(f"random-{old.stem.removeprefix('step-')}-*.pt"):
      random.unlink()


def load_newest(directory, model, optimizer, rank):
  """Returns the step of the checkpoint that was loaded, or 0."""
  found = sorted(directory.glob("step-*.pt")) if directory else []
  if not found:
    return 0
  saved = torch.load(found[-1], mmap=True)
  model.load_state_dict(saved["model"])
  optimizer.load_state_dict(saved["optimizer"])
  torch.set_rng_state(torch.load(directory / f"random-{saved['step']:08d}-{rank}.pt"))
  return saved["step"]


def main():
  arguments = parse_arguments()
  torch.set_num_threads(1)  # the ranks share this machine's cores
  dist.init_process_group("gloo")
  rank, world = dist.get_rank(), dist.get_world_size()
  torch.manual_seed(arguments.seed)
  model = Transformer(arguments)
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
  torch.manual_seed(arguments.seed + 1 + rank)  # from here on dropout's, of each rank its own
  ddp = DistributedDataParallel(model)
  step = load_newest(arguments.checkpoint_dir, model, optimizer, rank)
  text = Text(arguments.context)
  if arguments.bit_exact and step:
    from pelton.torch import warm_up  # pylint: disable=import-outside-toplevel
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
    if arguments.checkpoint_dir and (step % arguments.checkpoint_every == 0 or
                                     step == arguments.steps):
      save(arguments.checkpoint_dir, step, model, optimizer, rank)
    began = time.monotonic()
  digest = hashlib.sha256()
  for parameter in model.parameters():
    digest.update(parameter.detach().numpy().tobytes())
  print(f"done: rank={rank} parameters_sha256={digest.hexdigest()}", flush=True)
  dist.destroy_process_group()


if __name__ == "__main__":
  main()
