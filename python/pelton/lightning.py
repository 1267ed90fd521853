# SPDX-License-Identifier: Apache-2.0
"""Lightning's Trainer under Pelton: it is seen step by step, saves, and resumes in the same bits.

    trainer = L.Trainer(…, callbacks=[PeltonCallback(directory, every=100, seed=7)])
    trainer.fit(model, ckpt_path=newest_checkpoint(directory))

Checkpoints are Lightning's own files, each there whole or not at all. The data has to begin at
`trainer.global_step` when Lightning asks for it, which is after it has loaded the checkpoint.
"""

import pathlib

import lightning as L
import torch

from pelton import heartbeat
from pelton._files import sync


class PeltonCallback(L.Callback):
  """Says each step and evaluation; saves every so many steps and keeps the newest `keep`.

  seed: with it, the random state at the start of a step follows from the step and the rank alone, so
  that dropout is the same after a restart.
  """

  def __init__(self, directory, every, *, seed=None, keep=2):
    self._directory, self._every, self._seed, self._keep = pathlib.Path(directory), every, seed, keep

  def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
    heartbeat.step(trainer.global_step + 1)
    if self._seed is not None:
      torch.manual_seed((self._seed << 40) + trainer.global_step * trainer.world_size
                        + trainer.global_rank)

  def on_validation_start(self, trainer, pl_module):
    heartbeat.beat("eval", trainer.global_step)

  def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
    step = trainer.global_step
    if step == 0 or step % self._every:
      return
    with heartbeat.phase("save"):
      unfinished = self._directory / f".unfinished-{step:012d}.ckpt"
      trainer.save_checkpoint(unfinished)  # rank 0 writes; all have to call it
      if trainer.is_global_zero:
        for path in (unfinished, self._directory):
          sync(path)
        unfinished.rename(self._directory / f"step-{step:012d}.ckpt")
        sync(self._directory)
        for old in _checkpoints(self._directory)[:-self._keep]:
          old.unlink()


def newest_checkpoint(directory):
  """Returns the newest checkpoint there; None where there is none."""
  found = _checkpoints(pathlib.Path(directory))
  return str(found[-1]) if found else None


def _checkpoints(directory):
  return sorted(directory.glob(f"step-{12 * '[0-9]'}.ckpt"))
