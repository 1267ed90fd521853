# SPDX-License-Identifier: Apache-2.0
"""Tests of `pelton run` under faults: any of its processes is killed, an agent hands out generations.

PELTON names the executable. The parked parent is tests' own, small and without a framework.
"""

import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

PELTON = os.environ.get("PELTON", "build/dev/pelton")
GIVE_UP_SECONDS = 60
# A worker: says who it is, ends as a file with its rank's name tells it to.
WORKER = '''
import mmap, os, struct, sys, time
with open(os.environ["PELTON_HEARTBEAT"], "r+b") as file:
    page = mmap.mmap(file.fileno(), 0)
d, g, r = os.environ["TEST_DIR"], os.environ["PELTON_GENERATION"], os.environ["RANK"]
page[64:96] = struct.pack("<QqqII", 1, time.monotonic_ns(), int(g), 3, 0)  # step g begins
page[32:40] = struct.pack("<Q", 1)
parked = "park" if getattr(sys, "forked_from_park", False) else "plain"
with open(d + "/log", "a") as log:
    log.write(f"{g} {r} {os.getpid()} {os.environ['WORLD_SIZE']} {parked} "
              f"{os.environ['PELTON_RESTORE'] or '-'} "
              f"{os.environ['PELTON_FAILURES_OBSERVED'] or '-'}\\n")
while True:
    time.sleep(0.01)
    if os.path.exists(f"{d}/raise-{g}-{r}"):
        page = os.environ["PELTON_HEARTBEAT"] + ".exception"
        open(page, "w").write('{"type": "ValueError", "message": "bad lr", "where": "t.py:1"}')
        raise ValueError("bad lr")
    if os.path.exists(f"{d}/end-{g}"):
        sys.exit(0)
'''
# What python -m pelton.park does, as far as its protocol goes.
PARK = '''
import json, os, runpy, select, socket, sys
path = sys.argv[sys.argv.index("--socket") + 1]
s = socket.socket(socket.AF_UNIX); s.bind(path + ".new"); s.listen(); os.rename(path + ".new", path)
clients = {}
while True:
    for ready in select.select([s, *clients], [], [])[0]:
        if ready is s:
            c, _ = s.accept(); clients[c] = b""
            c.sendall(b'{"ready": {"modules": [], "seconds": 0, "pid": %d}}\\n' % os.getpid())
            continue
        data = ready.recv(65536)
        if not data:
            del clients[ready]; ready.close(); continue
        clients[ready] += data
        while b"\\n" in clients[ready]:
            line, _, clients[ready] = clients[ready].partition(b"\\n")
            request = json.loads(line)
            r, w = os.pipe()
            dies = os.path.exists(os.environ["TEST_DIR"] + "/park-dies")
            middle = os.fork()
            if middle == 0:
                pid = os.fork()
                if pid:
                    os.write(w, str(pid).encode()); os._exit(0)
                for c in clients: c.close()
                s.close(); os.setsid()
                if dies: os.kill(os.getpid(), 19)
                spawn = request["spawn"]
                os.environ.clear(); os.environ.update(spawn["env"])
                sys.argv = spawn["argv"]; sys.forked_from_park = True
                runpy.run_path(sys.argv[0], run_name="__main__"); sys.exit(0)
            os.waitpid(middle, 0)
            pid = int(os.read(r, 20)); os.close(r); os.close(w)
            if dies: os.kill(os.getpid(), 9)
            ready.sendall(json.dumps({"id": request["id"], "pid": pid}).encode() + b"\\n")
'''


def wait_for(condition, what):
  end = time.monotonic() + GIVE_UP_SECONDS
  while time.monotonic() < end:
    found = condition()
    if found:
      return found
    time.sleep(0.005)
  raise AssertionError(f"{what}: not within {GIVE_UP_SECONDS} s")


def is_alive(pid):
  try:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
      return file.read().rpartition(") ")[2][0] not in "ZX"
  except OSError:
    return False


