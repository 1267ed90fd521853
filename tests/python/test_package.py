# SPDX-License-Identifier: Apache-2.0
"""The package as the executable carries it: an archive that Python imports from."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import zipfile

from parked import PACKAGE, Parked

PELTON = os.environ["PELTON"]


class TheArchive(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.here = directory.name

  def path(self):
    done = subprocess.run([PELTON, "python-path", "--directory", self.here], capture_output=True,
                          text=True, check=True)
    return done.stdout.removesuffix("\n")

  def test_that_it_holds_the_package_as_it_is_in_the_tree(self):
    with zipfile.ZipFile(self.path()) as archive:
      held = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    tree = {str(path.relative_to(PACKAGE)): path.read_bytes()
            for path in pathlib.Path(PACKAGE).rglob("*.py")}
    library = held.pop("pelton/checkpoint/libpelton_checkpoint.so")
    self.assertTrue(library.startswith(b"\x7fELF"))
    self.assertEqual(held, tree)

  def test_that_workers_are_forked_from_it(self):
    path = self.path()
    self.assertEqual(os.stat(path).st_mode & 0o777, 0o644)
    self.assertEqual(self.path(), path)
    script = pathlib.Path(self.here, "script.py")
    script.write_text("import pelton, sitecustomize\nprint(pelton.__file__)\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
    with Parked(script, env=env, python=sys.executable) as parent:
      self.assertEqual(parent.wait(parent.spawn([script], env=env, stdout=f"{self.here}/out")), 0)
    self.assertEqual(pathlib.Path(self.here, "out").read_text(), f"{path}/pelton/__init__.py\n")

  def test_that_two_copies_on_the_path_run_what_both_hide_once(self):
    first, second, hidden = (f"{self.here}/{name}" for name in ("first", "second", "hidden"))
    for place in (first, second):
      shutil.copytree(PACKAGE, place)
    os.mkdir(hidden)
    pathlib.Path(hidden, "sitecustomize.py").write_text("print('hidden')\n")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{first}:{second}:{hidden}",
           "PELTON_HEARTBEAT": f"{self.here}/page"}
    done = subprocess.run([sys.executable, "-c", "import sys; print(sys.excepthook.__module__)"],
                          env=env, capture_output=True, text=True, check=False)
    self.assertEqual((done.stdout, done.stderr), ("hidden\npelton.heartbeat\n", ""))

  def test_that_a_directory_which_cannot_be_had_is_named(self):
    done = subprocess.run([PELTON, "python-path", "--directory", "/proc/none"], capture_output=True,
                          text=True, check=False)
    self.assertEqual((done.returncode, done.stdout), (1, ""))
    self.assertIn("pelton python-path: --directory /proc/none: ", done.stderr)


if __name__ == "__main__":
  unittest.main()
