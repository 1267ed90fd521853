# SPDX-License-Identifier: Apache-2.0
"""Lightning's Trainer under Pelton: it is seen step by step, saves, and resumes in the same bits.

    checkpoints = PeltonCallback(directory, every=100, seed=7)
    trainer = L.Trainer(…, callbacks=[checkpoints], plugins=[checkpoints])
    trainer.fit(model, ckpt_path=checkpoints.newest())

For strategies in which each rank has everything (ddp, one device). A checkpoint is what Lightning
would write, by pelton.checkpoint.ddp; of what stands in it besides tensors and plain values (say, in
hyperparameters) torch.serialization.add_safe_globals has to know. The data has to begin at
`trainer.global_step` when Lightning asks for it, which is after it has loaded the checkpoint.
"""

import os

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from pelton import heartbeat
from pelton.checkpoint.ddp import Checkpointer


class PeltonCallback(L.Callback, TorchCheckpointIO):
  """Says each step and evaluation; saves every so many steps. As a plugin it loads what it saved, and
  leaves other files to Lightning.

  seed: with it, the random state at the start of a step follows from the step and the rank alone, so
  that dropout is the same after a restart. options: of pelton.checkpoint.Checkpointer.
  """

  def __init__(self, directory, every, *, seed=None, **options):
    super().__init__()
    self._directory, self._seed = directory, seed
    self._checkpointer = Checkpointer(directory, every=every, **options)

  def newest(self):
    """What `fit` takes for ckpt_path: the newest checkpoint; None where there is none."""
    step = self._checkpointer.newest()
    return None if step is None else self._name_of(step)

  def _name_of(self, step):
    return os.path.join(os.fspath(self._directory), f"step-{step}.pelton")

  def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
    heartbeat.step(trainer.global_step + 1)
    if self._seed is not None:
      torch.manual_seed((self._seed << 40) + trainer.global_step * trainer.world_size
                        + trainer.global_rank)

  def on_validation_start(self, trainer, pl_module):
    heartbeat.beat("eval", trainer.global_step)

  def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
    if trainer.global_step:
      with heartbeat.phase("save"):
        # pylint: disable-next=protected-access  (save_checkpoint would have rank 0 write all)
        connector = trainer._checkpoint_connector
        self._checkpointer.save(trainer.global_step,
                                lambda: connector.dump_checkpoint(weights_only=False))

  def on_train_end(self, trainer, pl_module):
    self._checkpointer.wait()

  def load_checkpoint(self, path, *arguments, **named):
    if not str(path).endswith(".pelton"):
      return super().load_checkpoint(path, *arguments, **named)
    with heartbeat.phase("restore"):
      checkpoint = self._checkpointer.load()
    if checkpoint is None or self._name_of(self._checkpointer.step) != str(path):
      raise FileNotFoundError(f"{path}: this is not the newest checkpoint of its directory")
    return checkpoint

  def teardown(self, *_, **__):
    """Of a callback, and of a plugin."""
