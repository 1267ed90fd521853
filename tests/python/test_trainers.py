# SPDX-License-Identifier: Apache-2.0
"""The callbacks for Hugging Face's Trainer and Lightning: which checkpoint is whole, what is said of
steps. What they are for, the recipes' own test shows."""

import os
import pathlib
import random
import struct
import sys
import tempfile
import types
import unittest

import numpy as np
import torch
from transformers import TrainerState

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from pelton import heartbeat, lightning, transformers  # noqa: E402  (found by the line above)

STEP, EVAL = (heartbeat.PHASES[name] for name in ("step", "eval"))


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

  def test_lightning_saves_by_steps_and_takes_up_the_newest(self):
    callback = lightning.PeltonCallback(self.here / "kept", every=2)
    trainer = types.SimpleNamespace(global_rank=0, world_size=1, global_step=0)
    trainer._checkpoint_connector = types.SimpleNamespace(dump_checkpoint=lambda weights_only: {
        "global_step": trainer.global_step, "state_dict": {"w": torch.full((3,), trainer.global_step)}})
    self.assertIsNone(callback.newest())
    for done in range(8):
      trainer.global_step = done
      callback.on_train_batch_start(trainer, None, None, done)
      trainer.global_step = done + 1
      callback.on_train_batch_end(trainer, None, None, None, done)
    callback.on_train_end(trainer, None)
    path = callback.newest()
    self.assertEqual(repr(callback.load_checkpoint(path)),
                     "{'global_step': 8, 'state_dict': {'w': tensor([8, 8, 8])}}")
    with self.assertRaisesRegex(FileNotFoundError, "step-6.pelton: this is not the newest"):
      callback.load_checkpoint(path.replace("8", "6"))
    torch.save({"of": "another"}, self.here / "other.ckpt")  # Lightning's own, by another callback
    self.assertEqual(callback.load_checkpoint(self.here / "other.ckpt"), {"of": "another"})
    said = self.said()
    self.assertEqual([step for phase, step in said if phase == STEP][-1], 8)

  def test_a_trainer_resumes_with_what_was_saved(self):
    model = torch.nn.Linear(2, 1)
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    optimizer.step()
    schedule.step()
    with_all = {"model": model, "optimizer": optimizer, "lr_scheduler": schedule}
    state = TrainerState(global_step=4, max_steps=9)
    args = types.SimpleNamespace(process_index=0, world_size=1)
    callback = transformers.PeltonCallback(self.here / "kept", every=2)
    self.assertIsNone(callback.resume(types.SimpleNamespace(args=args)))
    callback.on_step_end(args, state, None, **with_all)
    drawn = random.random(), float(np.random.rand()), float(torch.rand(1))
    callback.on_train_end(args, state, None)
    callback = transformers.PeltonCallback(self.here / "kept")
    shown = pathlib.Path(callback.resume(types.SimpleNamespace(args=args)))
    self.assertEqual(TrainerState.load_from_json(shown / "trainer_state.json"), state)
    self.assertEqual(repr(torch.load(shown / "pytorch_model.bin")), repr(dict(model.state_dict())))
    states = torch.load(shown / "rng_state.pth", weights_only=False)
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(states["cpu"])
    self.assertEqual((random.random(), float(np.random.rand()), float(torch.rand(1))), drawn)
    other = torch.optim.Adam(torch.nn.Linear(2, 1).parameters(), lr=9)
    later = torch.optim.lr_scheduler.StepLR(other, 1)
    callback.on_train_begin(args, state, None, optimizer=other, lr_scheduler=later)
    self.assertEqual(repr(other.state_dict()), repr(optimizer.state_dict()))
    self.assertEqual(later.state_dict(), schedule.state_dict())
    callback.on_step_end(args, TrainerState(global_step=5), None, **with_all)
    self.assertFalse(shown.exists())


if __name__ == "__main__":
  unittest.main()
