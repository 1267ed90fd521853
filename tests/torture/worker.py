# SPDX-License-Identifier: Apache-2.0
"""examples/train-gpt, unchanged, in a process that does on command what goes wrong in real ones.

SIGUSR1 makes it read one word from /torture/command, below which the driver of the test wrote it:
raise (an exception that nobody catches), spin (a loop in C that holds the GIL), allocate (until the
kernel ends it).
"""
import os

os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_cpu_multi_thread_eigen=false --xla_llvm_disable_expensive_passes=true")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import pathlib  # noqa: E402
import re  # noqa: E402
import runpy  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

import jax  # noqa: E402,F401  (so that the parked parent has it)

TRAIN = "/examples/train-gpt/train.py"


def obey(*_):
  command = pathlib.Path("/torture/command").read_text(encoding="utf-8").strip()
  if command == "raise":
    raise RuntimeError("injected by the test")
  if command == "spin":
    re.match("(a+)+$", "a" * 60 + "b")  # one call, for hours, with the GIL and a core
  if command == "allocate":
    kept = []
    while True:
      kept.append(b"x" * (64 << 20))


signal.signal(signal.SIGUSR1, obey)
sys.path.insert(0, os.path.dirname(TRAIN))
sys.argv[0] = TRAIN
runpy.run_path(TRAIN, run_name="__main__")
