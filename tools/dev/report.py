# SPDX-License-Identifier: Apache-2.0
"""Adds up test results: what failed, what was skipped and why, and one line of counts.

Reads below one directory what ./dev test left there: PRESET.ctest.xml (ctest's JUnit file),
PRESET/*.xml (GoogleTest's, one per program, which names the cases in it) and notes.tsv (outcome,
name, reason). A ctest test that is a Python unittest is counted by its own lines.

Exit code 0: nothing failed, and nothing was skipped that --allowed-skips does not list.
"""

import argparse
import dataclasses
import fnmatch
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass(frozen=True, order=True)
class Result:
  name: str
  outcome: str  # passed, failed, skipped
  reason: str = ""


def from_googletest(root, prefix):
  """Returns the results of the cases that one GoogleTest XML file names."""
  results = []
  for case in root.iter("testcase"):
    name = f"{prefix}{case.get('classname')}.{case.get('name')}"
    skipped = case.find("skipped")
    if case.find("failure") is not None:
      message = case.find("failure").get("message", "")
      results.append(Result(name, "failed", message.strip().split("\n")[0]))
    elif skipped is not None:
      message = (skipped.get("message") or skipped.text or "").strip().split("\n")
      results.append(Result(name, "skipped", message[-1].strip()))
    elif case.get("status") == "run":
      results.append(Result(name, "passed"))
  return results


UNITTEST_LINE = re.compile(
    r"^(?P<case>\w+) \((?P<where>[\w.]+)\)(?:\n[^\n]*?)?(?: \.\.\. )(?:.*?)"
    r"(?P<outcome>ok|FAIL|ERROR|expected failure|skipped '(?P<reason>.*)')$", re.M)


def from_unittest(name, output):
  """Returns the results of the cases that Python's unittest -v printed, or [] if it is none."""
  if not re.search(r"^Ran \d+ tests? in ", output, re.M):
    return []
  outcomes = {"ok": "passed", "expected failure": "passed", "FAIL": "failed", "ERROR": "failed"}
  return [Result(f"{name}.{m['case']}", outcomes.get(m["outcome"], "skipped"), m["reason"] or "")
          for m in UNITTEST_LINE.finditer(output)]


def from_ctest(case, prefix):
  """Returns the results of one test of ctest's JUnit file that GoogleTest does not describe."""
  name, output = prefix + case.get("name"), case.findtext("system-out") or ""
  status = case.get("status")
  cases = from_unittest(name, output)
  if status == "run":
    return cases or [Result(name, "passed")]
  if status == "fail":
    failed = any(result.outcome == "failed" for result in cases)
    return cases + ([] if failed else [Result(name, "failed", last_line(output))])
  reason = re.findall(r"^SKIPPED: (.*)$", output, re.M)
  return [Result(name, "skipped", reason[-1] if reason else status)]


def last_line(text):
  lines = [line for line in text.splitlines() if line.strip()]
  return lines[-1].strip() if lines else "no output"


def collect(directory):
  """Returns all results below `directory`, sorted by name."""
  results = []
  for junit in sorted(directory.glob("*.ctest.xml")):
    preset = junit.name.removesuffix(".ctest.xml")
    prefix = "" if preset == "dev" else preset + ":"
    described = {path.stem: path for path in sorted((directory / preset).glob("*.xml"))}
    for case in ElementTree.parse(junit).getroot().iter("testcase"):
      program = case.get("name").removeprefix("unit.").removeprefix("sim.") + "_test"
      path = described.pop(program, None)
      if path is None:
        results += from_ctest(case, prefix)
        continue
      try:
        cases = from_googletest(ElementTree.parse(path).getroot(), prefix)
      except ElementTree.ParseError as error:
        cases = [Result(prefix + case.get("name"), "failed", f"wrote no whole report: {error}")]
      if case.get("status") == "fail" and not any(r.outcome == "failed" for r in cases):
        cases.append(Result(prefix + case.get("name"), "failed",
                            last_line(case.findtext("system-out") or "")))
      results += cases
    for path in described.values():  # a program that ctest knows under another name
      results += from_googletest(ElementTree.parse(path).getroot(), prefix)
  notes = directory / "notes.tsv"
  if notes.exists():
    for line in notes.read_text().splitlines():
      outcome, name, reason = (line.split("\t") + ["", ""])[:3]
      results.append(Result(name, outcome, reason))
  return sorted(results)


def unexpected_skips(results, allowed):
  """Returns the skipped results that no pattern of `allowed` (lines, # comments) matches."""
  patterns = [line.split("#")[0].strip() for line in allowed]
  patterns = [pattern for pattern in patterns if pattern]
  return [result for result in results if result.outcome == "skipped"
          and not any(fnmatch.fnmatchcase(result.name, pattern) for pattern in patterns)]


def render(results):
  """Returns the lines that end ./dev test; the last one is the counts."""
  lines = []
  for outcome, title in (("failed", "Failed:"), ("skipped", "Skipped:")):
    chosen = [result for result in results if result.outcome == outcome]
    if chosen:
      lines += ["", title]
      lines += [f"  {r.name}: {r.reason}" if r.reason else f"  {r.name}" for r in chosen]
  counts = {o: sum(r.outcome == o for r in results) for o in ("passed", "failed", "skipped")}
  return lines + ["", f"{counts['passed']} passed, {counts['failed']} failed, "
                      f"{counts['skipped']} skipped"]


def main(argv):
  parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
  parser.add_argument("directory", type=pathlib.Path)
  parser.add_argument("--allowed-skips", type=pathlib.Path)
  arguments = parser.parse_args(argv)
  results = collect(arguments.directory)
  unexpected = []
  if arguments.allowed_skips:
    unexpected = unexpected_skips(results, arguments.allowed_skips.read_text().splitlines())
    for result in unexpected:
      print(f"a skip that {arguments.allowed_skips} does not list: {result.name}: {result.reason}")
  print("\n".join(render(results)), flush=True)
  failed = any(result.outcome == "failed" for result in results)
  return 1 if failed or unexpected or not results else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
