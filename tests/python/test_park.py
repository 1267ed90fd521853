# SPDX-License-Identifier: Apache-2.0
"""A worker forked from the parked parent does what `python SCRIPT` does, side by side."""

import os
import pathlib
import re
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
import zipfile

from parked import PACKAGE, Parked, Refused

ENV = {"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONPATH": PACKAGE, "X": "1",
       "PYTHONDONTWRITEBYTECODE": "1"}

# Each is a whole script. What it prints, on both streams, and how it ends is compared.
SCRIPTS = {
    "what a script sees of itself": """
        import sys, os, signal
        print(sys.argv, __name__, __file__, __spec__, __package__, __cached__, __doc__, dir())
        print(__loader__.name, __loader__.path, __builtins__, sys.path, sys.orig_argv)
        print(sys.modules["__main__"].__dict__ is globals(), os.getcwd(), os.umask(0o22))
        print(sorted(os.environ.items()), sys.flags, sys.warnoptions, sys._xoptions)
        print(os.getpgrp() == os.getpid(), len(os.listdir("/proc/self/task")))
        print([(s, signal.getsignal(s)) for s in signal.valid_signals()])
        print([x for x in open("/proc/self/status") if x.startswith("Sig")][1:])
        """,
    "descriptors": "import os; print(sorted(os.listdir('/proc/self/fd')))",
    "streams": """
        import sys
        for s in (sys.stdin, sys.stdout, sys.stderr):
          print(s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through, s.newlines,
                s.buffer, s.fileno(), s.isatty())
        print(sys.__stdout__ is sys.stdout, sys.stdin.read())
        """,
    "C's environment": """
        import os, subprocess
        print(subprocess.run(["env"], stdout=subprocess.PIPE, env=None).stdout)
        os.environ["Y"] = "2"
        os.system("echo $X $Y $Z")
        """,
    "an exception": """
        def f():
          raise ValueError("no")
        try:
          f()
        except ValueError as e:
          raise RuntimeError("so") from e
        """,
    "an exception of a group": "raise ExceptionGroup('many', [ValueError(1), TypeError(2)])",
    "a syntax error": "x = 1\nprint('never'\n",
    "an indentation error": "if True:\nprint()\n",
    "another encoding": b"# -*- coding: latin-1 -*-\nprint(ascii('\xe9'))\n",
    "exit 0": "import sys; print('a'); sys.exit()",
    "exit 3": "import sys; print('a'); sys.exit(3)",
    "exit 300": "raise SystemExit(300)",
    "exit -1": "raise SystemExit(-1)",
    "exit True": "raise SystemExit(True)",
    "exit with a text": "import sys; print('a'); sys.exit('the text')",
    "os._exit": "import os; print('lost'); os._exit(7)",
    "interrupted": "raise KeyboardInterrupt",
    "interrupted by a signal": "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('no')",
    "ended by SIGTERM": "import os, signal; print('lost'); os.kill(os.getpid(), signal.SIGTERM)",
    "aborted": "import os; os.abort()",
    "SIGPIPE is ignored": """
        import os
        r, w = os.pipe()
        os.close(r)
        os.write(w, b'x')
        """,
    "recursion": """
        import sys
        sys.setrecursionlimit(200)
        def f(): f()
        try:
          f()
        except RecursionError as error:
          print(error)
        """,
    "a hook of its own": """
        import sys
        sys.excepthook = lambda *a: print('hook', a[0], a[1], a[2].tb_lineno, a[1].__traceback__ is a[2])
        1 / 0
        """,
    "a hook that fails": """
        import sys
        def hook(*_): sys.exit(9)
        sys.excepthook = hook
        1 / 0
        """,
    "at exit": """
        import atexit, sys, threading, time
        class C:
          def __del__(self): print('deleted', sys.is_finalizing())
        c = C()
        atexit.register(print, 'at exit', threading.current_thread().name, __name__)
        def late():
          import __main__
          print('thread', hasattr(__main__, 'c'), threading.main_thread().is_alive())
        threading.Timer(0.05, late).start()
        raise ValueError('main is over')
        """,
    "a thread's exception": """
        import threading
        t = threading.Thread(target=lambda: 1 / 0, name='t')
        t.start(); t.join()
        print('on')
        """,
    "pickled classes": """
        import pickle
        class C:
          def __eq__(self, other): return type(other) is C
        print(pickle.loads(pickle.dumps(C())) == C(), C.__module__, pickle.dumps(C()))
        """,
    "processes": """
        import multiprocessing, concurrent.futures, sys, os
        class C:
          def __init__(self, x): self.x = x
        def work(c): return C(c.x * 2), __name__ in ('__main__', '__mp_main__'), os.getcwd()
        if __name__ == '__main__':
          for way in ('fork', 'spawn', 'forkserver'):
            with multiprocessing.get_context(way).Pool(1) as pool:
              c, ok, where = pool.map(work, [C(4)])[0]
              print(way, c.x, type(c) is C, ok, where)
            with concurrent.futures.ProcessPoolExecutor(
                1, mp_context=multiprocessing.get_context(way)) as pool:
              print(pool.submit(work, C(3)).result()[0].x)
        """,
    "a forked child": """
        import os, sys
        print('before', flush=True)
        pid = os.fork()
        if pid == 0:
          print('child')
          sys.exit(4)
        print('parent', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        """,
    "asyncio": """
        import asyncio
        async def main():
          p = await asyncio.create_subprocess_exec('true')
          print(await p.wait())
          await asyncio.sleep(0)
        asyncio.run(main())
        """,
    "warnings": """
        import warnings
        warnings.warn('one')
        warnings.warn('two', DeprecationWarning)
        def f(): warnings.warn('three', stacklevel=2)
        f()
        """,
    "sources": """
        import inspect, dataclasses, typing, traceback
        @dataclasses.dataclass
        class D:
          x: 'typing.Optional[D]'
        print(inspect.getsource(D), typing.get_type_hints(D), inspect.getmodule(D).__file__)
        try:
          1 / 0
        except ZeroDivisionError:
          traceback.print_exc()
        """,
    "a module beside it": "import beside\nprint(beside.__file__, beside.main_name())",
    "a module with an error": "import wrong",
    "waits for no input": "print(input())",
    "what is not flushed": """
        import sys
        sys.stdout.write('no newline')
        sys.stderr.write('error without one')
        sys.stdout.buffer.write(b'raw')
        """,
    "a closed stdout": "import os, sys; print('x'); os.close(1)",
    "exec": "import os, sys; os.execv(sys.executable, [sys.executable, '-c', 'print(1)'])",
    "numbers of modules that were parked": "import json, socket, select, ast; print(json.dumps([1]))",
}


