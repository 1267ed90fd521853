# SPDX-License-Identifier: Apache-2.0
"""Hugging Face's Trainer under Pelton: it is seen step by step, and resumes from a whole checkpoint.

    trainer = Trainer(…, callbacks=[PeltonCallback()])
    trainer.train(resume_from_checkpoint=newest_checkpoint(trainer.args.output_dir))

Checkpoints are the Trainer's own. It writes them file by file, and takes the newest directory whether
or not its writers came to the end; this takes the newest that every rank has finished, on disk.
"""

import pathlib
import re

from transformers import TrainerCallback

from pelton import heartbeat
from pelton._files import sync

_MARK = "pelton-finished"


class PeltonCallback(TrainerCallback):
  """Says each step and evaluation, and marks a checkpoint when this rank's part of it is durable."""

  def on_step_begin(self, args, state, control, **kwargs):
    heartbeat.step(state.global_step + 1)

  def on_prediction_step(self, args, state, control, **kwargs):
    heartbeat.beat("eval", state.global_step)

  def on_pre_optimizer_step(self, args, state, control, **kwargs):
    heartbeat.step(state.global_step + 1)  # it may have come from an evaluation

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
