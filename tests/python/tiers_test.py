# SPDX-License-Identifier: Apache-2.0
"""The tiers of a checkpoint: memory of the node, of peers, and a directory; killed, damaged, missing.

Run in an environment with numpy; PELTON_CHECKPOINT_LIBRARY names the library.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
from pelton import checkpoint  # noqa: E402  (found by the line above)


PELTON = os.environ.get("PELTON")


def state_of(step):
  """Every byte follows from the step. Three chunks of the format at four ranks."""
  rng = np.random.default_rng(step)
  return {"w": rng.random((1201, 517), np.float32), "b": rng.random(7), "step": step}


def same(a, b):
  return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def worker(directory):
  """A rank: restores, checks, and saves a step for each line that comes in."""
  checkpointer = checkpoint.Checkpointer(directory, every=4, memory_every=1)
  step, found = 0, checkpointer.restore(state_of(0))
  if found:
    step = int(found[0]["step"])
    assert same(found[0], state_of(step)), f"step {step} was loaded wrong"
    assert found[1]["position"] == step
  bytes_read = checkpointer.restored["bytes"] if found else {}
  print(f"restored {step} {json.dumps(bytes_read)}", flush=True)
  for _ in sys.stdin:
    step += 1
    checkpointer.save(step, state_of(step), extra={"position": step})
    # What a slow disk still writes keeps its file, and the next step takes that of the newest (ADR 15).
    checkpointer.wait()
    print(f"saved {step}", flush=True)


class Tiers(unittest.TestCase):

  def setUp(self):
    self.directory = tempfile.mkdtemp(dir=os.environ.get("TMPDIR"))
    self.memory = tempfile.mkdtemp(dir="/dev/shm", prefix="pelton-test-")
    for path in self.directory, self.memory:
      self.addCleanup(shutil.rmtree, path, ignore_errors=True)
    env = {name: value for name, value in os.environ.items()
           if not name.startswith("PELTON_") or name == "PELTON_CHECKPOINT_LIBRARY"}
    env.update(PELTON_MEMORY_DIR=self.memory, PELTON_JOB_UID="job")
    patched = mock.patch.dict(os.environ, env, clear=True)
    patched.start()
    self.addCleanup(patched.stop)

  def open(self, generation, rank=0, ranks=1, directory="", restore="", **options):
    with mock.patch.dict(os.environ, LOCAL_WORLD_SIZE=str(ranks), PELTON_RESTORE=restore):
      return checkpoint.Checkpointer(self.directory if directory == "" else directory, rank=rank,
                                     world_size=ranks, generation=generation, **options)

  def saved(self, generation, steps, ranks=1, **options):
    """Saves by as many ranks as told."""
    all_ranks = [self.open(generation, rank, ranks, **options) for rank in range(ranks)]
    for step in steps:
      for rank in all_ranks:
        rank.save(step, state_of(step), extra={"position": step})
    for rank in all_ranks:
      rank.wait()
      rank.close()

  def restored(self, generation, ranks=1, **options):
    """The steps that ranks restored, and the bytes by tier of the last."""
    steps = []
    for rank in range(ranks):
      with self.open(generation, rank, ranks, **options) as checkpointer:
        state, extra = checkpointer.restore(state_of(0))
        self.assertTrue(same(state, state_of(extra["position"])))
        steps.append(extra["position"])
        self.last = checkpointer.restored
    return steps, self.last["bytes"]

  def memory_files(self, pattern):
    return sorted(pathlib.Path(self.memory, "checkpoint").glob(pattern))

  def files(self, pattern):
    return sorted(pathlib.Path(self.directory).glob(pattern))

  def flip(self, path):
    data = bytearray(path.read_bytes())
    data[random.randrange(min(len(data), 100_000))] ^= 4
    with open(path, "r+b") as file:  # in place: the same file, as memory rots
      file.write(data)


class OnOneNode(Tiers):

  def test_what_was_saved_is_in_memory_at_once_and_comes_from_there(self):
    with self.open(1, every=100, memory_every=1) as first:
      for step in 1, 2, 3:
        self.assertTrue(first.save(step, state_of(step), extra={"position": step}))
      steps, read = self.restored(2)
      self.assertEqual(steps, [3])
      self.assertEqual((read["durable"], read["peers"]), (0, 0))
      self.assertGreater(read["memory"], 2_000_000)

  def test_a_writer_keeps_two_versions_and_makes_no_third_file(self):
    self.saved(1, range(1, 9), memory_every=1, every=4)
    self.assertEqual(len(self.memory_files("*/*.data")), 2)
    before = {path.stat().st_ino for path in self.memory_files("*/*.data")}
    self.saved(2, range(9, 14), memory_every=1, every=4)
    self.assertEqual({path.stat().st_ino for path in self.memory_files("*/*.data")}, before)
    self.assertEqual(self.memory_files("*/*.spare"), [])

  def test_other_numbers_of_ranks_restore_it_and_what_nobody_needs_goes(self):
    self.saved(1, [1, 2], ranks=4)
    self.assertEqual(self.restored(2, ranks=3)[0], [2, 2, 2])
    self.saved(2, [3, 4, 5, 6], ranks=3)
    self.assertEqual(self.restored(3, ranks=1)[0], [6])
    self.assertEqual(self.memory_files("*-g1"), [])

  def test_a_flipped_bit_in_memory_is_made_good_from_the_directory_chunk_by_chunk(self):
    self.saved(1, [1, 2])
    self.flip(self.memory_files("*2-g1/*.data")[0])
    steps, read = self.restored(2)
    self.assertEqual(steps, [2])
    self.assertEqual(read["durable"], 1 << 20, "one chunk")
    self.assertGreater(read["memory"], 1 << 20)

  def test_a_flipped_bit_in_both_is_passed_over(self):
    for pattern in "*.data", "*.manifest":
      with self.subTest(pattern):
        generation = {"*.data": 1, "*.manifest": 3}[pattern]
        self.saved(generation, [1, 2])
        self.flip(self.memory_files(f"*2-g{generation}/{pattern}")[0])
        for path in self.files(f"step-*2-e*/{pattern}"):
          path.write_bytes(b"x" * path.stat().st_size)
        self.assertEqual(self.restored(generation + 1)[0], [1])

  def test_ranks_that_find_damage_end_and_all_take_the_same_next_time(self):
    self.saved(1, [1, 2], ranks=2, every=100, memory_every=1)
    self.flip(self.memory_files("*2-g1/w00001.data")[0])
    for rank in range(2):
      with self.open(2, rank, 2) as checkpointer:
        why = ("w00001.data is damaged", "of 2 writers 1 are there")[rank]
        with self.assertRaisesRegex(checkpoint.Damaged, f"step 2 of generation 1 cannot.*{why}"):
          checkpointer.restore(state_of(0))
    self.assertEqual(self.memory_files("*2-g1/w00001.manifest"), [])
    self.assertEqual(self.restored(3, ranks=2)[0], [1, 1])

  def test_the_first_rank_to_ask_decides_for_all(self):
    self.saved(1, [1], ranks=2, memory_every=1, every=100)
    first = self.open(2, 0, 2)
    self.assertEqual(first.restore(state_of(0))[1], {"position": 1})
    # A process of the generation before it is late.
    self.saved(1, [2], ranks=2, directory=None)
    with self.open(2, 1, 2) as second:
      self.assertEqual(second.restore(state_of(0))[1], {"position": 1})
    first.close()

  def test_what_is_committed_and_newer_goes_before_memory(self):
    self.saved(1, [1, 2])
    self.saved(2, [3], memory="")
    steps, read = self.restored(3)
    self.assertEqual((steps, read["memory"]), ([3], 0))

  def test_memory_of_another_directory_s_training_is_not_taken(self):
    self.saved(1, [1, 2], run="first")
    other = self.directory + "/other"
    self.saved(1, [1], run="second", directory=other, memory="")
    with self.open(2, run="second", directory=other) as checkpointer:
      self.assertEqual(checkpointer.restore(state_of(0))[1], {"position": 1})

  def test_without_a_directory_memory_is_all(self):
    self.saved(1, [1, 2], directory=None, ranks=2)
    self.assertEqual(self.restored(2, ranks=2, directory=None)[0], [2, 2])
    with self.open(3, directory=None) as checkpointer:
      self.assertEqual(checkpointer.newest(), 2)
      with self.assertRaisesRegex(ValueError, "directory: must be given where there is no memory"):
        self.open(1, directory=None, memory="")

  def test_one_process_needs_to_be_told_nothing(self):
    for expected in None, 1, 2:
      with mock.patch.dict(os.environ, PELTON_JOB_UID=""):
        with checkpoint.Checkpointer() as checkpointer:
          found = checkpointer.restore(state_of(0))
          self.assertEqual(found and found[1], expected)
          checkpointer.save((expected or 0) + 1, state_of(0), extra=(expected or 0) + 1)

  def test_memory_that_is_full_is_told_once_and_training_goes_on(self):
    script = ("import resource, sys; sys.path.insert(0, sys.argv[1])\n"
              "import numpy as np; from pelton import checkpoint\n"
              "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
              "c = checkpoint.Checkpointer()\n"
              "for step in range(5): assert c.save(step, {'w': np.ones(1 << 20)})\n"
              "c.wait(); print(c.newest())\n")
    done = subprocess.run([sys.executable, "-c", script,
                           pathlib.Path(checkpoint.__file__).parents[2]],
                          capture_output=True, text=True, check=True)
    self.assertEqual(done.stdout, "None\n")
    self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
    self.assertRegex(done.stderr, f"not every checkpoint is kept in {self.memory}.*more room")
    self.assertEqual(self.memory_files("**/*.data"), [])

  def test_another_job_is_refused_and_keeps_what_it_has(self):
    self.saved(1, [1])
    with self.assertRaisesRegex(checkpoint.Refused, 'w00000.manifest: job: .*"job".*"other"'):
      self.open(2, directory=self.directory + "/other", job="other")
    self.assertEqual(self.restored(2)[1]["durable"], 0)

  def test_a_newer_format_in_memory_is_named(self):
    self.saved(1, [1])
    path = self.memory_files("*1-g1/*.manifest")[0]
    # One of the format's next version, with the checksum that belongs to it.
    path.write_bytes(pathlib.Path(__file__).with_name("newer_manifest.txt").read_bytes())
    with self.assertRaisesRegex(checkpoint.Refused, f"{path}.*written in format 2.*newer pelton"):
      self.open(2)
    self.assertTrue(path.exists())

  def test_memory_that_cannot_be_is_named(self):
    with self.assertRaisesRegex(checkpoint.Failed, "/proc/checkpoint"):
      self.open(1, memory="/proc")

  def test_a_state_that_the_slices_cannot_form_is_named(self):
    self.saved(1, [1])
    with self.open(2) as checkpointer:
      with self.assertRaisesRegex(ValueError, r"tensor w: .*step 1 has float32\[1201, 517\]"):
        checkpointer.restore(dict(state_of(0), w=np.zeros((517, 1201), np.float32)))
    self.assertEqual(self.restored(3)[0], [1])


class Auto(Tiers):

  def test_all_ranks_save_the_same_steps_whatever_each_has_measured(self):
    for directory in "", None:
      with self.subTest(directory=directory):
        ranks = [self.open(1, rank, 2, directory=directory, every="auto") for rank in range(2)]
        saved, random_order = [[], []], random.Random(3)
        with mock.patch.object(checkpoint.time, "monotonic") as clock:
          for step in range(400):
            for rank in random_order.sample((0, 1), 2):
              clock.return_value = step * (0.01, 1000.0)[rank]  # how long a step takes, it believes
              if ranks[rank].save(step, {"w": np.ones(1000)}):
                saved[rank].append(step)
        self.assertEqual(saved[0], saved[1])
        self.assertEqual(saved[0][:2], [0, 1])
        self.assertLess(len(saved[0]), 400)
        for rank in ranks:
          rank.wait()
          rank.close()

  def planned(self, observed):
    """For memory and the directory, after a first save, of steps that take a microsecond; the least of a
    few, since a save may have waited for a processor."""
    plans = []
    for _ in range(5):
      self.generation += 1
      with mock.patch.dict(os.environ, PELTON_FAILURES_OBSERVED=observed):
        with self.open(self.generation, every="auto") as checkpointer:
          checkpointer._step_seconds = 1e-6
          checkpointer.save(0, {"w": np.ones(1000)})
          plans.append((checkpointer._plan["memory"], checkpointer._plan["next"]))
    return [min(of_tier) for of_tier in zip(*plans)]

  def test_each_tier_follows_the_failures_that_the_job_has_seen(self):
    self.generation, often = 0, 10**12  # a millionth of the prior's interval, far beyond the noise
    memory, durable = self.planned("")
    killed, lost, calm = (self.planned(text) for text in (f"0:{often}:0", f"0:0:{often}", f"{often}00:0:0"))
    self.assertLess(killed[0] * 100, memory)
    self.assertLess(lost[1] * 100, durable)
    self.assertGreater(killed[1], lost[1] * 100)
    self.assertGreater(calm[0], memory * 10)
    self.assertGreater(calm[1], durable * 10)

  def test_what_is_no_text_of_failures_is_refused_where_it_decides(self):
    with mock.patch.dict(os.environ, PELTON_FAILURES_OBSERVED="often"):
      with self.assertRaisesRegex(ValueError, 'PELTON_FAILURES_OBSERVED: must be NODE-SECONDS.*"often"'):
        self.open(1, every="auto")
      self.open(1, every=1).close()

  def test_ranks_without_a_common_directory_are_told(self):
    with mock.patch.dict(os.environ, LOCAL_WORLD_SIZE="1"):
      with checkpoint.Checkpointer(every="auto", rank=0, world_size=2, generation=1) as alone:
        with self.assertRaisesRegex(ValueError, "every: ranks on several nodes"):
          alone.save(0, {"w": np.ones(3)})


class Named(Tiers):
  """What the job's generation says (PELTON_RESTORE)."""

  def test_it_is_taken_though_memory_has_something_newer(self):
    self.saved(1, [1, 2], directory=None)
    self.assertEqual(self.restored(2, restore="1:1", directory=None)[0], [1])

  def test_what_is_durable_and_later_is_taken_instead(self):
    self.saved(1, [1, 2])
    steps, read = self.restored(2, restore="1:1")
    self.assertEqual((steps, read["memory"]), ([2], 0))

  def test_it_comes_from_the_directory_where_memory_is_gone(self):
    self.saved(1, [1, 2])
    shutil.rmtree(pathlib.Path(self.memory, "checkpoint"))
    steps, read = self.restored(2, restore="1:2")
    self.assertEqual((steps, read["memory"]), ([2], 0))

  def test_what_is_not_there_is_damage(self):
    self.saved(1, [1])
    with self.open(2, restore="1:7") as checkpointer:
      with self.assertRaisesRegex(checkpoint.Damaged, "step 7 of generation 1 cannot be restored"):
        checkpointer.restore(state_of(0))

  def test_a_text_that_is_none_is_refused(self):
    for text in "7", "1:", ":1", "1:-1", "1:2:3", "x:1":
      with self.assertRaisesRegex(ValueError, "PELTON_RESTORE: must be GENERATION:STEP"):
        self.open(2, restore=text)