def tidied(text):
  return re.sub(rb"0x[0-9a-f]+", b"0x", re.sub(rb"ForkPoolWorker-\d+|pid=\d+", b"", text))


class Workshop(unittest.TestCase):
  """A directory for scripts, and both ways to run one."""

  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = pathlib.Path(os.path.realpath(directory.name))
    (self.here / "beside.py").write_text(
        "def main_name():\n  import __main__\n  return __main__.__name__\n")
    (self.here / "wrong.py").write_text("def f(:\n")
    self.runs = 0

  def write(self, name, text):
    path = self.here / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return path

  def park(self, script="none.py", env=None, **options):
    parent = Parked(script, env=env or ENV, cwd=self.here, **options)
    self.addCleanup(parent.close)
    return parent

  def parked(self, parent, argv, env=None, module=False, stdout=None):
    """Returns (exit code, stdout, stderr) of a worker from `parent`."""
    self.runs += 1
    out = pathlib.Path(stdout or self.here / f"out-{self.runs}")
    error = self.here / f"error-{self.runs}"
    code = parent.wait(parent.spawn(argv, env=env or ENV, cwd=self.here, module=module,
                                    stdout=out, stderr=error))
    return code, b"" if stdout else out.read_bytes(), error.read_bytes()

  def plain(self, argv, env=None, module=False, stdout=None, flags=()):
    with open(stdout or self.here / "plain-out", "wb") as out:
      with open(self.here / "plain-error", "w+b") as error:
        code = subprocess.run([sys.executable, *flags, *(["-m"] if module else []), *argv],
                              env=env or ENV, cwd=self.here, stdin=subprocess.DEVNULL, stdout=out,
                              stderr=error, start_new_session=True, check=False).returncode
        error.seek(0)
        return code, b"" if stdout else (self.here / "plain-out").read_bytes(), error.read()

  def assert_same(self, parent, argv, flags=(), **options):
    expected = self.plain(argv, flags=flags, **options)
    got = self.parked(parent, argv, **options)
    for what, one, other in zip(("exit code", "stdout", "stderr"), expected, got):
      if isinstance(one, bytes):
        one, other = tidied(one).decode(), tidied(other).decode()
      self.assertEqual(one, other, what)
    return got


