# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's Trainer under Pelton: it is seen step by step, saves, and resumes.

    checkpoints = PeltonCallback(directory, every=100)
    trainer = Trainer(…, callbacks=[checkpoints])                          # save_strategy="no"
    trainer.train(resume_from_checkpoint=checkpoints.resume(trainer))

For what each rank has whole (DDP, one device), by pelton.checkpoint.ddp: parameters, optimizer,
schedule, the Trainer's state, each rank's random states.

With other checkpoints, the Trainer's own:

    trainer = Trainer(…, callbacks=[PeltonCallback()])
    trainer.train(resume_from_checkpoint=newest_checkpoint(trainer.args.output_dir))

It writes them file by file, and takes the newest directory whether or not its writers came to the
end; this takes the newest that every rank has finished, on disk.
"""

import dataclasses
import json
import pathlib
import random
import re
import shutil
import tempfile

import numpy as np
import torch
from transformers import TrainerCallback

from pelton import heartbeat
from pelton._files import sync
from pelton.checkpoint.ddp import Checkpointer

_MARK = "pelton-finished"


class PeltonCallback(TrainerCallback):
  """Says each step and evaluation. With a directory, saves there every so many steps; of the Trainer's
  own checkpoints, marks one when this rank's part of it is durable.

  options: of pelton.checkpoint.Checkpointer.
  """

  def __init__(self, directory=None, every=100, **options):
    self._checkpointer = Checkpointer(directory, every=every, **options) if directory else None
    self._loaded = self._shown = None

  def resume(self, trainer):
    """What `train` takes for resume_from_checkpoint; None where there is no checkpoint.

    The Trainer resumes from files alone: there is a directory for it with its state, the random
    states and the parameters; the optimizer's state goes into it without a file.
    """
    with heartbeat.phase("restore"):
      self._loaded = self._checkpointer.load()
      if self._loaded is None:
        return None
      self._shown = pathlib.Path(tempfile.mkdtemp(prefix="pelton-resume-"))
      (self._shown / "trainer_state.json").write_text(self._loaded["trainer"], encoding="utf-8")
      torch.save(self._loaded["model"], self._shown / "pytorch_model.bin")
      rank, own = trainer.args.process_index, self._checkpointer.extra
      python, numpy = own["python"], own["numpy"]
      name = f"rng_state_{rank}.pth" if trainer.args.world_size > 1 else "rng_state.pth"
      torch.save({"python": (python[0], tuple(python[1]), python[2]), "cpu": torch.get_rng_state(),
                  "numpy": (numpy[0], np.array(numpy[1], np.uint32), *numpy[2:])}, self._shown / name)
    return str(self._shown)

  def on_train_begin(self, args, state, control, optimizer=None, lr_scheduler=None, **kwargs):
    if self._loaded is not None:
      optimizer.load_state_dict(self._loaded["optimizer"])
      lr_scheduler.load_state_dict(self._loaded["schedule"])
      self._loaded = None

  def on_step_begin(self, args, state, control, **kwargs):
    heartbeat.step(state.global_step + 1)

  def on_prediction_step(self, args, state, control, **kwargs):
    heartbeat.beat("eval", state.global_step)

  def on_pre_optimizer_step(self, args, state, control, **kwargs):
    heartbeat.step(state.global_step + 1)  # it may have come from an evaluation

  def on_step_end(self, args, state, control, model=None, optimizer=None, lr_scheduler=None, **kwargs):
    if self._shown is not None:
      shutil.rmtree(self._shown)
      self._shown = None
    if self._checkpointer is not None:
      numpy = np.random.get_state()
      extra = {"python": random.getstate(), "numpy": [numpy[0], numpy[1].tolist(), *numpy[2:]]}
      with heartbeat.phase("save"):
        self._checkpointer.save(state.global_step, lambda: {
            "model": model, "optimizer": optimizer, "schedule": lr_scheduler,
            "trainer": json.dumps(dataclasses.asdict(state))}, extra)

  def on_train_end(self, args, state, control, **kwargs):
    if self._checkpointer is not None:
      self._checkpointer.wait()

  def on_save(self, args, state, control, **kwargs):
    directory = pathlib.Path(args.output_dir, f"checkpoint-{state.global_step}")
    for path in [*(path for path in directory.rglob("*") if path.is_file()), directory]:
      sync(path)
    mark = directory / f"{_MARK}-{args.process_index}-of-{args.world_size}"
    mark.touch()
    sync(mark)
    sync(directory)


def newest_checkpoint(output_dir):
  """Returns the newest checkpoint that all ranks have finished; None where there is none."""
  found = {int(path.name.removeprefix("checkpoint-")): path
           for path in pathlib.Path(output_dir).glob("checkpoint-*") if _is_finished(path)}
  return str(found[max(found)]) if found else None


def _is_finished(directory):
  marks = [re.fullmatch(_MARK + r"-\d+-of-(\d+)", path.name) for path in directory.iterdir()]
  marks = [int(mark[1]) for mark in marks if mark]
  return re.fullmatch(r"checkpoint-\d+", directory.name) and marks and len(marks) == marks[0]
