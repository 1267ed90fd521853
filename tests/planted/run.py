#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bugs planted on purpose: the simulation must find each.

Each NAME.patch beside this file changes one source below src/ and begins with lines that say
  Scenario: scenarios/x.yaml      what finds it
  Seeds: 20                       within so many seeds, from 1 on; the sources as they are pass them
or, where the simulation is a unit test of its own (build/dev; not counted among the unit tests then),
  Test: KillPointsTest.*          what finds it, a filter of GoogleTest; Seeds: where it needs more
The source is patched in a copy, compiled as build/release does, and linked before the libraries, so
that it takes the place of the good one: one file is compiled per bug, and nothing else is touched.

  tests/planted/run.py [NAME…]          (after ./dev build)
  tests/planted/run.py --unit [NAME…]   tells which survive their folder's unit tests (build/dev)
"""
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class Failed(Exception):
    """A command that must work did not: what it was and what it said."""


class Patch:
    def __init__(self, path):
        self.path, self.name = path, path.stem
        text = path.read_text()
        test = re.search(r"^Test: (\S+)$", text, re.M)
        self.test = test and test.group(1)
        seeds = re.search(r"^Seeds: (\d+)$", text, re.M)
        self.seeds = seeds and int(seeds.group(1))
        if not self.test:
            self.scenario = re.search(r"^Scenario: (\S+)$", text, re.M).group(1)
        self.source = re.search(r"^\+\+\+ b/(src/\S+\.cc)$", text, re.M).group(1)
        self.folder = self.source.split("/")[1]
        self.directory = ROOT / "build" / "planted" / self.name

    def apply(self):
        """The patched copy of the source."""
        copy = self.directory / self.source
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((ROOT / self.source).read_text())
        run(["patch", "-p1", "--no-backup-if-mismatch", "--fuzz=3", "-i", self.path],
            cwd=self.directory)
        return copy


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    if done.returncode != 0:
        shown = command if isinstance(command, str) else shlex.join(map(str, command))
        raise Failed(f"{shown}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def commands(build, target):
    return run(["ninja", "-C", build, "-t", "commands", target]).splitlines()


def build_with(patch, preset, target):
    """The target as the preset builds it, but for the patched source."""
    build = ROOT / "build" / preset
    lines = [line for line in commands(build, target) if line.startswith(("/", "ccache", ": &&"))]
    compile_line = next(line for line in lines
                        if f" -c {ROOT / patch.source}" in line or line.endswith(f"/{patch.source}"))
    copy, built = patch.apply(), patch.directory / f"{preset}.o"
    words = shlex.split(compile_line)
    words[words.index("-o") + 1] = str(built)
    words[words.index("-c") + 1] = str(copy)
    for flag in ("-MT", "-MF"):
        if flag in words:
            words[words.index(flag) + 1] = str(patch.directory / f"{preset}.d")
    run(words, cwd=build)
    program = patch.directory / f"{preset}-{Path(target).name}"
    link = shlex.split(next(line for line in reversed(lines) if " -o " in line and " -c " not in line
                            and re.search(rf" -o (\S*/)?{re.escape(Path(target).name)} ", line)))
    link = [word for word in link if word not in (":", "&&")]
    at = link.index("-o")
    link[at:at + 2] = [str(built), "-o", str(program)]
    run(link, cwd=build)
    return program


def first_found(program, patch, seeds):
    """The first of the seeds that breaks a rule, with what it says; None."""
    for seed in seeds:
        done = subprocess.run([program, "sim", patch.scenario, "--seed", str(seed)], cwd=ROOT,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=600)
        if done.returncode != 0:
            violated = [line for line in done.stdout.splitlines() if "VIOLATED" in line]
            return seed, violated[0].strip() if violated else f"it ended with {done.returncode}"
    return None


def check_simulation(patch):
    """Whether it is as expected, and what there is to say."""
    if patch.test:
        return check_test(patch)
    found = first_found(build_with(patch, "release", "pelton"), patch, range(1, patch.seeds + 1))
    if not found:
        return False, f"{patch.seeds} seeds of {patch.scenario} did not find it"
    seed, what = found
    good = first_found(ROOT / "build" / "release" / "pelton", patch, [seed])
    if good:
        return False, f"seed {seed} fails without the patch, too: {good[1]}"
    return True, f"found by seed {seed} of {patch.scenario}: {what[:200]}"


def check_test(patch):
    """As check_simulation(), for a simulation that is a test. Without the patch it passes in ctest; more seeds are run."""
    program = build_with(patch, "dev", f"{patch.folder}_test")
    command = [program, "--gtest_brief=1", f"--gtest_filter={patch.test}"]
    if patch.seeds:
        command += [f"--gtest_random_seed={patch.seeds}"]
        run([ROOT / "build" / "dev" / "src" / program.name.removeprefix("dev-"), *command[1:]])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=600)
    if done.returncode == 0:
        return False, f"{patch.test} did not find it"
    what = re.search(r"^(seed .*)$", done.stdout, re.M)
    return True, f"found by {patch.test}: {what.group(1)[:200] if what else done.stdout[-300:]}"


def check_unit_tests(patch):
    program = build_with(patch, "dev", f"{patch.folder}_test")
    others = [f"--gtest_filter=-{patch.test}"] if patch.test else []
    done = subprocess.run([program, "--gtest_brief=1", *others], cwd=ROOT, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        failed = re.findall(r"^\[  FAILED  \] (\S+)", done.stdout, re.M)
        return False, f"unit tests find it: {', '.join(failed[:5]) or done.stdout[-500:]}"
    return True, f"survives the unit tests of {patch.folder}"


def main():
    names = [name for name in sys.argv[1:] if name != "--unit"]
    check = check_unit_tests if "--unit" in sys.argv else check_simulation
    patches = [Patch(path) for path in sorted(Path(__file__).parent.glob("*.patch"))]
    chosen = [patch for patch in patches if not names or patch.name in names]
    if not chosen:
        sys.exit("there is no such patch")

    def checked(patch):
        try:
            is_expected, what = check(patch)
        except Failed as failed:
            is_expected, what = False, str(failed)
        print(f"{'ok    ' if is_expected else 'FAILED'}  {patch.name}: {what}", flush=True)
        return is_expected

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        expected = sum(pool.map(checked, chosen))
    print(f"{expected} of {len(chosen)} as expected")
    return 0 if expected == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
