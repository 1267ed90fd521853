# SPDX-License-Identifier: Apache-2.0
"""How the demo ends: what happened, in measured numbers, and whether it was as it should be. Pure."""

GOAL_LOSS = 2.5
LAST = 10


def final_loss(story):
  """Returns the mean loss of the last steps: one batch's own loss is noisy."""
  by_number = {step.number: step.loss for step in story.steps}
  last = [by_number[number] for number in sorted(by_number)[-LAST:]]
  return sum(last) / len(last) if last else None


def verdict(story, kill_wanted=True):
  """Returns what is wrong, in sentences; nothing is wrong where the list is empty."""
  wrong = []
  if story.outcome != "Completed":
    wrong.append(f"the JobSet did not complete: {story.outcome_message or 'no condition says why'}")
    return wrong
  if story.last_step < story.total_steps or not story.total_steps:
    wrong.append(f"the log ends at step {story.last_step} of {story.total_steps}")
  if story.agreement is not True:
    wrong.append("the ranks did not confirm that they hold the same parameters")
  loss = final_loss(story)
  if loss is None or loss >= GOAL_LOSS:
    wrong.append(f"the loss did not fall below {GOAL_LOSS}")
  if kill_wanted and not story.kills:
    wrong.append("no worker was lost: the job ended before one could be killed")
  if story.kills and not story.restarts:
    wrong.append(f"{story.kill_count()} killed, and the JobSet counts no restart")
  return wrong


def lines(story, wall_seconds, logs, kept, commands):
  """Returns the text of the summary. `commands` are what to try next."""
  loss = final_loss(story)
  rows = [("outcome", f"{story.outcome or 'not finished'} (JobSet train-gpt)")]
  if loss is not None:
    first = min(story.steps, key=lambda step: step.number)
    rows.append(("loss", f"{first.loss:.2f} at step {first.number}, {loss:.2f} at the end (mean of "
                         f"the last {LAST} of {story.last_step} steps)"))
  if story.agreement:
    rows.append(("parameters", f"equal on all ranks, sha256 {story.parameters[:16]}…"))
  rows += failures(story)
  rows.append(("restarts", str(story.restarts)))
  rows.append(("wall time", f"{wall_seconds:.0f} s"))
  rows.append(("accelerators", accelerators(story)))
  rows.append(("logs", logs))
  text = ["", *(f"  {name:<14}{value}" for name, value in rows), ""]
  text.append("The cluster is still up. Try:" if kept else "Try next:")
  return text + [f"  {command}" for command in commands]


def failures(story):
  """Returns the rows of what was killed and what that cost."""
  interruptions = story.interruptions()
  if not interruptions:
    return []
  rows = [("killed", story.kill_count())]
  for interruption in interruptions:
    for kill in interruption.kills:
      what = f" ({len(kill.pids)} processes)" if kill.kind == "node" else ""
      rows.append(("", f"SIGKILL of {kill}{what} after step {interruption.last_step}, at "
                       f"{kill.at:.0f} s"))
  lost, redone = story.seconds_lost(), story.steps_redone()
  froms = ", then ".join(f"{i.begun_from}" for i in interruptions if i.begun_from is not None)
  rows.append(("steps redone", "unknown" if redone is None else
               f"{redone} (training went on from the checkpoint at step {froms})"))
  rows.append(("seconds lost", "unknown" if lost is None else
               f"{lost:.1f} (from the last step before "
               f"{'the' if len(interruptions) == 1 else 'each'} kill to the first new one)"))
  return rows


def accelerators(story):
  def count(resources):
    return ", ".join(f"{n} x {name}" for name, n in sorted(resources.items()))
  parts = []
  if story.virtual:
    parts.append(f"{count(story.virtual)}: virtual (counted and scheduled; the CPU computes)")
  if story.real:
    parts.append(f"{count(story.real)}: real")
  return "; ".join(parts) or "none"