class AWorkerIsTheScript(Workshop):
  def test_that_every_small_script_prints_and_ends_as_if_started_by_hand(self):
    parent = self.park()
    for name, text in SCRIPTS.items():
      with self.subTest(name):
        script = self.write("script.py", text)
        self.assert_same(parent, [script.name, "--x", "y z"])

  def test_that_interpreter_flags_reach_it(self):
    for flags in (["-O", "-u"], ["-W", "error", "-X", "dev"], ["-P", "-s"]):
      parent = self.park(flags=flags)
      for name in ("what a script sees of itself", "streams", "warnings", "what is not flushed"):
        with self.subTest(name, flags=flags):
          script = self.write("script.py", SCRIPTS[name])
          self.assert_same(parent, [str(script)], flags=flags)

  def test_that_modules_directories_archives_and_missing_files_do(self):
    parent = self.park()
    script = "import sys; print(__name__, __file__, __spec__, __package__, sys.argv, sys.path, sys.orig_argv)\n"
    self.write("package/__init__.py", "")
    self.write("package/__main__.py", script + "from package import *\nraise ValueError\n")
    self.write("package/part.py", script + "from . import other\n")
    self.write("folder/__main__.py", script)
    with zipfile.ZipFile(self.here / "archive.zip", "w") as archive:
      archive.writestr("__main__.py", script)
    for argv in (["package", "a"], ["package.part"], ["package.none"], ["none"], ["beside"]):
      with self.subTest(argv):
        self.assert_same(parent, argv, module=True)
    for argv in (["folder", "a"], ["archive.zip"], ["missing.py"], ["./package/part.py"]):
      with self.subTest(argv):
        self.assert_same(parent, argv)
    os.symlink(self.here / "folder/__main__.py", self.here / "link.py")
    self.assert_same(parent, ["link.py"])

  def test_that_a_full_disk_under_stdout_ends_it_as_it_ends_python(self):
    script = self.write("script.py", "print('x')")
    code, _, _ = self.assert_same(self.park(), [script.name], stdout="/dev/full")
    self.assertEqual(code, 120)

  def test_that_a_signal_ends_it_and_its_session_is_its_own(self):
    script = self.write("script.py", "import signal; print('up', flush=True); signal.pause()")
    parent = self.park()
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
      pid = parent.spawn([script.name], env=ENV, cwd=self.here, stdout=self.here / "out")
      self.assertEqual(os.getsid(pid), pid)
      self.assertEqual(os.stat(f"/proc/{pid}").st_uid, os.getuid())
      os.kill(pid, number)
      self.assertEqual(parent.wait(pid), -number)

  def test_that_workers_do_not_share_their_randomness(self):
    script = self.write("script.py", "import random, uuid, tempfile, secrets\n"
                        "print(random.random(), uuid.uuid4(), tempfile.mktemp(), secrets.token_hex())")
    parent = self.park()
    first, second = (self.parked(parent, [script.name])[1].split() for _ in range(2))
    self.assertEqual(set(first) & set(second), set())