class Peers(Tiers):
  """Another node's parts, by way of an agent, which a thread plays here."""

  def setUp(self):
    super().setUp()
    self.remote = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm", prefix="pelton-test-"))
    self.addCleanup(shutil.rmtree, self.remote)
    self.asked = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(self.memory + "/peers.sock")
    server.listen()
    self.addCleanup(server.close)
    self.addCleanup(server.shutdown, socket.SHUT_RDWR)
    self.answer = self.answered
    threading.Thread(target=self.serve, args=(server,), daemon=True).start()

  def serve(self, server):
    while True:
      try:
        connection = server.accept()[0]
      except OSError:
        return
      with connection, connection.makefile("rw") as lines:
        for line in lines:
          self.asked.append(json.loads(line))
          lines.write(self.answer(self.asked[-1]) + "\n")
          lines.flush()

  def answered(self, question):
    local = pathlib.Path(self.memory, "checkpoint")
    if "version" in question:
      parts = sorted((self.remote / question["version"]).glob("*.manifest"))
      (local / question["version"]).mkdir(exist_ok=True)
      for part in parts:
        shutil.copy(part, local / question["version"] / (part.name + ".remote"))
      return json.dumps({"parts": [int(part.name[1:6]) for part in parts]})
    for suffix in ".data", ".manifest":
      shutil.copy(self.remote / (question["fetch"] + suffix), local / (question["fetch"] + suffix))
    return json.dumps({"done": True})

  def move(self, pattern):
    """To the other node."""
    for path in self.memory_files(pattern):
      (self.remote / path.parent.name).mkdir(exist_ok=True)
      shutil.move(path, self.remote / path.parent.name)

  def test_what_is_not_here_is_fetched_once_and_lies_here_then(self):
    self.saved(1, [1, 2], ranks=2, directory=None)
    self.move("*2-g1/w00001.*")
    steps, read = self.restored(2, ranks=2, restore="1:2", directory=None)
    self.assertEqual(steps, [2, 2])
    self.assertEqual([each for each in self.asked if "fetch" in each],
                     [{"fetch": "step-000000000002-g1/w00001"}])
    self.assertEqual(read["peers"], 0, "the second rank found it here")

  def test_only_what_is_needed_is_fetched(self):
    self.saved(1, [1], ranks=4, directory=None)
    self.move("*1-g1/*")
    with self.open(2, restore="1:1", directory=None) as checkpointer:
      want = {"w": checkpoint.Slice(np.zeros((100, 517), np.float32), (1201, 517), (0, 0))}
      state, extra = checkpointer.restore(want)
      self.assertEqual(extra, {"position": 1})
      np.testing.assert_array_equal(state["w"].array, state_of(1)["w"][:100])
      self.assertGreater(checkpointer.restored["bytes"]["peers"], 0)
    self.assertEqual([each["fetch"][-6:] for each in self.asked if "fetch" in each], ["w00000"])

  def test_damage_here_is_made_good_by_a_peer(self):
    self.saved(1, [1], directory=None)
    shutil.copytree(pathlib.Path(self.memory, "checkpoint"), self.remote, dirs_exist_ok=True)
    self.flip(self.memory_files("*1-g1/*.data")[0])
    steps, read = self.restored(2, restore="1:1", directory=None)
    self.assertEqual(steps, [1])
    self.assertGreater(read["peers"], 0)

  def test_whatever_an_agent_answers_ends_with_an_error_that_says_what_is_missing(self):
    self.saved(1, [1], ranks=2, directory=None)
    self.move("*1-g1/w00001.*")
    part = json.dumps({"parts": [1]})
    for version, fetch in (("", ""), ("{", ""), ('{"parts": 1}', ""), ('{"parts": [-1]}', ""),
                           ('{"error": "no peers"}', ""), (part, '{"error": "gone"}'),
                           (part, '{"done": 7}'), (part, '{"done": true}')):
      with self.subTest(version=version, fetch=fetch):
        known = self.answered if version == part else lambda question: version
        self.answer = lambda question: known(question) if "version" in question else fetch
        with self.open(2, rank=0, ranks=2, restore="1:1", directory=None) as checkpointer:
          with self.assertRaisesRegex(checkpoint.Damaged, "step 1 of generation 1 cannot"):
            checkpointer.restore(state_of(0))


