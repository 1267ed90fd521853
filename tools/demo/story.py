# SPDX-License-Identifier: Apache-2.0
"""What the demo knows: everything that the Kubernetes API said, put in order. Pure.

A Story is told by whoever reads the API (pods, JobSet, events, log lines, each with the time in
seconds since the start) and read by the view and the summary.
"""

import dataclasses
import re

STEP = re.compile(r"^step=(\d+) loss=([\d.]+|nan) ms=(\d+) tokens_per_s=(\d+) of=(\d+)$")
CHECKPOINT = re.compile(r"^checkpoint: step=(\d+) ")
BEGIN = re.compile(r"^(?:resume|start): step=(\d+) rank=(\d+) ")
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
  uid: str = ""


@dataclasses.dataclass(frozen=True)
class Kill:
  at: float
  kind: str  # "worker" or "node"
  name: str  # the worker's index, or the node's name
  pids: tuple

  def __str__(self):
    return f"{self.kind} {self.name}"


@dataclasses.dataclass(frozen=True)
class Interruption:
  """One or more kills after which training began again once, or has not yet."""
  kills: tuple
  highest_step: int  # that was ever finished before it began again
  last_step: int  # that was finished in the attempt that was ended
  begun_at: float | None
  begun_from: int | None  # the step of the checkpoint, 0 without one

  @property
  def steps_redone(self):
    return None if self.begun_at is None else max(0, self.last_step - self.begun_from)


@dataclasses.dataclass
class Story:
  steps: list = dataclasses.field(default_factory=list)  # every Step as it came, redone ones too
  total_steps: int = 0
  checkpoints: list = dataclasses.field(default_factory=list)  # (at, step)
  begins: list = dataclasses.field(default_factory=list)  # (at, step) from which rank 0 began
  agreement: bool | None = None
  parameters: str = ""
  pods: list = dataclasses.field(default_factory=list)
  events: list = dataclasses.field(default_factory=list)  # (key, text), oldest first
  restarts: int = 0
  max_restarts: int | None = None
  outcome: str = ""  # "", "Completed" or "Failed"
  outcome_message: str = ""
  kills: list = dataclasses.field(default_factory=list)
  silent_nodes: list = dataclasses.field(default_factory=list)  # that are not Ready
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
    elif match := BEGIN.match(line):
      self.begins.append((at, int(match[1])))
    elif match := AGREEMENT.match(line):
      self.agreement = match[2] == "yes"
    elif match := PARAMETERS.match(line):
      self.parameters = match[1]

  def on_pods(self, pods):
    self.pods = sorted((pod_row(pod) for pod in pods), key=lambda p: (p.attempt, p.index, p.name))

  def on_jobset(self, jobset):
    status = jobset.get("status", {})
    self.restarts = status.get("restarts", 0)
    self.max_restarts = jobset.get("spec", {}).get("failurePolicy", {}).get("maxRestarts")
    for condition in status.get("conditions", []):
      if condition.get("type") in ("Completed", "Failed") and condition.get("status") == "True":
        self.outcome = condition["type"]
        self.outcome_message = condition.get("message", "")

  def on_events(self, events):
    ordered = sorted(events, key=event_order)
    self.events = [(e["metadata"].get("uid", e["metadata"]["name"]), event_text(e))
                   for e in ordered]

  def on_nodes(self, nodes):
    self.virtual, self.real, self.silent_nodes = {}, {}, []
    for node in nodes:
      if not is_ready(node):
        self.silent_nodes.append(node["metadata"].get("name", "?"))
      labels = node["metadata"].get("labels", {})
      into = self.virtual if labels.get("pelton.dev/virtual-accelerator") == "true" else self.real
      for resource, count in node.get("status", {}).get("capacity", {}).items():
        if resource in ("google.com/tpu", "nvidia.com/gpu"):
          into[resource] = into.get(resource, 0) + int(count)

  def on_kill(self, at, kind, name, pids):
    self.kills.append(Kill(at, kind, name, tuple(pids)))

  @property
  def last_step(self):
    """The highest step that was finished, 0 at first."""
    return max((step.number for step in self.steps), default=0)

  @property
  def last_checkpoint(self):
    return self.checkpoints[-1][1] if self.checkpoints else 0

  def interruptions(self):
    """Returns the kills, those together after which training began again only once."""
    groups = []
    for kill in self.kills:
      begin = next(((at, step) for at, step in self.begins if at > kill.at), None)
      if groups and groups[-1][1] == begin:
        groups[-1][0].append(kill)
      else:
        groups.append(([kill], begin))
    return [self.interruption(kills, begin) for kills, begin in groups]

  def interruption(self, kills, begin):
    # A log's lines may come after the kill: what came before the next beginning was finished.
    end = begin[0] if begin else float("inf")
    before = [step for step in self.steps if step.at < end]
    began = next((b for b in reversed(self.begins) if b[0] < end), (0.0, 0))
    attempt = [step.number for step in before if step.at >= began[0]]
    return Interruption(tuple(kills), max((step.number for step in before), default=0),
                        attempt[-1] if attempt else began[1], *(begin or (None, None)))

  def steps_redone(self):
    """How many finished steps had to be computed again, or None while that is not known."""
    redone = [interruption.steps_redone for interruption in self.interruptions()]
    return None if None in redone else sum(redone)

  def seconds_lost(self):
    """From the last step before a kill to the first new one after it, less that step's own time.

    Times in which a second kill came before the first was made good count once. None while a new
    step is still to come.
    """
    spans = [self.lost_span(interruption) for interruption in self.interruptions()]
    if None in spans:
      return None
    lost, until = 0.0, 0.0
    for begin, end in sorted(spans):
      lost += max(0.0, end - max(begin, until))
      until = max(until, end)
    return lost

  def lost_span(self, interruption):
    """Returns (begin, end) of the time that it cost, or None while it has no end."""
    highest, begun_at = interruption.highest_step, interruption.begun_at
    begin = next((s.at for s in self.steps if s.number == highest), interruption.kills[0].at)
    # Where the very last step is the one that is done again, nothing newer comes.
    goal = min(highest + 1, self.total_steps or highest + 1)
    new = next((s for s in self.steps
                if s.number >= goal and begun_at is not None and s.at > begun_at), None)
    return (begin, new.at - new.milliseconds / 1000) if new else None

  def kill_count(self):
    """Returns the kills in words, e.g. "2 workers, 1 node"; "" where there were none."""
    numbers = [(kind, sum(kill.kind == kind for kill in self.kills)) for kind in ("worker", "node")]
    return ", ".join(f"{n} {kind}{'' if n == 1 else 's'}" for kind, n in numbers if n)


def is_ready(node):
  """Whether the node's Ready condition is True; a node without conditions has told nothing bad."""
  conditions = node.get("status", {}).get("conditions", [])
  return all(c.get("status") == "True" for c in conditions if c.get("type") == "Ready")


def pod_row(pod):
  labels = pod["metadata"].get("labels", {})
  return PodRow(
      name=pod["metadata"]["name"],
      index=labels.get("batch.kubernetes.io/job-completion-index", "?"),
      node=pod.get("spec", {}).get("nodeName", "") or "-",
      status=pod_status(pod),
      attempt=labels.get("jobset.sigs.k8s.io/restart-attempt", "0"),
      uid=pod["metadata"].get("uid", ""))


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
