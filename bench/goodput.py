# SPDX-License-Identifier: Apache-2.0
"""Goodput of one unmodified PyTorch script under one script of faults, by who looks after it.

The script is examples/recipes/torch-ddp/train.py: DDP over gloo on 4 ranks, with Pelton's checkpoints, and
under torchrun with torch.save in their place (bench/torch/torch_save.py). A machine is a node agent of
`pelton up` with one rank; for torchrun, an agent of its own (`--nnodes 4`, as a JobSet would start it), begun
again as often as it ends. The faults, within ten minutes: a killed rank at 1:00, a machine that loses its
power at 2:00 and comes back at 4:00, two killed ranks at 5:00, another machine from 6:30 to 7:30, a killed rank at 9:00; other lengths are scaled.

  pelton             all rungs of the ladder, one spare, and checkpoints in memory, each step, and on disk
  pelton, disk only  no tiers in memory
  pelton, no spare   who lost a machine waits until it comes back
  pelton, new pods   and no restart in place: every failure makes a new pod
  torchrun           --max-restarts without end, static membership, a store of its own for each
                     rendezvous (with the shared one, four agents on one host had not come back after a minute)

Measured alike for all, by what the script prints: its lines become a log of events, of which
`pelton goodput --log` says goodput (time in kept steps over all time from the first step on) and where the
rest went; a save belongs to its step. "predicted" is what `pelton sim --job` says of the same faults, given
the run's own mean cost of each rung, lost work included (bench/prediction/); "off" is the difference in
points. "met" is how many of the faults it had recovered from at the end, MTTR their mean time to the next
step.

    goodput.py [--minutes 10] [--only NAME;…] [--json FILE]

Five runs of so many minutes, and what each takes to start.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/e2e"), str(ROOT / "tools/demo"), str(ROOT / "bench/prediction")]

import chaos  # noqa: E402  pylint: disable=wrong-import-position
import prediction  # noqa: E402  pylint: disable=wrong-import-position
from cluster import PELTON, Cluster, eventually  # noqa: E402  pylint: disable=wrong-import-position

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
VENV = CACHE / "pelton/venvs/torch/bin"
TRAIN = ROOT / "examples/recipes/torch-ddp/train.py"
TORCH_SAVE = ROOT / "bench/torch/torch_save.py"
RANKS, STATE_MB, EVERY, GIVE_UP_SECONDS = 4, 32, 10, 300
PARK = f"""
apiVersion: pelton.dev/v1alpha1
kind: Park
metadata: {{name: bench}}
spec:
  zones: [{{name: local-a}}]
  machineTypes: [{{name: host, cpu: "64", memory: 64Gi, accelerators: {{google.com/tpu: 1}}}}]
  machines: [{{type: host, zone: local-a, count: {RANKS + 1}}}]
  images:
  - image: pelton.dev/torch
    venv: torch
    binds: [{{from: {ROOT}/examples/recipes, to: /examples/recipes}}]
"""


@dataclasses.dataclass
class Fault:
  """`kind` "worker" or "node"; `ranks` are those whose worker or machine is hit."""
  at: float
  kind: str
  ranks: tuple
  back_at: float = 0


# In a run of 600 s. Not rank 0's machine: with it goes torchrun's rendezvous, and the job for good.
FAULTS = [Fault(60, "worker", (1,)), Fault(120, "node", (2,), 240), Fault(300, "worker", (0, 3)),
          Fault(390, "node", (3,), 450), Fault(540, "worker", (2,))]


def faults_within(seconds):
  scale = seconds / 600
  return [Fault(f.at * scale, f.kind, f.ranks, f.back_at * scale) for f in FAULTS]


def script_arguments(directory):
  return ["--steps=100000000", f"--state-mb={STATE_MB}", "--layers=1", f"--checkpoint-every={EVERY}",
          "--memory-every=1", f"--checkpoint-dir={directory}"]


def pelton(*words):
  done = subprocess.run([PELTON, *map(str, words)], capture_output=True, text=True, check=False)
  if done.returncode:
    raise RuntimeError(f"pelton {' '.join(map(str, words))}: {done.stderr.strip()}")
  return done.stdout


def kill_all(pids):
  for pid in pids:
    try:
      os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
      pass  # it has just ended


class Told:
  """What the script has printed, as entries of ml-goodput-measurement's log."""

  def __init__(self, directory):
    self.path, self.events, self.lock = pathlib.Path(directory) / "events.jsonl", [], threading.Lock()
    self.add(job_start_time=time.time())

  def add(self, **entry):
    with self.lock:
      self.events.append({"job_name": "train", **entry})

  def line(self, line, at):
    if line.startswith("resume: "):
      self.add(job_start_time=at)
    elif told := re.match(r"step=(\d+) .* ms=(\d+)", line):
      self.add(step_count=int(told[1]), step_start_time=at - int(told[2]) / 1e3)

  def wait_for_steps(self):
    eventually(lambda: any("step_count" in event for event in list(self.events)),
               timeout=GIVE_UP_SECONDS, what="the first step")

  def report(self):
    with self.lock:  # lines of two processes may have crossed
      ordered = sorted(self.events, key=lambda e: e.get("step_start_time") or e["job_start_time"])
    self.path.write_text("".join(json.dumps(event) + "\n" for event in ordered))
    return json.loads(pelton("goodput", "--log", self.path, "-o", "json"))


