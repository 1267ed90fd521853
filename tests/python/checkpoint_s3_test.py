# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in a real S3 server, through a proxy that does harm, by processes that are killed.

Run in an environment with numpy and JAX; PELTON_CHECKPOINT_LIBRARY names the library.
"""

import itertools
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import checkpoint_test  # noqa: E402  (found by the line above)
import s3_server  # noqa: E402
from checkpoint_test import checkpoint, same, state_of  # noqa: E402

SILENCE = 4  # seconds after which a call that stands still is tried again
PATIENCE = 4 * SILENCE
names = (f"job{number}" for number in itertools.count())
server = None


def setUpModule():
  global server
  if not s3_server.WEED.exists():
    print("SKIPPED: there is no S3 server: run ./dev setup")
    sys.exit(77)
  server = s3_server.Server(os.environ.get("TMPDIR"))
  unittest.addModuleCleanup(server.stop)


class Case(unittest.TestCase):

  def setUp(self):
    self.use(**server.environment(), PELTON_STORE_PATIENCE=str(PATIENCE))
    self.name = next(names)
    self.url = f"s3://{s3_server.BUCKET}/{self.name}"

  def use(self, **environment):
    os.environ.update(environment)

  def through_proxy(self):
    proxy = s3_server.Proxy(server.port)
    self.addCleanup(proxy.stop)
    self.use(AWS_ENDPOINT_URL=proxy.endpoint)
    return proxy

  def open(self, generation=1, **options):
    options = dict(job="job", run="run", generation=generation) | options
    return checkpoint.Checkpointer(self.url, **options)

  def save(self, checkpointer, step):
    checkpointer.save(step, state_of(step), extra={"position": step})
    checkpointer.wait()

  def restored(self, generation):
    with self.open(generation) as checkpointer:
      state, extra = checkpointer.restore(state_of(0))
      self.assertTrue(same(state, state_of(extra["position"])))
      return extra["position"], checkpointer.restored["passedOver"]


class KilledJobs(Case):

  def attempt(self, generation, ranks, commits):
    """Runs a job until it has committed so many steps, and a random moment longer. Returns the step
    that it restored and the newest that it saw committed."""
    env = dict(os.environ, WORLD_SIZE=str(ranks), PELTON_JOB_UID="job", JAX_PLATFORMS="cpu",
               PELTON_GENERATION=str(generation))
    jobs = [subprocess.Popen(
        [sys.executable, "-B", checkpoint_test.__file__, "worker", self.url], text=True,
        env=dict(env, RANK=str(rank)), stdout=subprocess.PIPE) for rank in range(ranks)]
    try:
      restored = [job.stdout.readline() for job in jobs]
      self.assertEqual(len(set(restored)), 1, f"ranks restored different steps: {restored}")
      self.assertTrue(restored[0].startswith("restored "), restored)
      seen = {int(restored[0].split()[1])}
      while len(seen) <= commits:
        seen.add(int(jobs[0].stdout.readline().split()[1].replace("None", "0")))
      for job in random.sample(jobs, len(jobs)):
        time.sleep(random.random() * 0.3)
        self.assertIsNone(job.poll(), "a rank ended")
        job.kill()
    finally:
      for job in jobs:
        job.kill()
    for line in jobs[0].communicate()[0].splitlines():
      if line.startswith("newest ") and line[7:].isdigit():
        seen.add(int(line[7:]))
    for job in jobs[1:]:
      job.communicate()
    return int(restored[0].split()[1]), max(seen)

  def test_nothing_wrong_is_loaded_and_nothing_is_left_behind(self):
    random.seed(6)
    newest = 0
    for generation, (ranks, commits) in enumerate([(2, 2), (3, 0), (1, 1), (2, 0)], start=1):
      restored, seen = self.attempt(generation, ranks, commits)
      self.assertGreaterEqual(restored, newest, "a committed step was lost")
      newest = max(restored, seen)
    self.assertGreater(newest, 2)
    # What a killed process was uploading, as long as nobody cleans.
    upload = f"{self.name}/step-{newest:012d}-e1/w00007.data"
    self.assertEqual(server.request("POST", upload, b"", "?uploads=")[0], 200)
    self.assertIn(upload, server.uploads(self.name))
    with checkpoint.Checkpointer(self.url, job="job", run="job", generation=9) as checkpointer:
      state, _ = checkpointer.restore(state_of(0))
      for step in range(newest + 1, newest + 4):
        checkpointer.save(step, state_of(step))
        checkpointer.wait()
      end = time.monotonic() + 20
      while server.uploads(self.name) and time.monotonic() < end:
        time.sleep(0.1)
    self.assertEqual(server.uploads(self.name), [])
    steps = {key.split("/")[1] for key in server.keys(self.name) if "/step-" in key}
    self.assertLessEqual(len(steps), 4, "old steps are removed")


class OneProcess(Case):

  def test_a_later_attempt_fences_an_earlier_one(self):
    earlier = self.open(1)
    self.addCleanup(earlier.close)
    self.save(earlier, 10)
    with self.open(2) as later:
      with self.assertRaisesRegex(checkpoint.Refused, "generation 2"):
        self.save(earlier, 20)
      self.assertEqual(later.newest(), 10)

  def test_a_flipped_bit_is_never_loaded_and_the_one_before_is_taken(self):
    for generation, suffix in [(1, "w00000.data"), (3, "w00000.manifest")]:
      with self.subTest(suffix), self.open(generation) as checkpointer:
        for step in (10 * generation, 10 * generation + 5):
          self.save(checkpointer, step)
      key = [each for each in server.keys(f"{self.name}/step-") if each.endswith(suffix)][-1]
      self.assertIn(f"{10 * generation + 5:012d}", key)
      data = bytearray(server.request("GET", key)[1])
      data[random.randrange(100_000) % len(data)] ^= 4
      self.assertEqual(server.request("PUT", key, bytes(data))[0], 200)
      step, passed_over = self.restored(generation + 1)
      self.assertEqual(step, 10 * generation)
      self.assertIn(self.url, passed_over[0])

  def test_what_the_memory_tier_has_lost_or_damaged_comes_from_the_store(self):
    with tempfile.TemporaryDirectory() as memory:
      self.use(PELTON_MEMORY_DIR=memory)
      self.addCleanup(os.environ.pop, "PELTON_MEMORY_DIR")
      with self.open(1) as checkpointer:
        self.save(checkpointer, 10)
      self.assertEqual(self.restored(2), (10, []))
      data, = pathlib.Path(memory).glob("checkpoint/step-*10-*/*.data")
      data.write_bytes(bytes(1) + data.read_bytes()[1:])
      self.assertEqual(self.restored(3), (10, []))
      shutil.rmtree(pathlib.Path(memory, "checkpoint"))
      self.assertEqual(self.restored(4), (10, []))

  def test_what_is_wrong_with_bucket_or_credentials_is_named(self):
    reader = {"AWS_ACCESS_KEY_ID": server.READER_KEY, "AWS_SECRET_ACCESS_KEY": server.READER_SECRET}
    for environment, url, error, text in [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, self.url, checkpoint.Failed, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, self.url, checkpoint.Failed, "AWS_ACCESS_KEY_ID names no"),
        (reader, self.url, checkpoint.Failed, r"PUT: 403 AccessDenied.*allow this to the owner"),
        ({"AWS_ACCESS_KEY_ID": ""}, self.url, ValueError, "AWS_ACCESS_KEY_ID: is not set"),
        ({"AWS_ENDPOINT_URL": "", "AWS_REGION": ""}, self.url, ValueError, "AWS_REGION: is not set"),
        ({}, "s3://", ValueError, "no name of a bucket"),
        ({"PELTON_STORE_PATIENCE": "1", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, self.url,
         checkpoint.Failed, "got no answer.*AWS_ENDPOINT_URL is right")]:
      with self.subTest(text):
        self.use(**server.environment(), AWS_REGION="us-east-1")
        self.use(**environment)
        with self.assertRaisesRegex(error, text):
          checkpoint.Checkpointer(url, job="job")


class Faults(Case):

  def test_answers_that_fail_hang_or_are_lost_change_nothing(self):
    proxy = self.through_proxy()
    rng = random.Random(7)
    hangs = iter(["hang"])

    def fault(method, path, headers):
      if rng.random() < 0.02:
        return next(hangs, None)
      if rng.random() < 0.3:
        return rng.choice([500, 503, "cut", "lost", "half"])

    proxy.fault = fault
    for generation in (1, 2):
      with self.open(generation) as checkpointer:
        found = checkpointer.restore(state_of(0))
        if generation == 2:
          self.assertTrue(same(found[0], state_of(2)))
        for step in range(2 * generation - 1, 2 * generation + 1):
          self.save(checkpointer, step)
        self.assertEqual(checkpointer.newest(), step)
    faults = {fault for _, _, fault in proxy.seen}
    self.assertLessEqual({500, 503, "cut", "lost", "half"}, faults)

  def test_a_commit_whose_answer_is_lost_is_ours(self):
    proxy = self.through_proxy()
    lost = []

    def fault(method, path, headers):
      if method == "PUT" and path.endswith(".record") and path not in lost:
        lost.append(path)
        return "lost"

    with self.open() as checkpointer:
      proxy.fault = fault
      self.save(checkpointer, 1)
      self.assertEqual(checkpointer.newest(), 1)
    self.assertTrue(lost)
    proxy.fault = lambda *_: None
    records = [server.request("GET", key)[1] for key in server.keys(f"{self.name}/log/")]
    self.assertEqual(sum(b'"commit"' in text and b'"step":1,' in text for text in records), 1,
                     records)

  def test_training_goes_on_while_the_store_says_nothing(self):
    proxy = self.through_proxy()
    with self.open() as checkpointer:
      checkpointer.prepare(state_of(0))
      proxy.fault = lambda *_: "hang"
      states = [state_of(1), state_of(2)]
      begin = time.monotonic()
      for step, state in enumerate(states, start=1):
        checkpointer.save(step, state)
      self.assertLess(time.monotonic() - begin, SILENCE * 0.9)
      proxy.fault = lambda *_: None
      checkpointer.wait()
      self.assertEqual(checkpointer.newest(), 2)

  def test_a_store_that_is_down_is_an_error_that_says_which_and_no_more(self):
    self.use(PELTON_STORE_PATIENCE="8")
    proxy = self.through_proxy()
    with self.open() as checkpointer:
      proxy.fault = lambda method, *_: 500 if method in ("PUT", "POST") else None
      begin = time.monotonic()
      with self.assertRaisesRegex(checkpoint.Failed,
                                  rf"{self.url}/step-.*: 500 InternalError.*tries in"):
        self.save(checkpointer, 1)
      self.assertLess(time.monotonic() - begin, 15)
      proxy.fault = lambda *_: None
      self.save(checkpointer, 2)
      self.assertEqual(checkpointer.newest(), 2)

  def test_a_bucket_that_is_not_there_is_named(self):
    self.through_proxy().fault = lambda *_: "NoSuchBucket"
    with self.assertRaisesRegex(checkpoint.Refused, "NoSuchBucket.*make the bucket"):
      self.open()

  def test_a_store_without_conditional_put_is_refused(self):
    proxy = self.through_proxy()
    proxy.fault = lambda method, path, headers: 200 if headers["If-None-Match"] else None
    with self.assertRaisesRegex(checkpoint.Refused, "does not honour a PUT with If-None-Match"):
      self.open()
    self.assertEqual(server.keys(self.name), [])


if __name__ == "__main__":
  unittest.main()
