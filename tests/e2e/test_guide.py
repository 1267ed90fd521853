# SPDX-License-Identifier: Apache-2.0
"""The documents, typed in: every command of the user guide's pages, and of the life of a training
job, runs, and prints what the page says that it prints."""
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import KUBECTL, PELTON, ROOT
from guide_page import blocks_of, has_own_cluster, missing_line

GUIDE = ROOT / "docs" / "guide"
BLOCK_SECONDS = 300
START = "pelton up --nodes 4 --park examples/parks/small.yaml\nexport KUBECONFIG=$(pelton kubeconfig)\n"
# What a page may leave is what a cluster has by itself.
KINDS = "jobsets,jobs,pods,configmaps,secrets"
LEFTOVERS = f"kubectl get {KINDS} -o name"
CLEAN_UP = f"kubectl delete {KINDS} --all --grace-period=1 --timeout=60s\npelton up || true\n"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "pelton"
PYTHON = CACHE / "venvs" / "api-clients" / "bin" / "python"


class Shell:
    """One reader's terminal: a directory, variables, and nothing of the machine's other clusters."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="pelton-guide-"))
        self.state = self.directory / ".state"
        (self.directory / "bin").mkdir()
        for name, program in (("pelton", PELTON), ("kubectl", KUBECTL)):
            (self.directory / "bin" / name).symlink_to(Path(shutil.which(program)).resolve())
        # The reader has installed Python's client; ./dev test has it in an environment of its own.
        python = self.directory / "bin" / "python3"
        python.write_text(f'#!/bin/sh\nexec "{PYTHON}" "$@"\n')
        python.chmod(0o755)
        for name in ("examples", "scenarios"):
            (self.directory / name).symlink_to(ROOT / name)
        self.environment = {
            **os.environ, "PATH": f"{self.directory}/bin:{os.environ['PATH']}",
            "XDG_DATA_HOME": str(self.directory / "data"), "HOME": str(self.directory),
            "XDG_CACHE_HOME": str(CACHE.parent), "TERM": "dumb"}
        self.environment.pop("KUBECONFIG", None)
        self.sessions = []

    def run(self, commands):
        """Returns (exit code, what was printed). Stops at the first command that fails."""
        state = shlex.quote(str(self.state))
        script = f"[ ! -e {state} ] || . {state}\nset -aeo pipefail\n{commands}\nexport -p >{state}\n"
        # A file, not a pipe: what a command leaves running would keep a pipe open.
        with open(self.directory / ".printed", "w+", encoding="utf-8") as printed:
            done = subprocess.Popen(["bash", "-c", script], cwd=self.directory,
                                    env=self.environment, start_new_session=True,
                                    stdin=subprocess.DEVNULL, stdout=printed, stderr=printed)
            self.sessions.append(done.pid)
            try:
                done.wait(BLOCK_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(done.pid, signal.SIGKILL)
                done.wait()
            printed.seek(0)
            return done.returncode, printed.read()

    def end_background(self):
        """Ends what the blocks so far have left running with `&`, which has our directory open."""
        for entry in Path("/proc").iterdir():
            try:
                session = int((entry / "stat").read_text().rpartition(")")[2].split()[3])
                if session in self.sessions and (entry / "cwd").readlink() == self.directory:
                    os.kill(int(entry.name), signal.SIGTERM)
            except (OSError, ValueError):
                pass  # no process, or gone meanwhile
        self.sessions.clear()

    def close(self):
        self.run("pelton down --delete-data")
        self.end_background()
        shutil.rmtree(self.directory, ignore_errors=True)


class Guide(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: pods are made of namespaces")
        cls.shared = Shell()
        code, printed = cls.shared.run(START)
        if code:
            cls.shared.close()
            raise AssertionError(printed)

    @classmethod
    def tearDownClass(cls):
        cls.shared.close()

    def follow(self, page):
        text = (GUIDE / page).read_text(encoding="utf-8")
        page = os.path.relpath(GUIDE / page, ROOT)
        shell = self.shared
        if has_own_cluster(text):
            shell = Shell()
            self.addCleanup(shell.close)
        else:  # whatever goes wrong, the next page finds a cluster as it should be
            self.addCleanup(shell.run, CLEAN_UP)
            self.addCleanup(shell.end_background)
        printed = ""
        for block in blocks_of(text):
            at = f"{page}:{block.line}"
            if block.kind == "file":
                (shell.directory / block.name).write_text(block.body, encoding="utf-8")
            elif block.kind == "output":
                missing = missing_line(block.body, printed)
                self.assertIsNone(missing, f"{at}: the commands printed:\n{printed}")
            else:
                code, printed = shell.run(block.body)
                self.assertEqual(code != 0, block.kind == "fails",
                                 f"{at}: exit code {code} of:\n{block.body}\n{printed}")
        if shell is self.shared:
            self.assertEqual(shell.run(LEFTOVERS)[1].strip(), "", f"{page} leaves objects behind")


def follow(page):
    return lambda self: self.follow(page)


for found in [*sorted(GUIDE.glob("*.md")), Path("../life-of-a-training-job.md")]:
    if found.name != "README.md":
        setattr(Guide, "test_" + found.stem.replace("-", "_"), follow(GUIDE / found))


class ThePages(unittest.TestCase):
    def test_are_all_in_the_index(self):
        index = (GUIDE / "README.md").read_text(encoding="utf-8")
        self.assertEqual([page.name for page in sorted(GUIDE.glob("*.md"))
                          if page.name != "README.md" and f"({page.name})" not in index], [])

    def test_run_something(self):
        for page in sorted(GUIDE.glob("*.md")):
            kinds = [block.kind for block in blocks_of(page.read_text(encoding="utf-8"))]
            self.assertTrue(page.name == "README.md" or "run" in kinds, page.name)

    def test_output_is_compared_line_by_line(self):
        printed = "NAME   STATUS\na-x1   Running   3s\nb-x2   Pending\n"
        self.assertIsNone(missing_line("NAME STATUS\na-… Running …\n", printed))
        self.assertIsNone(missing_line("b-…    Pending\n", printed))
        self.assertEqual(missing_line("b-… Pending\na-… Running …\n", printed), "a-… Running …")
        self.assertEqual(missing_line("a-… Runn\n", printed), "a-… Runn")

    def test_blocks_have_words_that_are_known(self):
        for text in ("```sh runs\n```\n", "```text output\n```\n", "```yaml file\n```\n"):
            with self.assertRaises(ValueError):
                blocks_of(text)
        self.assertEqual([(b.kind, b.name) for b in blocks_of(
            "```yaml file=a.yaml\nx\n```\n\n```sh\nshown\n```\n```sh run\ny\n```\n```text output\nz\n```\n")],
            [("file", "a.yaml"), ("run", ""), ("output", "")])


if __name__ == "__main__":
    unittest.main()