class KilledJobs(Tiers):

  def attempt(self, generation, ranks, steps):
    """One generation, in step; killed at a random moment. What it restored; what all have saved."""
    env = dict(os.environ, WORLD_SIZE=str(ranks), LOCAL_WORLD_SIZE=str(ranks),
               PELTON_GENERATION=str(generation))
    jobs = [subprocess.Popen([sys.executable, "-B", __file__, "worker", self.directory],
                             env=dict(env, RANK=str(rank)), stdout=subprocess.PIPE,
                             stdin=subprocess.PIPE, text=True) for rank in range(ranks)]
    restored = [job.stdout.readline().split(maxsplit=2) for job in jobs]
    self.assertTrue(all(line[:1] == ["restored"] for line in restored), restored)
    self.assertEqual(len({line[1] for line in restored}), 1, f"ranks restored different steps: {restored}")
    newest = int(restored[0][1])
    for _ in range(steps):
      for job in jobs:
        job.stdin.write("go\n")
        job.stdin.flush()
      newest = [int(job.stdout.readline().split()[1]) for job in jobs][0]
    # And one more, during which they die.
    for job in jobs:
      job.stdin.write("go\n")
      job.stdin.flush()
    for job in random.sample(jobs, ranks):
      try:
        job.wait(random.random() * 0.02)
      except subprocess.TimeoutExpired:
        pass
      job.send_signal(signal.SIGKILL)
    for job in jobs:
      job.communicate()
    return int(restored[0][1]), newest, json.loads(restored[0][2])

  def test_ranks_go_on_from_the_last_step_that_all_have_saved(self):
    random.seed(7)
    newest, from_memory = 0, 0
    for generation, ranks in enumerate([4, 4, 3, 2, 4, 1], start=1):
      restored, saved, read = self.attempt(generation, ranks, random.randrange(1, 7))
      self.assertGreaterEqual(restored, newest, "a step that all had saved was lost")
      self.assertLessEqual(restored, newest + 1)
      newest = saved
      from_memory += read.get("memory", 0) > 0
    self.assertEqual(from_memory, 5)
    self.assertLessEqual(len(self.memory_files("*/*.data")), 2 * 4)


