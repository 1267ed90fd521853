# SPDX-License-Identifier: Apache-2.0
"""The heartbeat page as the supervisor reads it: its bytes are spelled out here once more."""

import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest

from parked import PACKAGE, Parked

CAPACITY = 256
NAMES = {0: "none", 1: "start", 2: "compile", 3: "step", 4: "eval", 5: "save", 6: "restore",
         7: "collective", 8: "data", 9: "done", 10: "exit"}


def make_page(path, capacity=CAPACITY, pid=0, written=0, magic=b"PLTNBEAT", version=1):
  header = magic + struct.pack("<IIqiiQ", version, capacity, 5, 2, pid, written)
  pathlib.Path(path).write_bytes(header.ljust(64, b"\0") + bytes(32 * CAPACITY + 16))


class Page:
  """Reads a page as its layout says."""

  def __init__(self, path):
    self.data = pathlib.Path(path).read_bytes()
    self.pid, self.written = struct.unpack_from("<iQ", self.data, 28)

  def record(self, index):
    """Returns (phase, step, time) of a record, counted from 0; checks that it is that record."""
    number, at, step, phase, rest = struct.unpack_from("<QqqII", self.data,
                                                       64 + index % CAPACITY * 32)
    assert (number, rest) == (index + 1, 0), (number, index, rest)
    return NAMES[phase], step, at

  def phases(self):
    return [self.record(i)[:2] for i in range(self.written)]


