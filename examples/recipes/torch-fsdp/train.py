# SPDX-License-Identifier: Apache-2.0
"""Trains a small transformer with FSDP2 (fully_shard) and goes on where it was stopped.

    pelton run --standalone --nproc-per-node 4 --max-restarts 9 -- python train.py --checkpoint-dir DIR

Checkpoints are PyTorch's own (torch.distributed.checkpoint), in Pelton's files: each rank writes its
shards, and any number of ranks goes on from them. The batch of a step is --microbatches parts, dealt
out to the ranks there are; each has its own samples and its own seed for dropout. So the same steps
see the same batches on 4 ranks and on 3, and on as many ranks as before end in the same bits.
"""

import argparse
import hashlib
import os
import pathlib

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.utils.data import DataLoader, Dataset, Sampler

import pelton
from pelton.checkpoint.torch import StorageReader, StorageWriter


def parse_arguments():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--layers", type=int, default=2)
  parser.add_argument("--width", type=int, default=128)
  parser.add_argument("--context", type=int, default=64, help="bytes per sequence")
  parser.add_argument("--microbatches", type=int, default=6, help="of a step, on all ranks together")
  parser.add_argument("--sequences", type=int, default=2, help="of a microbatch")
  parser.add_argument("--dropout", type=float, default=0.1)
  parser.add_argument("--data-workers", type=int, default=1)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--checkpoint-dir", help="shared by all ranks")
  parser.add_argument("--checkpoint-every", type=int, default=10, help="steps")
  return parser.parse_args()


class Text(Dataset):
  """The standard library's sources, in samples of `length + 1` bytes."""

  def __init__(self, length):
    sources = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))
    data = bytearray(b"".join(path.read_bytes() for path in sources))
    self.bytes, self.length = torch.frombuffer(data, dtype=torch.uint8), length

  def __len__(self):
    return (len(self.bytes) - 1) // self.length

  def __getitem__(self, index):
    return self.bytes[index * self.length:(index + 1) * self.length + 1].long()


class Microbatches(Sampler):
  """This rank's microbatches, from the sample `position` on. An epoch is each sample once."""

  def __init__(self, samples, arguments, mine, position):
    self.samples, self.arguments, self.mine, self.position = samples, arguments, mine, position

  def sample(self, turn):
    epoch, place = divmod(turn, self.samples)
    if epoch != getattr(self, "epoch", None):
      draw = torch.Generator().manual_seed(self.arguments.seed * 1_000_003 + epoch)
      self.epoch, self.order = epoch, torch.randperm(self.samples, generator=draw).tolist()
    return self.order[place]

  def __iter__(self):
    size = self.arguments.sequences
    while True:
      for index, _ in self.mine:
        first = self.position + index * size
        yield [self.sample(turn) for turn in range(first, first + size)]
      self.position += self.arguments.microbatches * size


class Transformer(nn.Module):

  def __init__(self, arguments):
    super().__init__()
    width = arguments.width
    self.embedding = nn.Embedding(256, width)
    self.places = nn.Parameter(torch.zeros(arguments.context, width))
    self.layers = nn.ModuleList(
        nn.TransformerEncoderLayer(width, 4, 4 * width, arguments.dropout, batch_first=True)
        for _ in range(arguments.layers))
    self.out = nn.Linear(width, 256)
    self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(arguments.context))

  def forward(self, text):
    hidden = self.embedding(text) + self.places
    for layer in self.layers:
      hidden = layer(hidden, self.mask, is_causal=True)
    return self.out(hidden)


def dealt(rank, world, microbatches):
  """[(index, weight)] of a rank's microbatches: as many at each rank, since all have to take part in
  each collective; where they do not come out even, some count for nothing."""
  mine = range(rank, -(-microbatches // world) * world, world)
  return [(index % microbatches, float(index < microbatches)) for index in mine]


def train_step(model, optimizer, step, mine, batches, arguments):
  """One step; returns this rank's part of the loss."""
  world, total = dist.get_world_size(), 0.0
  optimizer.zero_grad()
  for index, weight in mine:
    text = next(batches)
    torch.manual_seed((arguments.seed * 1_000_003 + step) * arguments.microbatches + index)
    logits = model(text[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())
    share = loss * (weight / arguments.microbatches)
    (share * world).backward()  # FSDP takes the mean over the ranks
    total += share.item()
  optimizer.step()
  return total


def state_of(model, optimizer):
  parameters, moments = get_state_dict(model, optimizer)
  return {"model": parameters, "optimizer": moments}


def restore(reader, model, optimizer):
  """Loads the newest checkpoint; returns its step and how many samples had been read, or zeros."""
  if reader.newest() is None:
    return 0, 0
  state = state_of(model, optimizer)
  dcp.load(state, storage_reader=reader)
  set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
  return reader.step, reader.extra["position"]


def main():
  arguments = parse_arguments()
  torch.set_num_threads(1)  # the ranks share this machine's cores
  dist.init_process_group("gloo")
  rank, world = dist.get_rank(), dist.get_world_size()
  torch.manual_seed(arguments.seed)
  model = Transformer(arguments)
  for layer in model.layers:
    fully_shard(layer)
  fully_shard(model)
  optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
  last = position = 0
  if arguments.checkpoint_dir:
    writer = StorageWriter(arguments.checkpoint_dir, job="torch-fsdp")
    last, position = restore(StorageReader(arguments.checkpoint_dir), model, optimizer)
  text, mine = Text(arguments.context), dealt(rank, world, arguments.microbatches)
  batches = iter(DataLoader(text, num_workers=arguments.data_workers, generator=torch.Generator(),
                            batch_sampler=Microbatches(len(text), arguments, mine, position)))
  print(f"rank={rank} pid={os.getpid()}", flush=True)
  if rank == 0:
    print(f"resume: step={last} world={world}", flush=True)
  for step in range(last + 1, arguments.steps + 1):
    pelton.step(step)
    loss = torch.tensor(train_step(model, optimizer, step, mine, batches, arguments))
    dist.all_reduce(loss)
    position += arguments.microbatches * arguments.sequences
    if rank == 0:
      print(f"step={step} loss={loss.item():.4f}", flush=True)
    if arguments.checkpoint_dir and step % arguments.checkpoint_every == 0:
      writer.extra = {"position": position}
      dcp.save(state_of(model, optimizer), storage_writer=writer, checkpoint_id=step)
  if arguments.checkpoint_dir:
    writer.wait()
  digest = hashlib.sha256()
  for parameter in model.parameters():
    digest.update(parameter.full_tensor().detach().numpy().tobytes())
  print(f"done: rank={rank} parameters_sha256={digest.hexdigest()}", flush=True)
  dist.destroy_process_group()


if __name__ == "__main__":
  main()
