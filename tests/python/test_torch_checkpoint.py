# SPDX-License-Identifier: Apache-2.0
"""torch.distributed.checkpoint through Pelton's files: saved by three ranks, loaded by two and by one.

Real gloo, DDP and FSDP2. PELTON_CHECKPOINT_LIBRARY names the library.
"""

import hashlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from pages import FAR, Page, save_of  # noqa: E402  (they lie beside this file)
from pelton.checkpoint import Checkpointer as Plain, Refused  # noqa: E402  (found by the line above)
from pelton.checkpoint.ddp import Checkpointer  # noqa: E402
from pelton.checkpoint.torch import StorageReader, StorageWriter  # noqa: E402

GIVE_UP_SECONDS = 280


class Model(nn.Module):
  """Sizes that no number of ranks divides, two types, a buffer, and a tensor smaller than a world."""

  def __init__(self):
    super().__init__()
    torch.manual_seed(dist.get_world_size() if dist.is_initialized() else 9)
    self.first, self.last = nn.Linear(7, 13), nn.Linear(13, 1)
    self.scale = nn.Parameter(torch.rand(1))
    self.register_buffer("seen", torch.zeros(5, dtype=torch.bfloat16))

  def forward(self, x):
    self.seen += 1
    return self.last(torch.relu(self.first(x))) * self.scale


def made(kind):
  model = Model()
  if kind == "fsdp":
    fully_shard(model.first)
    fully_shard(model)
  elif kind == "ddp":
    model = DistributedDataParallel(model)
  return model, torch.optim.Adam(model.parameters(), lr=0.1)


def trained(kind, steps):
  model, optimizer = made(kind)
  for step in range(steps):
    optimizer.zero_grad()
    model(torch.rand(4, 7, generator=torch.Generator().manual_seed(step))).sum().backward()
    optimizer.step()
  return model, optimizer


def state_of(model, optimizer, epoch):
  parameters, moments = get_state_dict(model, optimizer)
  return {"model": parameters, "optimizer": moments, "progress": {"epoch": epoch, "name": "é"}}


def digest_of(tree, path=""):
  """One text for each leaf, as all ranks together hold it."""
  if isinstance(tree, dict):
    return "".join(digest_of(tree[key], f"{path}/{key}") for key in sorted(tree, key=str))
  if isinstance(tree, DTensor):
    tree = tree.full_tensor()
  if isinstance(tree, torch.Tensor):
    tree = hashlib.sha256(tree.detach().contiguous().flatten().view(torch.uint8).numpy()).hexdigest()
  return f"{path}={tree}\n"


def digest(state):
  text = digest_of(state)
  assert text.count("\n") > 10 and "exp_avg_sq" in text, text
  return hashlib.sha256(text.encode()).hexdigest()


def save(directory):
  """A rank of the job that saves."""
  for kind in ("ddp", "fsdp"):
    model, optimizer = trained(kind, 3)
    state = state_of(model, optimizer, 4)
    print(f"{kind} {digest(state)}", flush=True)
    writer = StorageWriter(f"{directory}/{kind}")
    writer.extra = {"rank": dist.get_rank()}
    dcp.save(state, storage_writer=writer, checkpoint_id="step-20")
    model, optimizer = trained(kind, 5)
    state = state_of(model, optimizer, 5)
    print(f"{kind}-later {digest(state)}", flush=True)
    dcp.async_save(state, storage_writer=writer).result()  # step 21
    writer.wait()
    assert writer.newest() in (20, 21), writer.newest()


def load(directory):
  """A rank of the job that loads, of another size."""
  for kind in ("ddp", "fsdp"):
    reader = StorageReader(f"{directory}/{kind}")
    assert reader.newest() == 21, reader.newest()
    model, optimizer = made(kind)
    state = state_of(model, optimizer, 0)
    dcp.load(state, storage_reader=reader)
    set_state_dict(model, optimizer, model_state_dict=state["model"],
                   optim_state_dict=state["optimizer"])
    again = state_of(model, optimizer, state["progress"]["epoch"])
    assert reader.step == 21 and reader.extra == {"rank": dist.get_rank()}, reader.extra
    print(f"{kind} {digest(again)}", flush=True)
    try:
      dcp.load(state, storage_reader=reader, checkpoint_id="step-20")
    except dcp.api.CheckpointException as error:
      assert "step 20 is asked for" in str(error), error
    else:
      raise AssertionError("an older step was loaded as if it were asked for")


