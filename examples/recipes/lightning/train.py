# SPDX-License-Identifier: Apache-2.0
"""Trains a small transformer with Lightning, data-parallel, and resumes.

    pelton run --standalone --nproc-per-node 2 --max-restarts 9 -- python train.py --checkpoint-dir DIR

Lightning takes the ranks from torchrun's environment, which `pelton run` sets. pelton.lightning saves
by steps, and makes the random state of a step follow from the step.
"""

import argparse
import hashlib
import os
import pathlib

import lightning as L
import torch
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from torch import nn
from torch.utils.data import DataLoader, Dataset, Sampler

from pelton.lightning import PeltonCallback


def parse_arguments():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--context", type=int, default=64, help="bytes per sequence")
  parser.add_argument("--batch", type=int, default=4, help="sequences per rank and step")
  parser.add_argument("--width", type=int, default=128)
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--checkpoint-dir", required=True, help="shared by all ranks")
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


class FromStep(Sampler):
  """This rank's share of the batches from a step on. An epoch is each sample once."""

  def __init__(self, samples, batch, trainer, seed):
    self.samples, self.batch, self.seed = samples, batch, seed
    self.rank, self.world, self.step = trainer.global_rank, trainer.world_size, trainer.global_step

  def __iter__(self):
    epoch, order = None, []
    while True:
      first = (self.step * self.world + self.rank) * self.batch
      chosen = []
      for turn in range(first, first + self.batch):
        if epoch != turn // self.samples:
          epoch = turn // self.samples
          draw = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
          order = torch.randperm(self.samples, generator=draw).tolist()
        chosen.append(order[turn % self.samples])
      self.step += 1
      yield chosen


class Model(L.LightningModule):

  def __init__(self, arguments):
    super().__init__()
    self.arguments, width = arguments, arguments.width
    self.embedding = nn.Embedding(256, width)
    self.places = nn.Parameter(torch.zeros(arguments.context, width))
    layer = nn.TransformerEncoderLayer(width, 4, 4 * width, dropout=0.1, batch_first=True)
    self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    self.out = nn.Linear(width, 256)
    self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(arguments.context))

  def training_step(self, text):
    hidden = self.embedding(text[:, :-1]) + self.places
    logits = self.out(self.layers(hidden, self.mask, is_causal=True))
    return nn.functional.cross_entropy(logits.flatten(0, 1), text[:, 1:].flatten())

  def configure_optimizers(self):
    return torch.optim.Adam(self.parameters(), lr=1e-3)

  def train_dataloader(self):
    text = Text(self.arguments.context)
    sampler = FromStep(len(text), self.arguments.batch, self.trainer, self.arguments.seed)
    return DataLoader(text, num_workers=1, batch_sampler=sampler, generator=torch.Generator())


class Printed(L.Callback):

  def on_train_start(self, trainer, pl_module):
    print(f"rank={trainer.global_rank} pid={os.getpid()}", flush=True)
    if trainer.is_global_zero:
      print(f"resume: step={trainer.global_step} world={trainer.world_size}", flush=True)

  def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
    if trainer.is_global_zero:
      print(f"step={trainer.global_step} loss={outputs['loss'].item():.4f}", flush=True)


def main():
  arguments = parse_arguments()
  torch.set_num_threads(1)  # the ranks share this machine's cores
  torch.manual_seed(arguments.seed)
  model = Model(arguments)
  checkpoints = PeltonCallback(arguments.checkpoint_dir, arguments.checkpoint_every,
                               seed=arguments.seed, job="lightning")
  trainer = L.Trainer(
      accelerator="cpu", devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
      num_nodes=int(os.environ.get("GROUP_WORLD_SIZE", "1")), strategy="ddp",
      plugins=[TorchElasticEnvironment(), checkpoints], max_steps=arguments.steps,
      use_distributed_sampler=False, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
      callbacks=[checkpoints, Printed()])
  trainer.fit(model, ckpt_path=checkpoints.newest())
  digest = hashlib.sha256()
  for parameter in model.parameters():
    digest.update(parameter.detach().numpy().tobytes())
  print(f"done: rank={trainer.global_rank} parameters_sha256={digest.hexdigest()}", flush=True)


if __name__ == "__main__":
  main()
