# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in a directory that every rank sees: a file is there whole, or not at all.

A file is one line of JSON (what it is, and the SHA-256 of what follows) and then the raw bytes of
the arrays. It is written beside its name, synced, renamed into place, and the directory is synced:
a crash at any moment leaves the old set or the new one. A file whose checksum does not match is
passed over for the one before it, which is why a few are kept.
"""

import hashlib
import json
import os
import pathlib

import numpy as np

FORMAT = "pelton-train-gpt-1"
KEPT = 3


class Mismatch(Exception):
  """The directory holds the checkpoints of another run (other sizes, seed, text or world size)."""


def path_of(directory, step):
  return pathlib.Path(directory) / f"step-{step:08d}.ckpt"


def save(directory, step, run, arrays):
  """Writes `arrays` as the checkpoint of `step` of `run` (a dict), then drops the oldest ones.

  Returns the number of bytes written. On return the checkpoint is durable. One writer at a time.
  """
  directory = pathlib.Path(directory)
  directory.mkdir(parents=True, exist_ok=True)
  payload = [np.ascontiguousarray(a, dtype="<f4").data.cast("B") for a in arrays]
  digest = hashlib.sha256()
  for part in payload:
    digest.update(part)
  head = {"format": FORMAT, "step": step, "run": run, "sha256": digest.hexdigest(),
          "lengths": [len(p) // 4 for p in payload]}
  unfinished = directory / f".step-{step:08d}.{os.getpid()}.tmp"
  try:
    with open(unfinished, "wb") as file:
      written = file.write(json.dumps(head, sort_keys=True).encode() + b"\n")
      written += sum(file.write(part) for part in payload)
      file.flush()
      os.fsync(file.fileno())
    os.rename(unfinished, path_of(directory, step))
  finally:
    unfinished.unlink(missing_ok=True)
  sync_directory(directory)
  drop_old(directory)
  return written


def sync_directory(directory):
  descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def drop_old(directory):
  """Removes all but the newest KEPT checkpoints, and what interrupted writers left behind."""
  for old in sorted(directory.glob("step-*.ckpt"))[:-KEPT]:
    old.unlink(missing_ok=True)
  for left in directory.glob(".step-*.tmp"):
    left.unlink(missing_ok=True)


def load(path, run):
  """Returns (step, arrays) of one file. Raises ValueError (damaged) and Mismatch (another run's)."""
  data = pathlib.Path(path).read_bytes()
  line, _, payload = data.partition(b"\n")
  try:
    head = json.loads(line)
  except ValueError as error:
    raise ValueError(f"{path}: its first line is not JSON: {error}") from error
  if not isinstance(head, dict) or head.get("format") != FORMAT:
    raise ValueError(f"{path}: not a {FORMAT} file")
  if hashlib.sha256(payload).hexdigest() != head["sha256"]:
    raise ValueError(f"{path}: the checksum does not match")
  if head["run"] != run:
    differ = sorted(k for k in {**head["run"], **run} if head["run"].get(k) != run.get(k))
    raise Mismatch(f"{path} belongs to another run: {', '.join(differ)} differ. "
                   "Give this run a --checkpoint-dir of its own, or remove that directory.")
  flat = np.frombuffer(payload, dtype="<f4")
  ends = np.cumsum(head["lengths"])
  return head["step"], [np.array(part) for part in np.split(flat, ends[:-1])]


def load_newest(directory, run, warn=print):
  """Returns (step, arrays) of the newest checkpoint that verifies, or None where there is none.

  Each damaged file is reported through `warn` and passed over. Raises Mismatch.
  """
  for path in sorted(pathlib.Path(directory).glob("step-*.ckpt"), reverse=True):
    try:
      return load(path, run)
    except (OSError, ValueError) as error:
      warn(f"passing over a checkpoint: {error}")
  return None
