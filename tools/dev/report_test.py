# SPDX-License-Identifier: Apache-2.0
"""Tests of report.py: no failure and no skip may get lost on the way to the last line."""

import pathlib
import tempfile
import unittest

import report

GOOGLETEST = """<testsuites><testsuite name="Store">
  <testcase name="a" classname="Store" status="run" result="completed"/>
  <testcase name="b" classname="Store" status="run" result="completed">
    <failure message="x_test.cc:3&#x0A;Expected: 1"/></testcase>
  <testcase name="c" classname="Store" status="run" result="skipped">
    <skipped message="x_test.cc:9&#x0A;needs root"/></testcase>
  <testcase name="d" classname="Store" status="notrun" result="suppressed"/>
</testsuite></testsuites>"""

UNITTEST = """test_one (m.C.test_one) ... ok
test_two (m.C.test_two)
It has a sentence. ... FAIL
test_three (m.C.test_three) ... skipped 'no network'
Ran 3 tests in 0.1s
"""


def ctest(*cases):
  return "<testsuite>" + "".join(
      f'<testcase name="{name}" status="{status}"><system-out>{output}</system-out></testcase>'
      for name, status, output in cases) + "</testsuite>"


class Report(unittest.TestCase):
  def setUp(self):
    directory = tempfile.TemporaryDirectory()
    self.addCleanup(directory.cleanup)
    self.directory = pathlib.Path(directory.name)
    (self.directory / "dev").mkdir()

  def collect(self, *cases, googletest=None, notes=""):
    (self.directory / "dev.ctest.xml").write_text(ctest(*cases))
    if googletest is not None:
      (self.directory / "dev" / "store_test.xml").write_text(googletest)
    (self.directory / "notes.tsv").write_text(notes)
    return report.collect(self.directory)

  def test_the_cases_of_a_googletest_program_are_counted_one_by_one(self):
    lines = report.render(self.collect(("unit.store", "fail", "…"), googletest=GOOGLETEST))
    self.assertEqual(lines[-1], "1 passed, 1 failed, 1 skipped")
    self.assertIn("  Store.c: needs root", lines)

  def test_a_program_that_crashes_after_its_report_has_failed(self):
    passed = GOOGLETEST.replace('<failure message="x_test.cc:3&#x0A;Expected: 1"/>', "")
    results = self.collect(("unit.store", "fail", "AddressSanitizer: leak"), googletest=passed)
    self.assertIn(report.Result("unit.store", "failed", "AddressSanitizer: leak"), results)

  def test_a_program_that_dies_while_it_writes_its_report_has_failed(self):
    results = self.collect(("unit.store", "fail", ""), googletest="<testsuites>")
    self.assertEqual([r.outcome for r in results], ["failed"])

  def test_a_crash_before_any_report_has_failed(self):
    results = self.collect(("unit.store", "fail", "Segmentation fault"))
    self.assertEqual(results, [report.Result("unit.store", "failed", "Segmentation fault")])

  def test_the_cases_of_a_unittest_are_counted_one_by_one(self):
    lines = report.render(self.collect(("e2e.kubectl", "fail", UNITTEST)))
    self.assertEqual(lines[-1], "1 passed, 1 failed, 1 skipped")
    self.assertIn("  e2e.kubectl.test_three: no network", lines)

  def test_a_skipped_script_says_why(self):
    results = self.collect(("e2e.demo", "notrun", "SKIPPED: pods need root\n"))
    self.assertEqual(results, [report.Result("e2e.demo", "skipped", "pods need root")])

  def test_notes_count_too(self):
    results = self.collect(("a", "run", ""), notes="failed\tformat\trun ./dev format\n")
    self.assertEqual(report.render(results)[-1], "1 passed, 1 failed, 0 skipped")

  def test_only_listed_skips_are_allowed(self):
    results = self.collect(("e2e.gpu", "notrun", "SKIPPED: no GPU\n"),
                           ("e2e.demo", "notrun", "SKIPPED: pods need root\n"))
    unexpected = report.unexpected_skips(results, ["# comment", "e2e.g*  # no GPU in CI"])
    self.assertEqual([result.name for result in unexpected], ["e2e.demo"])


if __name__ == "__main__":
  unittest.main()
