# SPDX-License-Identifier: Apache-2.0
"""Tests of setup.sh with stand-ins for dpkg-query, apt-get and python3: what it installs, and what
it says where it cannot."""

import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Setup(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    self.calls = self.directory / "calls"
    self.calls.touch()
    self.program("dpkg-query", 'case $3 in $MISSING) exit 1;; esac; printf installed')
    self.program("apt-get", f'echo "$@" >>{self.calls}; exit ${{APT_STATUS:-0}}')
    # `python -m venv DIR` and `DIR/bin/pip install -r FILE`, which knows no /no/such/file.
    self.program("fake-python", """[ "$2" = venv ] || exit 0
mkdir -p "$3/bin" "$3/lib/python3.0/site-packages" && cp "$0" "$3/bin/python"
printf '#!/bin/sh\nfor last; do :; done\n! grep -q /no/such "$last"\n' >"$3/bin/pip"
chmod +x "$3/bin/pip" """)
    self.system("debian", "12", "Debian 12")

  def system(self, name, version, title):
    (self.directory / "os-release").write_text(
        f'ID={name}\nVERSION_ID="{version}"\nPRETTY_NAME="{title}"\n')

  def program(self, name, script):
    path = self.directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)

  def bash(self, script, **variables):
    return subprocess.run(
        ["bash", "-euc", f"source tools/dev/lib.sh; source tools/dev/setup.sh; {script}"],
        cwd=ROOT, text=True, capture_output=True, check=False, stdin=subprocess.DEVNULL,
        env={**os.environ, "PATH": f"{self.directory}:/usr/bin:/bin", "MISSING": "none",
             "OS_RELEASE": str(self.directory / "os-release"), "PELTON_DEV_YES": "",
             "SYSTEM_PYTHON": str(self.directory / "fake-python"),
             "XDG_CACHE_HOME": str(self.directory / "cache"), **variables})

  def test_does_nothing_where_nothing_is_missing(self):
    done = self.bash("need_packages build run test all format")
    self.assertEqual((done.returncode, done.stderr, self.calls.read_text()), (0, "", ""))

  def test_lists_and_installs_just_what_is_missing(self):
    done = self.bash("is_root() { true; }; need_packages build", MISSING="cmake")
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertIn("To be installed with apt-get: cmake\n", done.stderr)
    self.assertRegex(self.calls.read_text(), r"(?m)^-q install .* cmake$")

  def test_masks_the_service_that_a_package_would_start(self):
    units = self.directory / "units"
    done = self.bash("is_root() { true; }; need_packages test", MISSING="prometheus",
                     SYSTEMD_UNITS=str(units))
    self.assertEqual(done.returncode, 0, done.stderr)
    self.assertEqual(os.readlink(units / "prometheus.service"), "/dev/null")
    self.assertRegex(self.calls.read_text(), r"(?m)^-q install .* prometheus$")

  def test_leaves_what_other_verbs_need_alone(self):
    self.assertEqual(self.bash("need_packages build", MISSING="clang-19").stderr, "")

  def test_names_the_command_where_there_is_no_root(self):
    done = self.bash("is_root() { false; }; command() { false; }; need_packages build",
                     MISSING="cmake")
    self.assertEqual(done.returncode, 1)
    self.assertIn("only root can install", done.stderr)
    self.assertIn("apt-get install --no-install-recommends cmake", done.stderr)

  def test_says_that_the_system_is_another(self):
    self.system("fedora", "41", "Fedora 41")
    done = self.bash("need_packages build", MISSING="cmake")
    self.assertEqual(done.returncode, 1)
    self.assertIn("this is Fedora 41", done.stderr)
    self.assertIn("cmake", done.stderr)
    self.assertEqual(self.calls.read_text(), "")

  def test_asks_for_a_network_where_the_lists_cannot_be_read(self):
    done = self.bash("is_root() { true; }; need_packages build", MISSING="cmake", APT_STATUS="100")
    self.assertEqual(done.returncode, 1)
    self.assertIn("Is there a network?", done.stderr)

  def make_venv(self, requirements, **variables):
    (self.directory / "requirements.txt").write_text(requirements)
    return self.bash(f"need_venv test {self.directory}/requirements.txt", **variables)

  def test_a_virtual_environment_is_made_once_and_anew_for_other_requirements(self):
    first = self.make_venv("# nothing\n")
    self.assertEqual(first.returncode, 0, first.stderr)
    link = self.directory / "cache/pelton/venvs/test"
    before = link.resolve()
    self.assertTrue((link / "bin/python").exists())
    self.assertEqual(self.make_venv("# nothing\n").stderr, "")
    self.assertEqual(self.make_venv("# still nothing\n").returncode, 0)
    self.assertNotEqual(link.resolve(), before)

  def test_an_environment_sees_the_packages_of_its_base(self):
    self.assertEqual(self.make_venv("# nothing\n").returncode, 0)
    venvs = self.directory / "cache/pelton/venvs"
    done = self.bash(f"need_venv upper {self.directory}/requirements.txt test")
    self.assertEqual(done.returncode, 0, done.stderr)
    base = (venvs / "test").resolve()
    self.assertEqual((venvs / "upper/lib/python3.0/site-packages/base.pth").read_text(),
                     f"{base}/lib/python3.0/site-packages\n")
    self.assertEqual(list(base.rglob("base.pth")), [])
    self.assertEqual(self.make_venv("# another base\n").returncode, 0)
    before = (venvs / "upper").resolve()
    (self.directory / "requirements.txt").write_text("# nothing\n")
    self.assertEqual(self.bash(f"need_venv upper {self.directory}/requirements.txt test").returncode, 0)
    self.assertNotEqual((venvs / "upper").resolve(), before)  # the base is another

  def test_a_half_made_environment_is_made_again_and_a_failed_one_is_not_used(self):
    done = self.make_venv("/no/such/file.whl\n")
    self.assertEqual(done.returncode, 1)
    self.assertIn("Is there a network", done.stderr)
    self.assertFalse((self.directory / "cache/pelton/venvs/test").exists())


if __name__ == "__main__":
  unittest.main()