class OnPelton:
  """The script as a JobSet on a cluster of its own."""

  def __init__(self, directory, spec, spares):
    self.told, self.followers, self.is_closed = Told(directory), {}, threading.Event()
    self.checkpoints = pathlib.Path("/var/tmp") / f"pelton-bench-goodput-{os.getpid()}"
    shutil.rmtree(self.checkpoints, ignore_errors=True)
    self.checkpoints.mkdir()
    park = pathlib.Path(directory) / "park.yaml"
    park.write_text(PARK)
    self.cluster = Cluster(nodes=RANKS + spares, park=park)
    self.cluster.start()
    try:
      for manifest in self.manifests(spec, RANKS + spares):
        self.cluster.apply(manifest)
    except BaseException:
      self.close()
      raise
    threading.Thread(target=self.follow_pods, daemon=True).start()

  def follow_pods(self):
    while not self.is_closed.wait(1):
      done = self.cluster.kubectl("get", "pods", "-o", "jsonpath={range .items[?(@.status.phase=='Running')]}"
                                  "{.metadata.name} {end}", check=False)
      for pod in done.stdout.split():
        # An agent that comes back has broken the stream off, so it is asked again from its end on.
        if pod not in self.followers or self.followers[pod].poll() is not None:
          self.followers[pod] = self.cluster.popen_kubectl(
              "logs", "-f", "--timestamps", *(["--since=1s"] if pod in self.followers else []), pod)
          threading.Thread(target=self.follow, args=(self.followers[pod],), daemon=True).start()

  def follow(self, process):
    for line in process.stdout:
      at, _, text = line.partition(" ")
      if re.match(r"\d{4}-\d\d-\d\dT", at):
        self.told.line(text, instant(at))

  def manifests(self, spec, pods):
    container = {
        "name": "trainer", "image": "pelton.dev/torch",
        "command": ["pelton", "run", f"--nnodes={pods}", "--", "python",
                    "/examples/recipes/torch-ddp/train.py", *script_arguments("/checkpoints")],
        "env": [{"name": "OMP_NUM_THREADS", "value": "1"}],
        "resources": {"limits": {"google.com/tpu": 1}},
        "volumeMounts": [{"name": "checkpoints", "mountPath": "/checkpoints"}]}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container],
           "volumes": [{"name": "checkpoints", "hostPath": {"path": str(self.checkpoints)}}]}
    return [
        {"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy", "metadata": {"name": "bench"},
         "spec": spec},
        {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
         "metadata": {"name": "train", "labels": {"pelton.dev/recovery-policy": "bench"}},
         "spec": {"failurePolicy": {"maxRestarts": 1000}, "replicatedJobs": [
             {"name": "workers", "template": {"spec": {
                 "parallelism": pods, "completions": pods, "completionMode": "Indexed",
                 "backoffLimit": 0, "template": {"spec": pod}}}}]}}]

  def record(self):
    entries = self.cluster.get("recoverypolicy", "bench").get("status", {}).get("jobSets", [])
    return entries[0] if entries else {}

  def member(self, rank):
    members = self.record()["generation"]["members"]
    return members[rank] if rank < len(members) else members[-1]

  def kill_workers(self, ranks):
    def find():
      try:
        processes = chaos.all_processes()
        return [chaos.find_worker(processes, None, f"{self.cluster.directory}/nodes/{member['node']}/pods/"
                                  f"{member['podUID']}") for member in map(self.member, ranks)]
      except LookupError:
        return None  # one is just being started

    kill_all(eventually(find, timeout=60, what=f"workers of ranks {ranks} to kill"))

  def lose_nodes(self, ranks):
    for member in list(map(self.member, ranks)):
      chaos.kill_node(member["node"], self.cluster.directory)

  def nodes_return(self, _):
    self.cluster.start()

  def generations(self):
    """[(when it began, by which rung)]"""
    record = self.record()
    past = [(instant(each["began"]), each["rung"]) for each in record.get("history", [])]
    return [*past, (instant(record["generation"]["began"]), record["lastDecision"]["rung"])]

  def close(self):
    self.is_closed.set()
    self.cluster.stop()
    for follower in self.followers.values():
      follower.kill()
    shutil.rmtree(self.checkpoints, ignore_errors=True)


