# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint costs: the stall of a save, the durable write, the restore; peers beside it.

One process, one tree of 8 float32 arrays. By turns, in one run on one machine:
  stall    save() until it returns, the first one (after prepare) included, beside numpy's memcpy of
           the same arrays into memory that is there, on one thread as well
  write    save() and wait(), beside O_DIRECT writes of as many bytes (2 under way, as ours), synced
           likewise, and numpy.savez with fsync
  restore  into arrays that are there, from the disk (saving leaves nothing in the page cache), beside
           memcpy, and numpy.load (from the page cache)
  memory   the same of the memory tier, in tmpfs with small pages and, where this may mount, with huge
           ones; a restore opens the checkpoint anew, as a new worker does
  crash    SIGKILL of a worker that has saved 1 GiB to memory, until a worker forked after it has
           restored, into an arena that their parent made before; and memcpy of as much
"""

import ctypes
import mmap
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
CACHE = pathlib.Path(os.environ.get("PELTON_CACHE", os.path.expanduser("~/.cache/pelton")))
PYTHON = CACHE / "venvs/jax/bin/python"
TRIALS = 20
MIB = int(os.environ.get("PELTON_BENCH_MIB", 256))
CRASH_MIB = int(os.environ.get("PELTON_BENCH_CRASH_MIB", 1024))


def main():
  import numpy as np
  sys.path.insert(0, str(ROOT / "python"))
  from pelton import checkpoint

  total = MIB << 20
  state = {f"a{i}": np.random.default_rng(i).random(total // 32, np.float32) for i in range(8)}
  target = {name: np.ones_like(array) for name, array in state.items()}
  copies = {name: np.ones_like(array) for name, array in state.items()}
  rows = {}

  def timed(name, fn):
    begin = time.perf_counter()
    fn()
    rows.setdefault(name, []).append(time.perf_counter() - begin)

  def copy():
    for name, array in state.items():
      ctypes.memmove(copies[name].ctypes.data, array.ctypes.data, array.nbytes)

  block = mmap.mmap(-1, 8 << 20)
  block.write(os.urandom(1 << 20) * 8)

  def direct(directory):
    path = os.path.join(directory, "direct")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT)

    def half(first):
      for at in range(first * len(block), total, 2 * len(block)):
        os.pwrite(fd, memoryview(block), at)

    threads = [threading.Thread(target=half, args=(i,)) for i in range(2)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join()
    os.fsync(fd)
    os.close(fd)
    os.unlink(path)

  def savez(directory):
    with open(os.path.join(directory, "peer.npz"), "wb") as file:
      np.savez(file, **state)
      file.flush()
      os.fsync(file.fileno())

  def load(directory):
    with np.load(os.path.join(directory, "peer.npz")) as file:
      for name in state:
        copies[name][:] = file[name]

  memories = {"small pages": tempfile.mkdtemp(dir="/dev/shm", prefix="pelton-bench-")}
  huge = tempfile.mkdtemp()
  if subprocess.run(["mount", "-t", "tmpfs", "-o", f"huge=within_size,size={(total + (CRASH_MIB << 20)) * 3}", "tmpfs", huge],
                    capture_output=True, check=False).returncode == 0:
    memories["huge pages"] = huge

  def in_memory(pages):
    """Saves and restores with another process's eyes."""
    memory = memories[pages]
    attempt = {"memory": memory, "job": "bench", "rank": 0, "world_size": 1}
    with checkpoint.Checkpointer(**attempt) as saver:
      saver.prepare(state)
      timed("memcpy, third", copy)
      timed(f"memory, {pages}: stall", lambda: saver.save(1, state))
    timed("memcpy, fourth", copy)
    with checkpoint.Checkpointer(**attempt) as reader:
      timed(f"memory, {pages}: restore", lambda: reader.restore(target))
      assert reader.restored["bytes"]["memory"] >= total

  def crash(pages):
    crash_bytes = CRASH_MIB << 20
    size = crash_bytes // 32
    arena = mmap.mmap(-1, crash_bytes)  # shared with children
    there = {f"a{i}": np.frombuffer(arena, np.float32, size, i * (crash_bytes // 8)) for i in range(8)}
    saved = {name: np.random.default_rng(7).random(size, np.float32) for name in there}
    for array in there.values():
      array.fill(1)
    attempt = {"memory": memories[pages], "job": "crash", "rank": 0, "world_size": 1}
    for _ in range(TRIALS):
      ends = os.pipe()
      saver = os.fork()
      if saver == 0:
        worker = checkpoint.Checkpointer(**attempt)
        worker.save(1, saved)
        os.write(ends[1], b"saved")
        signal.pause()
      os.read(ends[0], 5)
      begin = time.perf_counter()
      os.kill(saver, signal.SIGKILL)
      os.waitpid(saver, 0)
      successor = os.fork()
      if successor == 0:
        with checkpoint.Checkpointer(**attempt) as worker:
          worker.restore(there)
        os.write(ends[1], b"there")
        os._exit(0)
      assert os.read(ends[0], 5) == b"there"
      rows.setdefault(f"crash, {CRASH_MIB} MiB, {pages}: to the state restored", []).append(
          time.perf_counter() - begin)
      os.waitpid(successor, 0)
      for end in ends:
        os.close(end)
    assert all((there[name] == saved[name]).all() for name in there)
    for _ in range(TRIALS):
      begin = time.perf_counter()
      for name, array in saved.items():
        ctypes.memmove(there[name].ctypes.data, array.ctypes.data, array.nbytes)
      rows.setdefault(f"memcpy, {CRASH_MIB} MiB, {pages}", []).append(time.perf_counter() - begin)
    shutil.rmtree(memories[pages] + "/checkpoint")

  directory = tempfile.mkdtemp(dir=ROOT / "build")
  try:
    checkpointer = checkpoint.Checkpointer(os.path.join(directory, "ours"))
    checkpointer.prepare(state)
    for step in range(TRIALS):
      timed("memcpy", copy)
      begin = time.perf_counter()
      timed("save: stall", lambda: checkpointer.save(step, state))
      checkpointer.wait()
      rows.setdefault("save: durable", []).append(time.perf_counter() - begin)
      timed("O_DIRECT limit", lambda: direct(directory))
      timed("numpy.savez, fsync", lambda: savez(directory))
      timed("memcpy again", copy)
      timed("restore", lambda: checkpointer.restore(target))
      timed("numpy.load", lambda: load(directory))
    assert all((target[name] == state[name]).all() for name in state)
    checkpointer.close()
    for pages, memory in memories.items():
      for _ in range(TRIALS):
        in_memory(pages)
      shutil.rmtree(memory + "/checkpoint")
    for pages in memories:
      crash(pages)
  finally:
    shutil.rmtree(directory)
    shutil.rmtree(memories["small pages"])
    if "huge pages" in memories:
      subprocess.run(["umount", huge], check=True)
    os.rmdir(huge)

  print(f"{MIB} MiB, {TRIALS} trials\n\n| | median ms | p95 ms | GB/s | ratio |\n|---|---:|---:|---:|---|")
  beside = {"save: stall": "memcpy", "save: durable": "O_DIRECT limit", "restore": "memcpy again",
            "numpy.savez, fsync": "O_DIRECT limit", "numpy.load": "memcpy again"}
  for pages in memories:
    beside[f"memory, {pages}: stall"] = "memcpy, third"
    beside[f"memory, {pages}: restore"] = "memcpy, fourth"
    beside[f"crash, {CRASH_MIB} MiB, {pages}: to the state restored"] = f"memcpy, {CRASH_MIB} MiB, {pages}"
  for name, times in rows.items():
    median = statistics.median(times)
    size = CRASH_MIB << 20 if f" {CRASH_MIB} MiB, " in name else total
    ratio = ""
    if peer := beside.get(name):
      # Of the same minute: trial by trial.
      # The peer's later trials are those of huge pages.
      beside_it = rows[peer][-len(times):] if "huge" in name else rows[peer][:len(times)]
      ratio = statistics.median(p / t for p, t in zip(beside_it, times))
      ratio = f"{ratio:.2f} of {peer}"
    print(f"| {name} | {median * 1e3:.1f} | {sorted(times)[int(len(times) * 0.95) - 1] * 1e3:.1f} "
          f"| {size / median / 1e9:.2f} | {ratio} |")


if __name__ == "__main__":
  if sys.argv[1:] == ["measure"]:
    main()
  else:
    if "PELTON_CHECKPOINT_LIBRARY" not in os.environ:
      subprocess.run(["ninja", "-C", ROOT / "build/release", "pelton_checkpoint_abi"], check=True,
                     stdout=subprocess.DEVNULL)
    sys.exit(subprocess.run([PYTHON, "-B", __file__, "measure"]).returncode)
