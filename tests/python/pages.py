# SPDX-License-Identifier: Apache-2.0
"""The heartbeat page of a rank as its supervisor has it: made, asking for saves, answered."""

import os
import struct
import time

GIVE_UP_SECONDS = 120
FAR = 4_000_000_000_000  # a deadline, in ms since 1970


class Page:
  """To be named in PELTON_HEARTBEAT."""

  def __init__(self, path, rank=0):
    self.path = path
    header = b"PLTNBEAT" + struct.pack("<IIqiiQ", 1, 256, 1, rank, 0, 0)
    path.write_bytes(header.ljust(64, b"\0") + bytes(32 * 256))

  def ask_to_save(self, by, may_agree=1):
    with open(self.path, "r+b") as file:
      os.pwrite(file.fileno(), struct.pack("<2q", by, may_agree), 40)

  def answer(self):
    """0: nobody looks; 1: somebody does; else the step that is saved, and 2."""
    return struct.unpack_from("<q", self.path.read_bytes(), 56)[0]


def save_of(pages, by):
  """Asks the ranks of these pages, each some steps after the one before; returns the step that all of
  them say is saved."""
  wait_for(lambda: all(page.answer() for page in pages), "that all look")
  before = max(page.answer() for page in pages)
  for may_agree in (0, 1):
    for page in pages:
      page.ask_to_save(by, may_agree)
      time.sleep(0.03)  # the moment is the point
  wait_for(lambda: all(page.answer() > before for page in pages), "that all say so")
  step, = {page.answer() - 2 for page in pages}
  return step


def wait_for(condition, what):
  end = time.monotonic() + GIVE_UP_SECONDS
  while time.monotonic() < end:
    found = condition()
    if found:
      return found
    time.sleep(0.005)
  raise AssertionError(f"{what}: not within {GIVE_UP_SECONDS} s")