class OnTorchrun:
  """The script under four agents of torchrun, each begun again when it ends."""

  def __init__(self, directory, *_):
    self.directory = pathlib.Path(directory)
    with socket.socket() as probe:
      probe.bind(("127.0.0.1", 0))
      self.port = probe.getsockname()[1]
    self.told, self.pids, self.agents = Told(directory), {}, {}
    self.lost, self.is_closed = set(), False
    for machine in range(RANKS):
      self.start(machine)

  def start(self, machine):
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    errors = open(self.directory / f"stderr-{machine}", "ab")
    agent = subprocess.Popen(
        [VENV / "torchrun", f"--nnodes={RANKS}", "--nproc-per-node=1", "--max-restarts=1000",
         "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{self.port}", "--rdzv-id=bench",
         f"--rdzv-conf=is_host={int(machine == 0)}", TORCH_SAVE, TRAIN,
         *script_arguments(self.directory / "checkpoints")],
        stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True,
        env={**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "python"),
             "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"})
    self.agents[machine] = agent
    threading.Thread(target=self.follow, args=(machine, agent), daemon=True).start()

  def follow(self, machine, agent):
    for line in agent.stdout:
      if told := re.match(r"rank=\d+ pid=(\d+)", line):
        self.pids[machine] = int(told[1])
      self.told.line(line, time.time())
    agent.wait()
    if not self.is_closed and machine not in self.lost:
      self.start(machine)

  def kill_workers(self, ranks):
    kill_all([self.pids[rank] for rank in ranks])

  def lose_nodes(self, ranks):
    self.lost.update(ranks)
    processes = chaos.all_processes()
    found = [self.agents[rank].pid for rank in ranks]
    for pid in found:  # grows meanwhile
      found += [process.pid for process in processes.values() if process.parent == pid]
    kill_all(found)

  def nodes_return(self, ranks):
    self.lost.difference_update(ranks)
    for rank in ranks:
      self.start(rank)

  def generations(self):
    return []

  def close(self):
    self.is_closed = True
    for agent in self.agents.values():
      agent.terminate()
    for agent in self.agents.values():
      try:
        agent.wait(20)
      except subprocess.TimeoutExpired:
        agent.kill()
        agent.wait()


CARERS = {
    "pelton": (OnPelton, {"spares": 1}, 1),
    "pelton, disk only": (OnPelton, {"spares": 1, "tiers": []}, 1),
    "pelton, no spare": (OnPelton, {}, 0),
    "pelton, new pods": (OnPelton, {"rungs": ["RestartPod"]}, 0),
    "torchrun": (OnTorchrun, {}, 0),
}


def instant(text):
  return datetime.datetime.fromisoformat(text).timestamp()


def within(report, begin, end):
  """Seconds by category between two moments. What is not known yet at the end counts as what it was."""
  seconds = {}
  for segment in report["segments"]:
    length = min(end, instant(segment["to"])) - max(begin, instant(segment["from"]))
    if length > 0:
      seconds[segment["category"]] = seconds.get(segment["category"], 0) + length
  return seconds


def run_one(name, seconds):
  kind, spec, spares = CARERS[name]
  with tempfile.TemporaryDirectory(prefix="pelton-bench-") as directory:
    run = kind(directory, spec, spares)
    try:
      run.told.wait_for_steps()
      begin = time.time()
      for at, act, ranks in sorted(actions_of(run, seconds), key=lambda action: action[0]):
        time.sleep(max(0, begin + at - time.time()))  # the script of faults is a matter of time
        act(ranks)
      time.sleep(max(0, begin + seconds - time.time()))
      end = time.time()
      report = run.told.report()
      categories = within(report, begin, end)
      result = {"name": name, "seconds": seconds, "categories": categories, "spec": spec, "spares": spares,
                "goodput": categories.get("PRODUCTIVE", 0) / (end - begin), "step": step_of(run.told.events),
                "recoveries": []}
      result["recoveries"] = [dataclasses.asdict(each)
                              for each in recoveries_of(run, begin, seconds, result["step"])]
    finally:
      run.close()
  return result


def actions_of(run, seconds):
  for fault in faults_within(seconds):
    yield (fault.at, run.kill_workers if fault.kind == "worker" else run.lose_nodes, fault.ranks)
    if fault.kind == "node":
      yield (fault.back_at, run.nodes_return, fault.ranks)