class Agent:
  """A node's agent: hands out generations, remembers reports."""

  def __init__(self, path):
    self.path, self.reports, self.newest, self.clients = path, [], None, []
    self.open()

  def open(self):
    self.listener = socket.socket(socket.AF_UNIX)
    self.listener.bind(self.path)
    self.listener.listen()
    threading.Thread(target=self._serve, args=(self.listener,), daemon=True).start()

  def close(self):
    self.listener.shutdown(socket.SHUT_RDWR)
    self.listener.close()
    os.unlink(self.path)
    for client in self.clients:
      client.shutdown(socket.SHUT_RDWR)
    self.clients = []

  def _serve(self, listener):
    while True:
      try:
        client, _ = listener.accept()
      except OSError:
        return
      self.clients.append(client)
      if self.newest:
        client.sendall(self.newest)
      threading.Thread(target=self._read, args=(client,), daemon=True).start()

  def _read(self, client):
    with client.makefile("r") as lines:
      try:
        for line in lines:
          self.reports.append(json.loads(line)["report"])
      except OSError:
        pass

  def tell(self, number, *members, phase="Running", **more):
    self.newest = json.dumps({"generation": {
        "number": number, "jobUID": "job", "phase": phase, **more,
        "members": [{"podUID": uid, "ranks": ranks, "address": "127.0.0.1"}
                    for uid, ranks in members]}}).encode() + b"\n"
    for client in list(self.clients):
      try:
        client.sendall(self.newest)
      except OSError:
        self.clients.remove(client)  # of a supervisor that was killed

  def wait(self, stage, generation):
    def newest():
      last = self.reports[-1] if self.reports else {}
      return last if (last.get("stage"), last.get("generation")) == (stage, generation) else None
    return wait_for(newest, f"report {stage} of {generation}, {self.reports[-1:]}")


class PeltonRun(unittest.TestCase):
  """Starts `pelton run` on a script, and sees what its init and its workers say."""

  def setUp(self):
    temporary = tempfile.TemporaryDirectory()
    self.addCleanup(temporary.cleanup)
    self.directory = pathlib.Path(temporary.name)
    (self.directory / "worker.py").write_text(WORKER)
    (self.directory / "python/pelton").mkdir(parents=True)
    (self.directory / "python/pelton/__init__.py").write_text("")
    (self.directory / "python/pelton/park.py").write_text(PARK)
    self.process = None
    self.addCleanup(self.end)

  def start(self, *flags, script="worker.py", **variables):
    env = {**os.environ, "TEST_DIR": str(self.directory), "PYTHONUNBUFFERED": "1",
           "PELTON_PYTHON_PATH": str(self.directory / "python"), **variables}
    self.errors = open(self.directory / "errors", "w+", encoding="utf-8")
    self.addCleanup(self.errors.close)
    self.process = subprocess.Popen([PELTON, "run", *flags, "--", sys.executable,
                                     str(self.directory / script)], env=env,
                                    stderr=self.errors)

  def end(self):
    if self.process and self.process.poll() is None:
      self.process.kill()
      self.process.wait()

  def workers(self, generation):
    """Returns the pids of a generation's workers that have begun, by rank."""
    try:
      lines = (self.directory / "log").read_text().splitlines()
    except FileNotFoundError:
      return {}
    self.lines = [line.split() for line in lines]
    return {int(line[1]): int(line[2]) for line in self.lines if line[0] == str(generation)}

  def wait_workers(self, generation, ranks):
    wait_for(lambda: sorted(self.workers(generation)) == list(ranks), f"workers of {generation}")
    return self.workers(generation)

  def init_list(self):
    def children():
      path = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
      for pid in pathlib.Path(path).read_text().split():
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"run-supervisor" in words:
          return words[words.index(b"run-supervisor") + 1].decode()
      return None
    if not getattr(self, "socket_path", None):
      self.socket_path = wait_for(children, "the supervisor")
    with socket.socket(socket.AF_UNIX) as init:
      init.connect(self.socket_path)
      init.sendall(b'{"op": "list"}\n')
      with init.makefile("r") as lines:
        return json.loads(lines.readline())["list"]

  def check_each_started_once(self):
    seen = [tuple(line[:2]) for line in self.lines]
    self.assertEqual(len(seen), len(set(seen)), self.lines)

  def finish(self, generation, code=0):
    (self.directory / f"end-{generation}").touch()
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), code)
    self.check_each_started_once()
    self.assertFalse(os.path.exists(getattr(self, "socket_path", "/nowhere")))

  def start_with_agent(self, *flags, **more):
    self.agent = Agent(str(self.directory / "agent.sock"))
    self.start("--nproc-per-node=2", *flags, PELTON_AGENT_SOCKET=self.agent.path,
               PELTON_POD_UID="me", **more)


