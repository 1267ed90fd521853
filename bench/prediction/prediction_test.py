# SPDX-License-Identifier: Apache-2.0
"""The arithmetic by which a measured run becomes a prediction."""
import types
import unittest

import prediction
from prediction import Recovery


def fault(at, kind, ranks, back_at=0):
  return types.SimpleNamespace(at=at, kind=kind, ranks=ranks, back_at=back_at)


class PredictionTest(unittest.TestCase):

  def test_a_cost_is_lost_work_and_the_time_to_the_next_step_without_the_wait(self):
    self.assertAlmostEqual(Recovery(60, 57.5, 63, 0, "RestartInPlace").cost, 5.5)
    self.assertAlmostEqual(Recovery(60, 59, 195, 120, "Wait").cost, 16)
    self.assertEqual(Recovery(60, 60, 60, 5, "Wait").cost, 0)

  def test_steps_that_were_done_again_are_not_kept(self):
    steps = [(0, 10), (1, 11), (2, 12), (3, 13), (2, 20), (3, 21)]
    self.assertEqual(prediction.kept_until(steps, 13.5, 2, 1), 12)
    self.assertEqual(prediction.kept_until(steps, 13.5, 4, 1), 13.5)  # it struck within that step's end
    self.assertEqual(prediction.kept_until(steps, 5, 0, 1), 5)

  def test_costs_are_means_by_what_was_done(self):
    costs = prediction.costs_of([
        Recovery(0, 0, 2, 0, "RestartInPlace"), Recovery(0, 0, 4, 0, "RestartInPlace"),
        Recovery(0, 0, 130, 110, "Wait"), Recovery(0, 0, 30, 0, "RestartPod")])
    self.assertEqual(costs["inPlace"], 3)
    self.assertEqual(costs["podRestart"], 25)  # a wait ends in a new pod
    self.assertEqual(costs["swap"], 14)  # nothing is known of it

  def test_nothing_in_place_is_no_dearer_than_a_pod(self):
    costs = prediction.costs_of([Recovery(0, 0, 5, 0, "RestartPod"), Recovery(0, 0, 50, 0, "SwapSpare")])
    self.assertEqual((costs["inPlace"], costs["podRestart"], costs["swap"]), (5, 5, 50))

  def test_each_rank_of_a_fault_is_struck(self):
    job = prediction.job_of([Recovery(0, 0, 2, 0, "RestartInPlace")],
                            [fault(50, "worker", (0, 3)), fault(65, "node", (3,), 75)],
                            ranks=4, spares=1, seconds=100, rungs=["RestartPod"])
    self.assertEqual(job["nodes"], 5)
    self.assertEqual([each["at"] for each in job["faults"]], [50, 50, 65])
    self.assertEqual(job["faults"][1]["rank"], 3)
    self.assertEqual(job["faults"][2], {"at": 65, "kind": "node", "node": 3, "backAt": 75})
    self.assertEqual(job["rungs"], ["RestartPod"])
    self.assertLess(job["stepSeconds"] * job["checkpointEverySteps"], 0.01)


if __name__ == "__main__":
  unittest.main()