def step_of(events):
  """Seconds of a step, the save that belongs to every so many of them included."""
  steps = [event for event in events if "step_count" in event]
  lengths = [after["step_start_time"] - before["step_start_time"]
             for before, after in zip(steps, steps[1:])
             if after["step_count"] == before["step_count"] + 1]
  usual = statistics.median(lengths)
  return statistics.mean(length for length in lengths if length < 20 * usual)


def recoveries_of(run, begin, seconds, step):
  """Of each fault that was survived."""
  events, found = list(run.told.events), []
  steps = sorted((event["step_start_time"] - begin, event["step_count"])
                 for event in events if "step_count" in event)
  for fault in faults_within(seconds):
    starts = [event["job_start_time"] - begin for event in events
              if event.get("job_start_time", 0) > begin + fault.at]
    after = [each for each in steps if starts and each[0] > min(starts)]
    if not after:
      continue
    resumed, resumed_step = after[0]
    rungs = [rung for began, rung in run.generations() if fault.at <= began - begin <= resumed]
    rung = rungs[-1] if rungs else ""
    is_waited_for = fault.kind == "node" and rung != "SwapSpare" and resumed > fault.back_at
    kept = prediction.kept_until([(number, at) for at, number in steps], fault.at, resumed_step, step)
    found.append(prediction.Recovery(fault.at, kept, resumed,
                                     fault.back_at - fault.at if is_waited_for else 0, rung))
  return found


def predict(result):
  """The goodput that the simulator says of the same faults; None where it cannot be asked."""
  if not result["recoveries"] or result["name"] == "torchrun" or "--job" not in pelton("sim", "--help"):
    return None
  job = prediction.job_of([prediction.Recovery(**each) for each in result["recoveries"]],
                          faults_within(result["seconds"]), ranks=RANKS, spares=result["spares"],
                          seconds=result["seconds"], rungs=result["spec"].get("rungs"))
  with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
    json.dump(job, file)
    file.flush()
    return json.loads(pelton("sim", "--job", file.name))["goodput"]


COLUMNS = (("kept", ("PRODUCTIVE",)), ("wasted", ("WASTED_PROGRESS_FROM_DISRUPTION",)),
           ("recovery", ("INFRASTRUCTURE_RECOVERY_FROM_DISRUPTION",)),
           ("start", ("TPU_INITIALIZATION", "TRAINING_PREP", "PROGRAM_STARTUP")))


def print_row(result):
  categories = result["categories"]
  shown = [sum(categories.get(name, 0) for name in names) for _, names in COLUMNS]
  other = sum(categories.values()) - sum(shown)
  recoveries = [each["resumed"] - each["at"] for each in result["recoveries"]]
  predicted = result["predicted"]
  told = "          -      -" if predicted is None else (
      f"{100 * predicted:>11.1f}{100 * (predicted - result['goodput']):>+7.1f}")
  print(f"{result['name']:<19}{100 * result['goodput']:>7.1f} %"
        + "".join(f"{seconds:>10.1f}" for seconds in [*shown, other])
        + f"{len(recoveries):>4}/{len(FAULTS)}"
        + (f"{statistics.mean(recoveries):>8.2f}" if recoveries else f"{'-':>8}") + told, flush=True)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
  parser.add_argument("--minutes", type=float, default=10, help="of each run; at least 1")
  parser.add_argument("--only", default=";".join(CARERS), help="names, with semicolons between")
  parser.add_argument("--json", default=ROOT / "build/goodput.json", type=pathlib.Path)
  options = parser.parse_args()
  signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # and end what we started
  if options.minutes < 1:
    parser.error("--minutes: at least 1, or the faults fall together")
  if os.geteuid() != 0:
    print("SKIPPED: pods need root")
    return
  print(f"{options.minutes:g} minutes each, {RANKS} ranks, {STATE_MB} MB of state, a checkpoint every {EVERY} "
        f"steps, {os.cpu_count()} cores with a load of {os.getloadavg()[0]:.0f}; seconds by category")
  print(f"{'':<19}{'goodput':>9}" + "".join(f"{title:>10}" for title, _ in COLUMNS)
        + f"{'other':>10}{'met':>6}{'MTTR':>8}{'predicted':>11}{'off':>7}")
  results = []
  for name in options.only.split(";"):
    result = run_one(name, options.minutes * 60)
    result["predicted"] = predict(result)
    results.append(result)
    print_row(result)
  options.json.parent.mkdir(parents=True, exist_ok=True)
  options.json.write_text(json.dumps({"machine": platform.processor() or platform.machine(),
                                      "cores": os.cpu_count(), "results": results}, indent=1))
  print(f"each run: {options.json}")


if __name__ == "__main__":
  main()