class Supervision(PeltonRun):
  # ---- alone ----

  def supervisor_after(self, killed):
    """The supervisor, unless it is `killed`: a kill is not the end yet, nor has init heard of it."""
    supervisor = self.init_list()["supervisor"]
    return supervisor if supervisor and supervisor != killed else None

  def test_killed_workers_are_restarted_and_killed_supervisors_lose_nothing(self):
    self.start("--nproc-per-node=3", "--max-restarts=4", "--no-park")
    first = self.wait_workers(1, range(3))
    os.kill(self.init_list()["supervisor"], signal.SIGKILL)
    os.kill(first[1], signal.SIGKILL)
    second = self.wait_workers(2, range(3))
    self.assertFalse(any(is_alive(pid) for pid in first.values()))
    old = self.init_list()["supervisor"]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: self.init_list()["supervisor"] != old, "another supervisor")
    self.assertTrue(all(is_alive(pid) for pid in second.values()))
    for rank in (0, 2):
      os.kill(second[rank], signal.SIGKILL)
    self.wait_workers(3, range(3))
    self.assertEqual([c["key"] for c in self.init_list()["children"]], ["3/0", "3/1", "3/2"])
    self.finish(3)

  def test_a_supervisor_killed_at_a_random_moment_of_a_restart_starts_nothing_twice(self):
    rng = random.Random(5)
    self.start("--nproc-per-node=2", "--max-restarts=99", "--no-park")
    supervisor = None
    for generation in range(1, 21):
      pids = self.wait_workers(generation, range(2))
      supervisor = wait_for(lambda killed=supervisor: self.supervisor_after(killed), "a supervisor")
      os.kill(pids[rng.randrange(2)], signal.SIGKILL)
      time.sleep(rng.random() * 0.02)  # the moment is the point
      os.kill(supervisor, signal.SIGKILL)
    self.wait_workers(21, range(2))
    self.assertEqual(len(self.init_list()["children"]), 2)
    self.finish(21)

  def test_when_init_is_killed_everything_goes(self):
    self.start("--nproc-per-node=2", "--max-restarts=1")
    pids = self.wait_workers(1, range(2))
    supervisor = self.init_list()["supervisor"]
    self.process.kill()
    self.process.wait()
    for pid in (*pids.values(), supervisor):
      wait_for(lambda pid=pid: not is_alive(pid), f"the end of {pid}")
    wait_for(lambda: not os.path.exists(self.socket_path), "its directory's end")

  def test_a_stop_signal_reaches_the_workers_of_a_supervisor_that_was_dead(self):
    self.start("--nproc-per-node=2", "--max-restarts=3")
    pids = self.wait_workers(1, range(2))
    os.kill(self.init_list()["supervisor"], signal.SIGKILL)
    self.process.send_signal(signal.SIGTERM)
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 143)
    self.assertFalse(any(is_alive(pid) for pid in pids.values()))

  def test_a_group_alone_is_restarted_as_often_as_its_flag_says(self):
    begun = self.directory / "begun"
    result = subprocess.run([PELTON, "run", "--max-restarts=65", "--", "sh", "-c",
                             f"echo >> {begun}; kill -9 $$"], stderr=subprocess.PIPE, check=False,
                            timeout=GIVE_UP_SECONDS)
    self.assertNotEqual(result.returncode, 0)
    self.assertEqual(len(begun.read_bytes()), 66, result.stderr)

  def test_what_fails_again_and_again_at_one_step_is_given_up_with_a_diagnosis(self):
    (self.directory / "fails.py").write_text('''
import os, pelton
open(os.environ["TEST_DIR"] + "/begun", "a").write("x")
for k in range(9):
  pelton.step(k)
  if k == 7: raise ValueError("bad batch")
''')
    self.start("--max-restarts=50", "--no-park", script="fails.py", PELTON_PYTHON_PATH="")
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 1)
    self.assertEqual((self.directory / "begun").read_text(), "xxxx")
    self.errors.seek(0)
    self.assertRegex(self.errors.read(), r"launch.stopped.*rank 0 .*ValueError at step 7: bad batch "
                     r".*\(4 times in a row\)")

  def test_who_has_raised_and_does_not_end_is_killed(self):
    (self.directory / "lingers.py").write_text('''
import atexit, os, sys, time
import pelton
with open(os.environ["TEST_DIR"] + "/log", "a") as log:
  log.write(f"{os.environ['PELTON_GENERATION']} {os.environ['RANK']} {os.getpid()} 2 plain\\n")
pelton.step(0)
if os.environ["PELTON_GENERATION"] == "1" and os.environ["RANK"] == "1":
  atexit.register(time.sleep, 300)  # as JAX waits for its peers
  sys.exit(3)
while not os.path.exists(os.environ["TEST_DIR"] + "/end-2"): time.sleep(0.01)
''')
    begun = time.monotonic()
    self.start("--nproc-per-node=2", "--max-restarts=1", "--no-park", script="lingers.py",
               PELTON_PYTHON_PATH="")
    self.wait_workers(2, range(2))
    self.assertGreater(time.monotonic() - begun, 5)
    self.errors.seek(0)
    self.assertRegex(self.errors.read(), r"launch.raised cause=SystemExit .*sys.exit\(3\).* rank=1")
    self.finish(2)

  def test_where_the_health_check_fails_nothing_is_started(self):
    began = self.directory / "checks"
    check = f"echo >> {began}; echo first; echo no accelerator; exit 3"
    self.start("--nproc-per-node=2", "--max-restarts=3", "--no-park", "--health-check", check)
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 126)
    self.assertEqual(self.workers(1), {})
    self.assertEqual(began.read_text(), "\n")
    self.errors.seek(0)
    self.assertIn("exit code 3: no accelerator", self.errors.read())

  def test_a_health_check_is_bounded_and_run_again_after_a_failure(self):
    check = f"cd {self.directory}; test ! -e bad || sleep 100"
    self.start("--nproc-per-node=2", "--max-restarts=3", "--no-park", "--health-check", check,
               "--health-check-timeout=1")
    pids = self.wait_workers(1, range(2))
    os.kill(pids[0], signal.SIGKILL)
    pids = self.wait_workers(2, range(2))
    (self.directory / "bad").touch()
    os.kill(pids[0], signal.SIGKILL)
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 126)
    self.errors.seek(0)
    self.assertIn("longer than --health-check-timeout, 1 s", self.errors.read())

  # ---- the parked parent ----

  def wait_parked(self):
    wait_for(lambda: self.agent.reports and self.agent.reports[-1]["parked"], "the park")

  def start_parked(self):
    # It begins when all workers step.
    self.start_with_agent()
    self.agent.tell(1, ("me", 2))
    self.wait_workers(1, range(2))
    self.wait_parked()

  def kill_one(self, generation, how):
    os.kill(self.workers(generation)[1], signal.SIGKILL)
    self.agent.wait("Stopped", generation)
    self.agent.tell(generation + 1, ("me", 2))
    self.wait_workers(generation + 1, range(2))
    self.assertEqual({line[4] for line in self.lines if line[0] == str(generation + 1)}, {how})

  def test_restarts_fork_from_the_park_and_do_without_it(self):
    self.start_parked()
    self.kill_one(1, "park")
    supervisor = self.init_list()["supervisor"]
    self.agent.reports.clear()
    os.kill(supervisor, signal.SIGKILL)
    self.wait_parked()  # its successor finds it
    self.kill_one(2, "park")
    park = next(c["pid"] for c in self.init_list()["children"] if c["key"] == "park/1")
    (self.directory / "park-dies").touch()  # in the middle of a fork, with a child that stands still
    self.kill_one(3, "plain")
    self.assertFalse(is_alive(park))
    self.assertEqual(self.init_list()["orphans"], [])
    (self.directory / "end-4").touch()
    self.agent.wait("Succeeded", 4)
    self.agent.tell(4, ("me", 2), phase="Finished")
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 0)
    self.check_each_started_once()
    self.errors.seek(0)
    self.assertIn("workers are started anew", self.errors.read())

  # ---- what the node's memory holds ----

  def hold(self, step, generation, writer, writers):
    """A part in the memory of the node, as far as its supervisor reads it."""
    directory = self.directory / f"memory/checkpoint/step-{step:012d}-g{generation}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"w{writer:05d}.manifest").write_text(json.dumps(
        {"format": "pelton-checkpoint", "version": 1, "job": "job", "step": step, "epoch": 1,
         "writer": writer, "writers": writers, "plan": "x"}, separators=(",", ":"), sort_keys=True) + "\n")

  def restores(self, generation):
    return {line[5] for line in self.lines if line[0] == str(generation)}

  def failures(self, generation):
    """What its workers are told of them, without the time over which they were counted."""
    return {line[6].partition(":")[2] for line in self.lines if line[0] == str(generation)}

  def test_workers_restore_the_newest_step_that_memory_holds_whole(self):
    self.start("--nproc-per-node=2", "--max-restarts=9", "--no-park", PELTON_JOB_UID="job",
               PELTON_MEMORY_DIR=str(self.directory / "memory"))
    pids = self.wait_workers(1, range(2))
    self.assertEqual(self.restores(1), {"-"})
    for writer in (0, 1):
      self.hold(10, 1, writer, 2)
    self.hold(20, 1, 1, 2)  # rank 0 had not come so far
    os.kill(pids[0], signal.SIGKILL)
    pids = self.wait_workers(2, range(2))
    self.assertEqual(self.restores(2), {"1:10"})
    self.assertEqual((self.failures(1), self.failures(2)), ({""}, {"1:0"}))
    self.hold(20, 1, 0, 2)
    os.kill(pids[1], signal.SIGKILL)
    self.wait_workers(3, range(2))
    self.assertEqual(self.restores(3), {"1:20"})
    self.assertEqual(self.failures(3), {"2:0"})
    self.finish(3)

  def test_no_worker_starts_before_the_step_to_restore_is_decided(self):
    self.start_with_agent("--no-park", PELTON_MEMORY_DIR=str(self.directory / "memory"))
    self.agent.tell(1, ("me", 2))
    self.wait_workers(1, (0, 1))
    for writer in (0, 1):
      self.hold(10, 1, writer, 2)
    wait_for(lambda: self.agent.reports[-1].get("held"), "that it holds something")
    self.agent.tell(2, ("me", 2), restoreOpen=True)
    report = wait_for(lambda: next((r for r in self.agent.reports if r["generation"] == 2
                                    and r["quietBefore"] == 2), None), "what it holds")
    self.assertEqual(report["held"], [{"generation": 1, "step": 10, "writers": 2, "parts": [0, 1]}])
    os.kill(self.init_list()["supervisor"], signal.SIGKILL)  # its successor waits too
    self.agent.wait("Running", 2)
    self.assertEqual(self.workers(2), {})
    self.agent.tell(2, ("me", 2), restore={"generation": 1, "step": 10},
                    observedFailures={"nodeSeconds": 86400, "memory": 3, "durable": 1})
    self.wait_workers(2, (0, 1))
    self.assertEqual(self.restores(2), {"1:10"})
    self.assertEqual(self.failures(2), {"3:1"})
    self.agent.tell(2, ("me", 2), phase="Finished")
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 0)
    self.check_each_started_once()

  # ---- with an agent ----

  def test_generations_of_an_agent_are_followed(self):
    self.start_with_agent("--no-park")
    self.agent.wait("Joined", 0)  # a spare
    self.agent.tell(1, ("a", 2), ("b", 2))
    self.agent.wait("Joined", 1)
    self.agent.tell(2, ("a", 2), ("me", 2))  # swapped in
    pids = self.wait_workers(2, (2, 3))
    self.assertEqual({line[3] for line in self.lines}, {"4"})
    os.kill(pids[3], signal.SIGKILL)
    report = self.agent.wait("Stopped", 2)
    self.assertEqual([(w["rank"], w["state"]) for w in report["workers"]],
                     [(2, "Running"), (3, "Exited")])
    self.assertEqual([(w["phase"], w["step"]) for w in report["workers"]], [("step", 2)] * 2)
    self.assertEqual(report["workers"][1]["cause"], "SIGKILL")
    self.agent.tell(3, ("me", 2))  # a shrink
    self.wait_workers(3, (0, 1))
    (self.directory / "raise-3-1").touch()
    report = self.agent.wait("Stopped", 3)
    self.assertEqual((report["workers"][1]["state"], report["workers"][1]["cause"]),
                     ("Raised", "ValueError"))
    self.agent.tell(4, ("me", 2))
    last = self.wait_workers(4, (0, 1))
    self.agent.tell(5, ("me", 2), phase="Waiting")
    self.agent.wait("Stopped", 5)
    self.assertFalse(any(is_alive(pid) for pid in last.values()))
    self.agent.tell(6, ("me", 2), phase="Finished")
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 0)
    self.check_each_started_once()

  def test_an_agent_may_be_away(self):
    self.start_with_agent("--no-park")
    self.agent.tell(1, ("me", 2))
    pids = self.wait_workers(1, (0, 1))
    self.agent.close()
    os.kill(self.init_list()["supervisor"], signal.SIGKILL)
    os.kill(pids[0], signal.SIGKILL)
    wait_for(lambda: not is_alive(pids[1]), "the fence")
    self.agent.open()
    self.agent.wait("Stopped", 1)
    self.agent.tell(2, ("me", 2))
    self.wait_workers(2, (0, 1))
    (self.directory / "end-2").touch()
    self.agent.wait("Succeeded", 2)
    self.assertIsNone(self.process.poll())
    self.agent.tell(2, ("me", 2), phase="Finished")
    self.assertEqual(self.process.wait(GIVE_UP_SECONDS), 0)
    self.check_each_started_once()


if __name__ == "__main__":
  if not os.access(PELTON, os.X_OK):
    print(f"SKIPPED: {PELTON} is not built")
    sys.exit(77)
  unittest.main()