SCRIPT = """
import os, sys
import numpy as np
from pelton import checkpoint
assert ".zip" in checkpoint.__file__, checkpoint.__file__
c = checkpoint.Checkpointer(memory_every=1)
found = c.restore({"w": np.zeros(5)})
step = found[1] if found else 0
for step in range(step + 1, step + 4):
  c.save(step, {"w": np.arange(5.0)}, extra=step)
if not found:
  os.kill(os.getpid(), 9)
print("went on from", found[1], flush=True)
"""


@unittest.skipUnless(os.environ.get("PELTON"), "PELTON names no executable")
class InTheExecutable(Tiers):

  def test_a_script_under_pelton_run_needs_nothing_installed(self):
    script = pathlib.Path(self.directory, "script.py")
    script.write_text(SCRIPT)
    env = {name: value for name, value in os.environ.items()
           if name not in ("PELTON_CHECKPOINT_LIBRARY", "PYTHONPATH")}
    done = subprocess.run([PELTON, "run", "--standalone", "--max-restarts=2", sys.executable, script],
                          env=env, capture_output=True, text=True, timeout=120)
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("went on from 3", done.stdout)


if __name__ == "__main__":
  if sys.argv[1:2] == ["worker"]:
    worker(sys.argv[2])
  else:
    unittest.main()