def train(directory):
  """A rank of a job that saves a step when it is asked to, at once or in the background by turns."""
  writer, saved = StorageWriter(f"{directory}/asked"), []
  finish, step, beside = torch.zeros(1), 0, dist.new_group()  # DCP's collectives, not the loop's
  while not finish.item():
    step += 1
    finish[0] = os.path.exists(f"{directory}/finish")
    dist.all_reduce(finish)
    if writer.is_save_asked(step):
      save = dcp.async_save if saved else dcp.save
      done = save({"step": torch.full((9,), step)}, storage_writer=writer, checkpoint_id=step,
                  process_group=beside)
      saved.append(step)
  done.result()
  print(f"saved {'-'.join(map(str, saved)):_<64}", flush=True)


class Resharded(unittest.TestCase):

  def job(self, what, ranks, directory, meanwhile=lambda: None):
    """Runs the ranks of a job; returns what each said, as {kind: digest}."""
    env = {**os.environ, "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    jobs = [subprocess.Popen(
        [sys.executable, "-B", __file__, what, directory, f"{directory}/{what}-{ranks}.store"],
        env={**env, "RANK": str(rank), "PELTON_HEARTBEAT": f"{directory}/page-{rank}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for rank in range(ranks)]
    told = []
    try:
      meanwhile()
      for job in jobs:
        out, errors = job.communicate(timeout=GIVE_UP_SECONDS)
        self.assertEqual(job.returncode, 0, errors)
        told.append(dict(re.findall(r"(?m)^(\S+) ([\w-]{64})$", out)))
    finally:
      for job in jobs:
        job.kill()
        job.wait()
    return told

  def test_three_ranks_save_and_two_load_the_same_bits(self):
    with tempfile.TemporaryDirectory() as directory:
      saved = self.job("save", 3, directory)
      for kind in ("ddp", "fsdp"):
        self.assertEqual(len({rank[f"{kind}-later"] for rank in saved}), 1)
        self.assertNotEqual(saved[0][kind], saved[0][f"{kind}-later"])
      for rank in self.job("load", 2, directory):
        for kind in ("ddp", "fsdp"):
          self.assertEqual(rank[kind], saved[0][f"{kind}-later"], kind)
      self.assertGreater(len(list(pathlib.Path(directory).glob("fsdp/step-*21-*/*.data"))), 2)

  def test_a_notice_has_all_save_the_same_step(self):
    with tempfile.TemporaryDirectory() as directory:
      pages = [Page(pathlib.Path(directory, f"page-{rank}"), rank) for rank in range(2)]
      saved = []

      def meanwhile():
        for turn in range(2):
          saved.append(save_of(pages, FAR + turn))
          self.assertTrue(list(pathlib.Path(directory, "asked").glob(f"step-*{saved[-1]:04}-*")))
        pathlib.Path(directory, "finish").touch()

      told = self.job("train", 2, directory, meanwhile)
      self.assertEqual([rank["saved"].rstrip("_") for rank in told], ["-".join(map(str, saved))] * 2)


class OneProcess(unittest.TestCase):

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(directory.name, "checkpoints")

  def saved(self, **tensors):
    writer = StorageWriter(self.here)
    dcp.save(tensors, storage_writer=writer)
    writer.wait()
    return StorageReader(self.here)

  def test_all_types_and_shapes_come_back(self):
    state = {"half": torch.rand(3, 5).bfloat16(), "scalar": torch.tensor(7), "empty": torch.rand(0, 3),
             "bits": torch.tensor([True, False]), "strided": torch.rand(4, 6).t(),
             "complex": torch.rand(3, dtype=torch.complex64), "float8": torch.rand(9).to(torch.float8_e4m3fn)}
    reader = self.saved(**state)
    back = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    dcp.load(back, storage_reader=reader)
    for name, tensor in state.items():
      self.assertEqual(*(bytes(t.contiguous().flatten().view(torch.uint8)) for t in (back[name], tensor)),
                       name)

  def test_a_damaged_file_is_not_loaded_but_named(self):
    reader = self.saved(w=torch.rand(1000))
    path, = self.here.glob("step-*/*.data")
    data = bytearray(path.read_bytes())
    data[77] ^= 1
    path.write_bytes(data)
    with self.assertRaisesRegex(dcp.api.CheckpointException, "w00000.data"):
      dcp.load({"w": torch.zeros(1000)}, storage_reader=reader)

  def test_an_object_store_is_no_path(self):
    with mock.patch("pelton.checkpoint.torch.Checkpointer") as made:
      StorageReader("s3://bucket/prefix/")
      StorageWriter("s3://bucket/prefix")
    made.assert_called_once()
    self.assertEqual(made.call_args.args, ("s3://bucket/prefix",))

  def test_what_cannot_be_is_named(self):
    with self.assertRaisesRegex(dcp.api.CheckpointException, "no checkpoint is committed there"):
      dcp.load({"w": torch.zeros(1)}, storage_reader=StorageReader(self.here))
    with self.assertRaisesRegex(ValueError, "checkpoint_id 'best': must be a step"):
      dcp.save({"w": torch.zeros(1)}, storage_writer=StorageWriter(self.here), checkpoint_id="best")
    (self.here.parent / "other").mkdir()
    StorageWriter(self.here.parent / "other", job="one").checkpointer.close()
    from pelton.checkpoint import torch as adapter  # pylint: disable=import-outside-toplevel
    adapter._checkpointers.clear()
    with self.assertRaisesRegex(Refused, 'of job "one", and this is job "two"'):
      StorageWriter(self.here.parent / "other", job="two")


class WhatEachRankHasWhole(unittest.TestCase):
  """pelton.checkpoint.ddp; on several ranks, with kills, test_torch.py has it."""

  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.here = pathlib.Path(temporary.name)

  def open(self, **more):
    checkpointer = Checkpointer(self.here / "kept", **more)
    self.addCleanup(checkpointer.close)
    return checkpointer

  def test_everything_comes_back_in_place_and_exactly(self):
    model, optimizer = trained("one", 3)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    more = {"mean": torch.ones(3, dtype=torch.float8_e4m3fn), "none": torch.empty(0, 4), "of": (1, "é")}
    state = {"model": model, "optimizer": optimizer, "schedule": schedule, "more": more}
    first = self.open(every=3)
    self.assertIsNone(first.newest())
    self.assertIsNone(first.restore(state))
    self.assertFalse(first.save(2, state))
    self.assertTrue(first.save(3, state, extra={"position": 12}))
    drawn = torch.rand(4)
    first.wait()
    with torch.device("meta"):
      other, _ = made("one")
    other.to_empty(device="cpu")
    again = torch.optim.Adam(other.parameters(), lr=0.5)
    loaded = {"model": other, "optimizer": again, "more": {},
              "schedule": torch.optim.lr_scheduler.StepLR(again, 2)}
    places = {name: tensor.data_ptr() for name, tensor in other.state_dict().items()}
    second = self.open()
    self.assertEqual((second.newest(), second.restore(loaded)), (3, 3))
    self.assertEqual(second.extra, {"position": 12})
    self.assertTrue(torch.equal(torch.rand(4), drawn), "the random state is another")
    self.assertEqual({name: tensor.data_ptr() for name, tensor in other.state_dict().items()}, places)
    for name in ("model", "optimizer", "schedule"):
      self.assertEqual(repr(loaded[name].state_dict()), repr(state[name].state_dict()), name)
    self.assertEqual(repr(loaded["more"]), repr(more))
    self.assertEqual(list(second.load()), list(state))

  def test_what_another_saved_is_refused(self):
    with Plain(self.here / "kept") as other:
      other.save(1, {"w": np.zeros(3)})
      other.wait()
    with self.assertRaisesRegex(ValueError, "step 1 was not saved by pelton.checkpoint.ddp"):
      self.open().restore({"model": Model()})


if __name__ == "__main__":
  if sys.argv[1:2] in (["save"], ["load"], ["train"]):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[3]}",
                            rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
    {"save": save, "load": load, "train": train}[sys.argv[1]](sys.argv[2])
    dist.destroy_process_group()
  else:
    unittest.main()
