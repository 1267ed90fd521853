# SPDX-License-Identifier: Apache-2.0
"""What a run says of itself, as the file of `pelton sim --job` that is to predict its goodput.

The simulator's model has costs by what was done about a failure; what is measured is how long each fault
kept the job from new steps. So the costs are put in from the run itself, and what is predicted is the
structure: what is done about each fault, who waits for whom and for how long, and which faults meet
while the job stands. Lost work is part of the measured costs, since where within a checkpoint's interval
a fault strikes is chance, which weighs heavily in a short run: the model is told of steps too short to lose.
"""
import dataclasses
import statistics

# Which of the model's costs a rung's time is. Who waits for a machine starts in a new pod when it is back.
COST_OF = {"RestartInPlace": "inPlace", "RestartPod": "podRestart", "Wait": "podRestart",
           "Start": "podRestart", "SwapSpare": "swap", "Shrink": "shrink", "ChangeMesh": "shrink",
           "Grow": "grow"}
COSTS = ("inPlace", "podRestart", "swap", "shrink", "grow")
STEP_SECONDS = 0.001


@dataclasses.dataclass
class Recovery:
  """One fault that was survived. Times are seconds since the run began."""
  at: float  # when it struck
  kept_until: float  # the end of the last step before it that was not done again
  resumed: float  # the beginning of the first new step
  waited: float  # of that, for a machine that was away
  rung: str  # of the newest generation that began in between; "": none is known

  @property
  def cost(self):
    return max(0, self.resumed - self.kept_until - self.waited)


def kept_until(steps, at, resumed_step, usual):
  """When the last step before `at` ended that was not done again. `steps` are (number, when it began) in
  time; `resumed_step` is the first that was done after it, `usual` the seconds of one."""
  kept = [began for number, began in steps if began < at and number < resumed_step]
  return min(at, max(kept) + usual) if kept else at


def costs_of(recoveries):
  """The mean by cost; one of which the run has nothing is the mean of all."""
  seconds = {}
  for each in recoveries:
    seconds.setdefault(COST_OF.get(each.rung, ""), []).append(each.cost)
  usual = statistics.mean(each.cost for each in recoveries)
  costs = {name: statistics.mean(seconds.get(name, [usual])) for name in COSTS}
  # A pod's start is what its restart takes beyond one in place.
  costs["podRestart"] = max(costs["podRestart"], 0)
  if "inPlace" not in seconds:
    costs["inPlace"] = min(costs["inPlace"], costs["podRestart"])
  return costs


def job_of(recoveries, faults, *, ranks, spares, seconds, rungs=None):
  """The job file. `faults` have at, kind ("worker" or "node"), ranks and back_at, as in goodput.py."""
  struck = []
  for fault in faults:
    for rank in fault.ranks:
      struck.append({"at": fault.at, "kind": "node", "node": rank, "backAt": fault.back_at}
                    if fault.kind == "node" else {"at": fault.at, "kind": "worker", "rank": rank})
  job = {"nodes": ranks + spares, "ranksPerNode": 1, "spares": spares, "stepSeconds": STEP_SECONDS,
         "checkpointEverySteps": 1, "startSeconds": 0, "costs": costs_of(recoveries),
         "detect": {"worker": 0, "hang": 0, "node": 0},  # the costs have it
         "faults": struck, "wallSeconds": seconds}
  if rungs:
    job["rungs"] = rungs
  return job