class Heartbeats(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(directory.name)
    self.page = self.here / "page"
    make_page(self.page)
    self.env = {**os.environ, "PYTHONPATH": PACKAGE, "PELTON_HEARTBEAT": str(self.page),
                "PYTHONDONTWRITEBYTECODE": "1"}

  def run_script(self, text, **env):
    script = self.here / "script.py"
    script.write_text(textwrap.dedent(text))
    return subprocess.run([sys.executable, script], env={**self.env, **env}, capture_output=True,
                          text=True, check=False, timeout=60)

  def exception(self):
    text = pathlib.Path(f"{self.page}.exception").read_text()
    self.assertEqual(text.count("\n"), 1)
    return json.loads(text)

  def test_that_each_call_is_one_record_and_a_phase_returns_to_the_former_one(self):
    before = time.monotonic_ns()
    done = self.run_script("""
        import os, pelton
        print(os.getpid())
        pelton.beat("start")
        pelton.step(7)
        with pelton.phase("save"):
          with pelton.phase("collective", step=9):
            pass
        pelton.beat("done")
        """)
    self.assertEqual((done.returncode, done.stderr), (0, ""))
    page = Page(self.page)
    self.assertEqual(page.phases(), [("start", -1), ("step", 7), ("save", 7), ("collective", 9),
                                     ("save", 7), ("step", 7), ("done", -1)])
    self.assertEqual(page.pid, int(done.stdout))
    self.assertEqual(page.data[:28], b"PLTNBEAT" + struct.pack("<IIqi", 1, CAPACITY, 5, 2))
    times = [page.record(i)[2] for i in range(page.written)]
    self.assertEqual(times, sorted(times))
    self.assertTrue(before < times[0] and times[-1] < time.monotonic_ns())

  def test_that_the_ring_wraps_and_goes_on_after_what_was_written(self):
    make_page(self.page, written=CAPACITY * 3 - 2)
    self.run_script("import pelton\nfor k in range(5): pelton.step(k)")
    page = Page(self.page)
    self.assertEqual(page.written, CAPACITY * 3 + 3)
    self.assertEqual([page.record(CAPACITY * 3 - 2 + k)[1] for k in range(5)], list(range(5)))

  def ticks(self):
    """Returns (when another thread last had the interpreter's lock, whether garbage is collected)."""
    return struct.unpack_from("<qq", self.page.read_bytes(), 64 + 32 * CAPACITY)

  def test_that_ticks_stop_only_while_c_keeps_the_interpreters_lock(self):
    script = self.here / "script.py"
    script.write_text(textwrap.dedent("""
        import gc, os, re, sys, threading, time, pelton
        pelton.step(1)
        assert threading.active_count() == 1 and len(os.listdir("/proc/self/task")) == 2
        exec(sys.argv[1])
        """))
    for what, does_tick in {"time.sleep(60)": True, "while True: pass": True,
                            "threading.Event().wait()": True,
                            "re.match('(a+)+$', 'a' * 60 + 'b')": False}.items():
      with self.subTest(what):
        make_page(self.page)
        with subprocess.Popen([sys.executable, script, what], env=self.env) as worker:
          try:
            self.assertEqual(self.goes_on_ticking(), does_tick)
          finally:
            worker.kill()

  def goes_on_ticking(self):
    end = time.monotonic() + 60
    while not self.ticks()[0]:
      self.assertLess(time.monotonic(), end)
      time.sleep(0.01)
    time.sleep(1)  # by then it does what it is told
    first, end = self.ticks()[0], time.monotonic() + 2
    while self.ticks()[0] == first:
      if time.monotonic() > end:
        return False
      time.sleep(0.01)
    return True

  def test_that_ticks_end_with_the_script_and_are_none_of_its_childrens(self):
    done = self.run_script("""
        import gc, os, signal, sys, threading, time, pelton
        callbacks = list(gc.callbacks)
        pelton.step(1)
        while True:  # signals are left to the main thread, whatever it does with them
          tasks = [int(task) for task in os.listdir("/proc/self/task")]
          masks = [line.split()[1] for task in tasks if task != os.getpid()
                   for line in open(f"/proc/self/task/{task}/status") if line.startswith("SigBlk")]
          if masks:
            break
        assert all(int(mask, 16) & 1 << signal.SIGTERM - 1 for mask in masks), masks
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
        if os.fork() == 0:
          assert len(os.listdir("/proc/self/task")) == 1 and gc.callbacks == callbacks
          gc.collect()
          sys.exit(0)
        assert os.wait()[1] == 0
        class Late:
          def __del__(self, sleep=time.sleep, page=os.environ["PELTON_HEARTBEAT"], open=open):
            sleep(0.6)
            with open(page, "rb") as file:
              print(file.read()[-16:] == bytes(16))
        late = Late()
        sys.modules["kept until the very end"] = late
        """)
    self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "True\n", ""))
    self.assertEqual(self.ticks(), (0, 0))

  def test_that_a_collection_of_all_garbage_is_said(self):
    done = self.run_script("""
        import gc, os, pelton
        pelton.step(1)
        def said():
          with open(os.environ["PELTON_HEARTBEAT"], "rb") as file:
            return file.read()[-8]
        gc.callbacks.append(lambda phase, info: print(phase, info["generation"], said()))
        gc.collect(1)
        gc.collect()
        """)
    self.assertEqual(done.stdout.split("\n")[:4], ["start 1 0", "stop 1 0", "start 2 1", "stop 2 0"])

  def test_that_an_older_page_without_ticks_is_written(self):
    self.page.write_bytes(self.page.read_bytes()[:-16])
    self.run_script("import os, pelton\npelton.step(1)\nassert len(os.listdir('/proc/self/task')) == 1")
    self.assertEqual(Page(self.page).phases(), [("step", 1)])

  def test_that_a_reader_never_sees_a_count_without_its_record(self):
    script = self.here / "script.py"
    script.write_text("import pelton\nprint(flush=True)\nk = 0\nwhile True: pelton.step(k); k += 1")
    with subprocess.Popen([sys.executable, script], env=self.env, stdout=subprocess.PIPE) as writer:
      writer.stdout.readline()
      seen, end = 0, time.monotonic() + 1
      with open(self.page, "rb", buffering=0) as file:
        while time.monotonic() < end or seen < CAPACITY:
          written = struct.unpack("<Q", os.pread(file.fileno(), 8, 32))[0]
          self.assertGreaterEqual(written, seen)
          record = os.pread(file.fileno(), 32, 64 + (written - 1) % CAPACITY * 32)
          again = struct.unpack("<Q", os.pread(file.fileno(), 8, 32))[0]
          if written and again - written < CAPACITY - 1:
            number, _, step, phase, _ = struct.unpack("<QqqII", record)
            self.assertEqual((number, step, phase), (written, written - 1, 3))
          seen = written
      writer.kill()

  def test_that_without_a_page_or_with_a_wrong_one_training_goes_on(self):
    script = "import pelton\nfor k in range(3): pelton.step(k)\nprint('trained')"
    silent = self.run_script(script, PELTON_HEARTBEAT="")
    self.assertEqual((silent.stdout, silent.stderr), ("trained\n", ""))
    for what, options in {"another file": {"magic": b"ELFELFEL"}, "newer": {"version": 2},
                          "too long": {"capacity": CAPACITY + 1}, "empty": {"capacity": 0}}.items():
      with self.subTest(what):
        make_page(self.page, **options)
        before = self.page.read_bytes()
        done = self.run_script(script)
        self.assertEqual(done.stdout, "trained\n")
        self.assertRegex(done.stderr, r"\Apelton: no heartbeats: PELTON_HEARTBEAT=.*page: .*\n\Z")
        self.assertEqual(self.page.read_bytes(), before)
    self.page.unlink()
    self.assertIn("No such file", self.run_script(script).stderr)

  def test_that_a_phase_of_another_name_is_an_error_that_lists_them(self):
    done = self.run_script("import pelton\nwith pelton.phase('dinner'): pass")
    self.assertIn("there is no phase 'dinner'; there are none, start, compile", done.stderr)

  def test_that_children_of_a_worker_write_nothing(self):
    done = self.run_script("""
        import multiprocessing, os, subprocess, sys, pelton
        def work():
          pelton.step(100)
          raise ValueError("a child's own")
        if __name__ == "__main__":
          pelton.step(1)
          for way in ("fork", "spawn"):
            child = multiprocessing.get_context(way).Process(target=work)
            child.start(); child.join()
          subprocess.run([sys.executable, "-c", "import pelton; pelton.step(101); 1 / 0"],
                         stderr=subprocess.DEVNULL)
          pelton.step(2)
        """)
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual(Page(self.page).phases(), [("step", 1), ("step", 2)])
    self.assertFalse(os.path.exists(f"{self.page}.exception"))

  def test_that_threads_do_not_lose_records(self):
    self.run_script("""
        import threading, pelton
        def work():
          for k in range(50): pelton.step(k)
        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads: t.start()
        for t in threads: t.join()
        """)
    steps = sorted(step for _, step in Page(self.page).phases())
    self.assertEqual(steps, sorted(list(range(50)) * 4))

  def test_that_what_a_worker_dies_of_is_known_and_printed_as_ever(self):
    text = "def f(): raise KeyError('weights')\nf()\n"
    done = self.run_script(text)
    self.assertEqual(done.returncode, 1)
    where = f"{self.here}/script.py:1 in f"
    self.assertEqual(self.exception(), {"type": "KeyError", "message": "'weights'", "where": where})
    without = self.run_script(text, PELTON_HEARTBEAT="")
    self.assertEqual(done.stderr, without.stderr)
    self.assertEqual([p.name for p in self.here.iterdir() if "tmp" in p.name], [])

  def test_that_a_threads_exception_names_the_thread(self):
    self.run_script("""
        import threading
        def work(): raise OSError("no disk")
        t = threading.Thread(target=work, name="loader"); t.start(); t.join()
        """)
    self.assertEqual(self.exception()["type"], "OSError")
    self.assertIn("in work (thread loader)", self.exception()["where"])

  def test_that_an_exit_is_not_an_exception(self):
    caught = "import sys\ntry: sys.exit(3)\nexcept SystemExit as e: print(type(e).__name__, e.code)\n"
    thread = "import sys, threading as t\nx = t.Thread(target=sys.exit, args=(3,)); x.start(); x.join()"
    for text in ("import sys; sys.exit(0)", "raise KeyboardInterrupt", caught, thread, "pass"):
      done = self.run_script(text)
      self.assertFalse(os.path.exists(f"{self.page}.exception"), text)
      self.assertEqual(Page(self.page).phases(), [], text)
      self.assertEqual(done.stdout, "SystemExit 3\n" if text == caught else "")

  def test_that_an_exit_with_the_code_of_a_failure_is_one(self):
    for code, returned in (("3", 3), ("'no data'", 1)):
      done = self.run_script(f"import pelton, sys\npelton.step(5)\ndef f(): sys.exit({code})\nf()")
      self.assertEqual(done.returncode, returned)
      self.assertEqual(self.exception()["type"], "SystemExit")
      self.assertEqual(self.exception()["message"], f"sys.exit({code})")
    self.assertEqual(Page(self.page).phases()[-1], ("exit", 5))
    script = self.here / "script.py"
    pathlib.Path(f"{self.page}.exception").unlink()
    make_page(self.page)
    env = {key: value for key, value in self.env.items() if key != "PELTON_HEARTBEAT"}
    with Parked(script, env=env) as parent:
      self.assertEqual(parent.wait(parent.spawn([script], env=self.env)), 1)
    self.assertEqual(self.exception()["type"], "SystemExit")

  def words(self, first, *values):
    with open(self.page, "r+b") as file:
      os.pwrite(file.fileno(), struct.pack(f"<{len(values)}q", *values), first * 8)

  def test_that_a_save_is_asked_for_until_it_is_said_to_be_done(self):
    text = """
        import pelton
        from pelton import heartbeat
        print(pelton.save_requested(), heartbeat.save_request())
        pelton.saved(7)
        print(pelton.save_requested())
        """
    self.assertEqual(self.run_script(text).stdout, "False (0, False)\nFalse\n")
    make_page(self.page)
    self.words(5, 1700000000123, 1)
    self.assertEqual(self.run_script(text).stdout, "True (1700000000123, True)\nFalse\n")
    self.assertEqual(struct.unpack_from("<q", self.page.read_bytes(), 56)[0], 9)
    make_page(self.page)
    self.words(5, 1700000000123)
    self.assertIn("(1700000000123, False)", self.run_script(text).stdout)
    self.assertEqual(self.run_script(text, PELTON_HEARTBEAT="").stdout, "False (0, False)\nFalse\n")

  def test_that_a_parked_worker_beats_and_reports_on_its_own_page(self):
    script = self.here / "script.py"
    script.write_text("import sys, pelton\nsys.excepthook = lambda *a: None\n"
                      "pelton.step(3)\nraise ValueError('parked')")
    env = {key: value for key, value in self.env.items() if key != "PELTON_HEARTBEAT"}
    with Parked(script, env=env) as parent:
      pid = parent.spawn([script], env=self.env)
      self.assertEqual(parent.wait(pid), 1)
    self.assertEqual(Page(self.page).phases(), [("start", -1), ("step", 3), ("exit", 3)])
    self.assertEqual(Page(self.page).pid, pid)
    self.assertEqual(self.exception(), {"type": "ValueError", "message": "parked",
                                        "where": f"{script}:4 in <module>"})

  def test_that_the_sitecustomize_which_ours_hides_still_runs(self):
    (self.here / "site").mkdir()
    (self.here / "site/sitecustomize.py").write_text("print('hidden one', __name__)")
    done = self.run_script("import sitecustomize; print(sitecustomize.__file__)",
                           PYTHONPATH=f"{PACKAGE}:{self.here}/site")
    self.assertEqual(done.stdout, f"hidden one sitecustomize\n{self.here}/site/sitecustomize.py\n")


if __name__ == "__main__":
  unittest.main()
