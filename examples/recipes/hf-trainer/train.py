# SPDX-License-Identifier: Apache-2.0
"""Trains a small GPT-2, made from a configuration, with Hugging Face's Trainer, and resumes.

    pelton run --standalone --nproc-per-node 2 --max-restarts 9 -- python train.py --checkpoint-dir DIR

pelton.transformers tells Pelton the steps, and saves what the Trainer would: parameters, moments, its
state with the place in the data, each rank's random states.
"""

import argparse
import hashlib
import os
import pathlib

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments

from pelton.transformers import PeltonCallback


def parse_arguments():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--steps", type=int, default=200)
  parser.add_argument("--context", type=int, default=64, help="bytes per sequence")
  parser.add_argument("--batch", type=int, default=4, help="sequences per rank and step")
  parser.add_argument("--seed", type=int, default=0)
  parser.add_argument("--checkpoint-dir", required=True, help="shared by all ranks")
  parser.add_argument("--checkpoint-every", type=int, default=10, help="steps")
  return parser.parse_args()


class Text(Dataset):
  """The standard library's sources, in samples of `length` bytes."""

  def __init__(self, length):
    sources = sorted(pathlib.Path(os.__file__).parent.glob("*.py"))
    data = bytearray(b"".join(path.read_bytes() for path in sources))
    self.bytes, self.length = torch.frombuffer(data, dtype=torch.uint8), length

  def __len__(self):
    return len(self.bytes) // self.length

  def __getitem__(self, index):
    sample = self.bytes[index * self.length:(index + 1) * self.length].long()
    return {"input_ids": sample, "labels": sample}


class Printed(TrainerCallback):

  def on_train_begin(self, args, state, control, **kwargs):
    print(f"rank={args.process_index} pid={os.getpid()}", flush=True)
    if args.process_index == 0:
      print(f"resume: step={state.global_step} world={args.world_size}", flush=True)

  def on_log(self, args, state, control, logs=None, **kwargs):
    if args.process_index == 0 and "loss" in logs:
      print(f"step={state.global_step} loss={float(logs['loss']):.4f}", flush=True)


def main():
  arguments = parse_arguments()
  torch.set_num_threads(1)  # the ranks share this machine's cores
  torch.manual_seed(arguments.seed)
  model = GPT2LMHeadModel(GPT2Config(vocab_size=256, n_positions=arguments.context, n_embd=128,
                                     n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0))
  settings = TrainingArguments(
      output_dir=arguments.checkpoint_dir, max_steps=arguments.steps, seed=arguments.seed,
      per_device_train_batch_size=arguments.batch, learning_rate=1e-3, dataloader_num_workers=1,
      save_strategy="no", logging_steps=1, report_to=[], disable_tqdm=True, use_cpu=True,
      ddp_backend="gloo")
  checkpoints = PeltonCallback(arguments.checkpoint_dir, arguments.checkpoint_every, job="hf-trainer")
  trainer = Trainer(model, settings, train_dataset=Text(arguments.context),
                    callbacks=[checkpoints, Printed()])
  trainer.train(resume_from_checkpoint=checkpoints.resume(trainer))
  digest = hashlib.sha256()
  for parameter in model.parameters():
    digest.update(parameter.detach().numpy().tobytes())
  print(f"done: rank={settings.process_index} parameters_sha256={digest.hexdigest()}", flush=True)


if __name__ == "__main__":
  main()