class WhatCannotBeForkedIsRefused(Workshop):
  def test_that_other_start_up_variables_are_named(self):
    parent = self.park()
    for name, value in (("PYTHONHASHSEED", "0"), ("LD_LIBRARY_PATH", "/x"), ("JAX_PLATFORMS", "cpu")):
      with self.assertRaisesRegex(Refused, f"spawn: {name} is '{value}', and .* None: start another"):
        parent.spawn(["x.py"], env={**ENV, name: value})
    self.write("script.py", "import os; print(sorted(os.environ.items()))")
    other = {**ENV, "RANK": "3", "JAX_PROCESS_ID": "3", "X": "other"}
    self.assert_same(parent, ["script.py"], env=other)

  def test_that_bad_requests_are_answered_and_the_next_good_one_is_served(self):
    parent = self.park()
    script = self.write("script.py", "print('fine')")
    with self.assertRaisesRegex(Refused, "No such file or directory: '/nowhere'"):
      parent.spawn([script], env=ENV, cwd="/nowhere")
    with self.assertRaisesRegex(Refused, "/nowhere/out"):
      parent.spawn([script], env=ENV, stdout="/nowhere/out")
    with self.assertRaisesRegex(Refused, "KeyError: 'env'"):
      parent.ask(spawn={"argv": ["x"]})
    with self.assertRaisesRegex(Refused, "argv and env have to be texts"):
      parent.ask(spawn={"argv": [1], "env": {}})
    with self.assertRaisesRegex(Refused, "has to be spawn or coordinator"):
      parent.ask(dance={})
    with self.assertRaisesRegex(Refused, "jax is not among the parked modules"):
      parent.coordinator("127.0.0.1:1", 1)
    self.assertEqual(self.parked(parent, [script])[:2], (0, b"fine\n"))

  def test_that_children_are_forked_ahead_and_one_that_was_killed_is_not_missed(self):
    others = self.children()  # of other tests
    parent = self.park(spares=2)
    others.add(parent.process.pid)
    script = self.write("script.py", "import os; print(os.getpid())")
    first = self.await_spares(2, others)
    dead = first.pop(0)
    os.kill(dead, signal.SIGKILL)
    os.waitpid(dead, 0)
    pids = [parent.spawn([script], env=ENV, stdout=self.here / "out") for _ in range(3)]
    self.assertIn(first[0], pids)
    self.assertEqual([parent.wait(pid) for pid in pids], [0] * 3)
    self.assertEqual({int(line) for line in (self.here / "out").read_text().split()}, set(pids))
    last = self.await_spares(2, others)
    ends = [os.pidfd_open(pid) for pid in last]
    parent.close()
    for pid, end in zip(last, ends):  # nobody needs them any more
      self.assertTrue(select.select([end], [], [], 30)[0])
      os.close(end)
      os.waitpid(pid, 0)

  @staticmethod
  def children():
    return {int(pid) for pid in
            pathlib.Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}

  def await_spares(self, count, others):
    """Returns the pids of the children that were forked ahead, once there are so many."""
    end = time.monotonic() + 30
    while len(spares := sorted(self.children() - others)) != count:
      self.assertLess(time.monotonic(), end, spares)
      time.sleep(0.01)
    return spares

  def test_that_a_module_which_starts_a_thread_is_not_parked(self):
    self.write("busy.py", "import threading\n"
               "threading.Thread(target=threading.Event().wait, daemon=True).start()\n")
    with self.assertRaisesRegex(Refused, "exit code 3: .*importing busy left threads running"):
      self.park("script.py", env={**ENV, "PYTHONPATH": f"{PACKAGE}:{self.here}"}, imports=["busy"])
    with self.assertRaisesRegex(Refused, "exit code 3: .*importing wrong failed: SyntaxError"):
      self.park("script.py", imports=["wrong"])

  def test_that_only_frameworks_are_imported_and_the_script_is_never_run(self):
    (self.here / "optax.py").write_text("raise SystemExit('the script imports this, not the parent')")
    (self.here / "local.py").write_text("try:\n  import torch.nn as nn\nexcept ImportError:\n  pass\n"
                                        "from torch import utils\nimport beside\n")
    for name in ("torch", "torch/utils", "torch/nn", "flax", "scipy", "jax"):
      (self.here / "site" / name).mkdir(parents=True)
      (self.here / "site" / name / "__init__.py").write_text("")
    (self.here / "site/torch/__init__.py").write_text(
        "class cuda:\n  is_initialized = staticmethod(lambda: False)\n")
    self.write("script.py", """
        import local, optax
        from flax import nothing
        if __name__ == '__main__':
          import jax
        def f():
          import scipy
        raise SystemExit('run')
        """)
    parent = self.park("script.py", env={**ENV, "PYTHONPATH": f"{PACKAGE}:{self.here}/site"})
    self.assertEqual(parent.ready["modules"], ["torch.nn", "torch", "torch.utils", "flax",
                                              "pelton.torch"])


  def test_that_variables_which_the_script_sets_before_an_import_are_there_for_it(self):
    (self.here / "site/torch").mkdir(parents=True)
    (self.here / "site/torch/__init__.py").write_text(
        "import os\nSEEN = [os.environ.get(x) for x in ('TORCH_A', 'TORCH_B', 'TORCH_C', 'Q')]\n"
        "os.environ['TORCH_SELF'] = '1'\n"
        "class cuda:\n  is_initialized = staticmethod(lambda: False)\n")
    env = {**ENV, "PYTHONPATH": f"{PACKAGE}:{self.here}/site", "TORCH_C": "c"}
    text = """
        import os
        before = dict(os.environ)
        os.environ["TORCH_A"] = "a"
        os.environ.setdefault("TORCH_B", "b")
        os.environ.setdefault("TORCH_C", "never")
        os.environ["Q"] = os.environ.get("RANK", "0")
        import torch
        os.environ["TORCH_D"] = str(1)
        print(torch.SEEN[:3], os.environ["Q"], "TORCH_A" in before, sorted(os.environ))
        """
    script = self.write("script.py", text)
    self.assert_same(self.park("script.py", env=env), ["script.py"], env=env)
    self.write("script.py", "import os\nos.environ['TORCH_A'] = str(1)\nimport torch\n")
    with self.assertRaisesRegex(Refused, "script.py: line 2 sets TORCH_A to what is only known"):
      self.park("script.py", env=env)
    self.write("script.py", "import os\nos.environ.update(x)\nimport torch.nn\n")
    with self.assertRaisesRegex(Refused, "line 2 sets variables of the environment .* torch.nn"):
      self.park(script, env=env)


class TheParentGoesWhenNobodyNeedsIt(Workshop):
  def test_that_it_ends_with_its_last_client_only_after_its_own_parent(self):
    starter = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], "
         "stdout=2); print(p.pid, flush=True); sys.stdin.read()", sys.executable, "-m", "pelton.park",
         "--socket", self.here / "s", "--", "x.py"], env=ENV, cwd=self.here,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    pid = int(starter.stdout.readline())
    client = Parked.__new__(Parked)
    client.process = starter
    first, second = client.connect(str(self.here / "s")), client.connect(str(self.here / "s"))
    first.close()
    starter.communicate()
    second.sendall(b'{"id": 7, "dance": 1}\n')
    lines = second.makefile()
    self.assertIn("ready", lines.readline())
    self.assertIn('"id": 7', lines.readline())  # its parent is gone; a client is not
    ended = os.pidfd_open(pid)
    lines.close()
    second.close()
    self.assertTrue(select.select([ended], [], [], 30)[0])
    os.close(ended)


if __name__ == "__main__":
  unittest.main()
