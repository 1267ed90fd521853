# SPDX-License-Identifier: Apache-2.0
"""What each rung of the ladder takes on a cluster, from the fault and from the decision to a new step.

The job of ./dev torture: JAX (examples/train-gpt) on four ranks and a spare, each a pod on a node of
its own. A trial is four faults: a worker gets SIGKILL (restart in place), a node loses its power
(the spare takes over), another one does (one rank fewer), and both come back (grow). Read from the
RecoveryPolicy's status: seconds to the end of the generation's first step, less one median step;
"from the decision" leaves out how long the node had to be silent. "lost" are steps done twice.

    rungs.py [TRIALS] [-o json]    20 trials by default
"""

import argparse
import datetime
import json
import os
import pathlib
import random
import signal
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/torture"), str(ROOT / "tests/e2e"), str(ROOT / "tools/demo")]

import chaos  # noqa: E402  pylint: disable=wrong-import-position
import cluster_job  # noqa: E402  pylint: disable=wrong-import-position
from cluster import Cluster  # noqa: E402  pylint: disable=wrong-import-position

STEPS = 10_000_000
GOALS = {"RestartInPlace": "<= 1.8 (JAX, 4 ranks)", "Shrink": "<= restart in place + 0.3, <= 1 lost"}


def instant(text):
  return datetime.datetime.fromisoformat(text).timestamp()


class Trials:
  """Strikes, and remembers of every generation when it was asked for and what its record says."""

  def __init__(self, job):
    self.job, self.asked, self.past = job, {}, {}

  def look(self):
    for each in self.job.record().get("history", []):
      if not each.get("folded"):  # many old ones in one
        self.past[each["number"]] = each

  def strike(self, rungs, act):
    """Acts, and waits until a generation of one of those rungs trains."""
    number, _ = self.job.until_it_trains()
    at = time.time()
    act()
    while True:
      number, _ = self.job.until_it_trains(after=number)
      self.look()
      found = self.job.record()["lastDecision"]["rung"]
      if found in rungs:
        self.asked[number] = (found, at)
        return
      print(f"  {found} came before {rungs[0]}", file=sys.stderr)

  def lose_node(self):
    node = random.choice(self.job.members())["node"]
    chaos.kill_node(node, self.job.cluster.directory)

  def kill_worker(self):
    os.kill(random.choice([pid for member in self.job.members() for pid in self.job.workers(member)]),
            signal.SIGKILL)

  def run(self):
    # A swap may be the cheaper answer, by what both have taken here so far.
    self.strike(("RestartInPlace", "SwapSpare"), self.kill_worker)
    self.strike(("SwapSpare",), self.lose_node)
    self.strike(("Shrink",), self.lose_node)
    self.strike(("Grow",), self.job.cluster.start)

  def results(self):
    """{rung: [(seconds from the fault, from the decision, steps lost)]}; both less a median step."""
    lengths = [(instant(each["lastStepAt"]) - instant(each["firstStepAt"]))
               / (each["lastStep"] - each["firstStep"])
               for each in self.past.values() if each.get("lastStep", -1) > each.get("firstStep", -1) >= 0]
    step, found = statistics.median(lengths), {}
    for number, (rung, at) in self.asked.items():
      each, before = self.past.get(number), self.past.get(number - 1)
      if each and "firstStepAt" in each:
        end = instant(each["firstStepAt"]) - step
        lost = before["lastStep"] + 1 - each["firstStep"] if before and "lastStep" in before else None
        found.setdefault(rung, []).append((end - at, end - instant(each["began"]), lost))
    return step, found


def percentile(values, share):
  ordered = sorted(values)
  return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main():
  parser = argparse.ArgumentParser(prog="./dev bench rungs", description=__doc__.split("\n\n", maxsplit=1)[0])
  parser.add_argument("trials", type=int, nargs="?", default=20)
  parser.add_argument("-o", "--output", choices=["json"])
  options = parser.parse_args()
  cluster = Cluster(nodes=cluster_job.NODES, park=ROOT / "tests/torture/park.yaml")
  cluster.start()
  try:
    job = cluster_job.Job(cluster, "rungs", STEPS, minReplicas=cluster_job.RANKS - 1)
    try:
      trials = Trials(job)
      for trial in range(options.trials):
        trials.run()
        print(f"trial {trial + 1} of {options.trials}", file=sys.stderr)
      trials.strike("RestartInPlace", trials.kill_worker)  # so that the last one is history, too
      step, found = trials.results()
    finally:
      job.close()
  finally:
    cluster.stop()
  if options.output == "json":
    print(json.dumps({"stepSeconds": step, "rungs": found}))
    return
  print(f"a step: {step * 1e3:.0f} ms\n")
  print(f"{'rung':<16}{'trials':>7}{'from the fault':>16}{'p95':>7}{'from the decision':>19}{'p95':>7}{'lost':>6}"
        f"{'worst':>7}  goal")
  for rung, each in found.items():
    fault, decision, lost = zip(*each)
    lost = [steps for steps in lost if steps is not None] or [0]
    print(f"{rung:<16}{len(each):>7}{statistics.median(fault):>16.2f}{percentile(fault, 0.95):>7.2f}"
          f"{statistics.median(decision):>19.2f}{percentile(decision, 0.95):>7.2f}"
          f"{statistics.median(lost):>6.0f}{max(lost):>7}  {GOALS.get(rung, '')}")


if __name__ == "__main__":
  main()
