# SPDX-License-Identifier: Apache-2.0
"""What the demo knows: everything that the Kubernetes API said, put in order. Pure.

A Story is told by whoever reads the API (pods, JobSet, events, log lines, each with the time in
seconds since the start) and read by the view and the summary.
"""

import dataclasses
import re

STEP = re.compile(r"^step=(\d+) loss=([\d.]+|nan) ms=(\d+) tokens_per_s=(\d+) of=(\d+)$")
CHECKPOINT = re.compile(r"^checkpoint: step=(\d+) ")
RESUME = re.compile(r"^resume: step=(\d+) rank=(\d+) ")
AGREEMENT = re.compile(r"^agreement: ranks=(\d+) equal=(yes|no)$")
PARAMETERS = re.compile(r"^done: rank=\d+ parameters_sha256=([0-9a-f]+)$")


@dataclasses.dataclass(frozen=True)
class Step:
  at: float
  number: int
  loss: float
  milliseconds: int
  tokens_per_second: int


@dataclasses.dataclass(frozen=True)
class PodRow:
  name: str
  index: str
  node: str
  status: str
  attempt: str
  since: str = ""


@dataclasses.dataclass(frozen=True)
class Kill:
  at: float
  pod: str
  index: str
  pid: int
  last_step: int


@dataclasses.dataclass
class Story:
  steps: list = dataclasses.field(default_factory=list)  # every Step as it came, redone ones too
  total_steps: int = 0
  checkpoints: list = dataclasses.field(default_factory=list)  # (at, step)
  resumes: list = dataclasses.field(default_factory=list)  # (at, step), of rank 0
  agreement: bool | None = None
  parameters: str = ""
  pods: list = dataclasses.field(default_factory=list)
  events: list = dataclasses.field(default_factory=list)  # (key, text), oldest first
  restarts: int = 0
  outcome: str = ""  # "", "Completed" or "Failed"
  outcome_message: str = ""
  kill: Kill | None = None
  virtual: dict = dataclasses.field(default_factory=dict)  # resource → how many are virtual
  real: dict = dataclasses.field(default_factory=dict)

  def on_log_line(self, at, line):
    """A line that rank 0 printed."""
    if match := STEP.match(line):
      number, loss, milliseconds, tokens, total = match.groups()
      self.steps.append(Step(at, int(number), float(loss), int(milliseconds), int(tokens)))
      self.total_steps = int(total)
    elif match := CHECKPOINT.match(line):
      self.checkpoints.append((at, int(match[1])))
    elif match := RESUME.match(line):
      self.resumes.append((at, int(match[1])))
    elif match := AGREEMENT.match(line):
      self.agreement = match[2] == "yes"
    elif match := PARAMETERS.match(line):
      self.parameters = match[1]

  def on_pods(self, pods):
    self.pods = sorted((pod_row(pod) for pod in pods), key=lambda p: (p.attempt, p.index, p.name))

  def on_jobset(self, jobset):
    status = jobset.get("status", {})
    self.restarts = status.get("restarts", 0)
    for condition in status.get("conditions", []):
      if condition.get("type") in ("Completed", "Failed") and condition.get("status") == "True":
        self.outcome = condition["type"]
        self.outcome_message = condition.get("message", "")

  def on_events(self, events):
    ordered = sorted(events, key=event_order)
    self.events = [(e["metadata"].get("uid", e["metadata"]["name"]), event_text(e))
                   for e in ordered]

  def on_nodes(self, nodes):
    self.virtual, self.real = {}, {}
    for node in nodes:
      labels = node["metadata"].get("labels", {})
      into = self.virtual if labels.get("pelton.dev/virtual-accelerator") == "true" else self.real
      for resource, count in node.get("status", {}).get("capacity", {}).items():
        if resource in ("google.com/tpu", "nvidia.com/gpu"):
          into[resource] = into.get(resource, 0) + int(count)

  def on_kill(self, at, pod, index, pid):
    self.kill = Kill(at, pod, index, pid, self.last_step)

  @property
  def last_step(self):
    """The highest step that was finished, 0 at first."""
    return max((step.number for step in self.steps), default=0)

  @property
  def last_checkpoint(self):
    return self.checkpoints[-1][1] if self.checkpoints else 0

  def steps_before_kill(self):
    return [s for s in self.steps if self.kill and s.number <= self.steps_lost_from()]

  def steps_lost_from(self):
    """The last step that was finished before the restart; the log may tell it after the kill."""
    if not self.kill:
      return 0
    cut = next((at for at, _ in self.resumes if at > self.kill.at), None)
    return max((s.number for s in self.steps if cut is None or s.at < cut), default=0)

  def steps_redone(self):
    """How many finished steps had to be computed again, or None while that is not known."""
    if not self.kill:
      return 0
    resumed = [step for at, step in self.resumes if at > self.kill.at]
    return self.steps_lost_from() - resumed[0] if resumed else None

  def seconds_lost(self):
    """From the last step before the kill to the first new one after it, less that step's own time.

    None while there is none.
    """
    if not self.kill:
      return 0.0
    last = self.steps_lost_from()
    before = [s for s in self.steps if s.number == last]
    after = [s for s in self.steps if s.number > last]
    if not before or not after:
      return None
    return max(0.0, after[0].at - before[0].at - after[0].milliseconds / 1000)


def pod_row(pod):
  labels = pod["metadata"].get("labels", {})
  return PodRow(
      name=pod["metadata"]["name"],
      index=labels.get("batch.kubernetes.io/job-completion-index", "?"),
      node=pod.get("spec", {}).get("nodeName", "") or "-",
      status=pod_status(pod),
      attempt=labels.get("jobset.sigs.k8s.io/restart-attempt", "0"))


def pod_status(pod):
  """Returns what `kubectl get pods` would show in its STATUS column, with the exit code."""
  if pod["metadata"].get("deletionTimestamp"):
    return "Terminating"
  for container in pod.get("status", {}).get("containerStatuses", []):
    state = container.get("state", {})
    if "waiting" in state:
      return state["waiting"].get("reason", "Waiting")
    if "terminated" in state:
      ended = state["terminated"]
      code = ended.get("exitCode", 0)
      return ended.get("reason", "Terminated") + (f" (exit code {code})" if code else "")
  return pod.get("status", {}).get("reason") or pod.get("status", {}).get("phase", "Pending")


def event_time(event):
  return (event.get("eventTime") or event.get("lastTimestamp") or event.get("firstTimestamp")
          or event["metadata"].get("creationTimestamp") or "")


def event_order(event):
  """Times have a second's resolution; within one, later writes have larger versions."""
  version = event["metadata"].get("resourceVersion", "")
  return event_time(event), len(version), version


def event_text(event):
  about = event.get("involvedObject") or event.get("regarding") or {}
  times = event.get("count") or 1
  return (f"{about.get('kind', '?').lower()}/{about.get('name', '?')} {event.get('reason', '')}: "
          f"{(event.get('message') or event.get('note') or '').strip()}"
          + (f" (x{times})" if times > 1 else ""))
