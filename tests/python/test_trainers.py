# SPDX-License-Identifier: Apache-2.0
"""The callbacks for Hugging Face's Trainer and Lightning: which checkpoint is whole, what is said of
steps. What they are for, the recipes' own test shows."""

import os
import pathlib
import struct
import sys
import tempfile
import types
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from pelton import heartbeat, lightning, transformers  # noqa: E402  (found by the line above)

STEP, EVAL, SAVE = (heartbeat.PHASES[name] for name in ("step", "eval", "save"))


class Callbacks(unittest.TestCase):

  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.here = pathlib.Path(temporary.name)
    self.page = self.here / "page"
    self.page.write_bytes(struct.pack("<8sIIqiiQ", b"PLTNBEAT", 1, 64, 1, 0, 0, 0).ljust(64 + 64 * 32,
                                                                                         b"\0"))
    os.environ["PELTON_HEARTBEAT"] = str(self.page)
    self.assertTrue(heartbeat.attach_anew())

  def said(self):
    """[(phase, step)] of the heartbeat page."""
    page = self.page.read_bytes()
    written, = struct.unpack_from("<Q", page, 32)
    records = [struct.unpack_from("<QqqI", page, 64 + 32 * i) for i in range(written)]
    return [(phase, step) for _, _, step, phase in records]

  def test_a_trainers_checkpoint_counts_when_every_rank_has_finished_it(self):
    callback = transformers.PeltonCallback()
    self.assertIsNone(transformers.newest_checkpoint(self.here))
    for step, ranks in ((90, (0, 1)), (100, (0, 1)), (110, (1,))):
      directory = self.here / f"checkpoint-{step}"
      directory.mkdir()
      (directory / "model.safetensors").write_text("whole")
      for rank in ranks:
        callback.on_save(types.SimpleNamespace(output_dir=str(self.here), process_index=rank, world_size=2),
                         types.SimpleNamespace(global_step=step), None)
    self.assertEqual(transformers.newest_checkpoint(self.here), str(self.here / "checkpoint-100"))

  def test_a_trainers_steps_and_evaluations_are_seen(self):
    callback, state = transformers.PeltonCallback(), types.SimpleNamespace(global_step=4)
    for call in (callback.on_step_begin, callback.on_prediction_step, callback.on_pre_optimizer_step):
      call(None, state, None)
    self.assertEqual(self.said()[-3:], [(STEP, 5), (EVAL, 4), (STEP, 5)])

  def test_lightning_saves_by_steps_and_keeps_the_newest(self):
    callback = lightning.PeltonCallback(self.here, every=2, keep=2)
    trainer = types.SimpleNamespace(is_global_zero=True, global_rank=0, world_size=1)
    trainer.save_checkpoint = lambda path: path.write_text(str(trainer.global_step))
    self.assertIsNone(lightning.newest_checkpoint(self.here))
    for done in range(8):
      trainer.global_step = done
      callback.on_train_batch_start(trainer, None, None, done)
      trainer.global_step = done + 1
      callback.on_train_batch_end(trainer, None, None, None, done)
    (self.here / ".unfinished-000000000010.ckpt").write_text("half")
    newest = pathlib.Path(lightning.newest_checkpoint(self.here))
    self.assertEqual(newest.read_text(), "8")
    self.assertEqual(len(list(self.here.glob("step-*"))), 2)
    self.assertEqual([step for phase, step in self.said() if phase == SAVE], [2, 4, 6, 8])
    self.assertEqual(self.said()[-1], (STEP, 8), "after a save the step goes on")


if __name__ == "__main__":
  unittest.main()
