# SPDX-License-Identifier: Apache-2.0
"""The demo: a real training job on four workers loses one of them, recovers, and finishes.

Everything on the screen comes from the Kubernetes API of the cluster that it starts. On a terminal,
w kills another worker, n a whole node, q ends it. Exit code 0: the job completed after the loss, all
ranks hold the same parameters, and the loss is below 2.5.
"""

import argparse
import fcntl
import json
import os
import pathlib
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import chaos
import keys
import kube
import summary
import view
from story import Story

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBSET = "examples/train-gpt/jobset.yaml"
PARK = "examples/parks/small.yaml"
NAMESPACE = "/api/v1/namespaces/default"
SELECTOR = "jobset.sigs.k8s.io%2Fjobset-name%3Dtrain-gpt"
JOBSET_PATH = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets/train-gpt"
NODE_RETURNS_AFTER = 30  # seconds, also where nobody has called it NotReady
RED, PLAIN = "\033[1;31m", "\033[0m"


class Screen:
  """Lines that stay, and below them one frame that is redrawn in place (on a terminal)."""

  def __init__(self):
    size = shutil.get_terminal_size()
    self.live = sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and size.lines >= 32
    self.drawn = 0
    self.plain = view.PlainLines()

  def tell(self, text):
    self.erase()
    print(text, flush=True)

  def warn(self, text):
    self.tell(f"{RED}{text}{PLAIN}" if sys.stdout.isatty() else text)

  def erase(self):
    if self.drawn:
      sys.stdout.write(f"\033[{self.drawn}A\033[J")
      self.drawn = 0

  def draw(self, story, now, notice=None):
    """Draws a frame; `notice` stands beside the keys, None where no key is heard."""
    if not self.live:
      for line in self.plain.changes(story, now):
        print(line, flush=True)
      return
    width = shutil.get_terminal_size().columns - 1
    lines = view.screen(story, now, width, "Pelton: four workers train a model",
                        "Ctrl-C ends it" if notice is None else "", notice)
    self.erase()
    sys.stdout.write(view.to_ansi(lines) + "\n")
    sys.stdout.flush()
    self.drawn = len(lines)

  def keep(self):
    self.drawn = 0


class LogFollower(threading.Thread):
  """Reads one pod's log to its end, and puts (time, index, line) into a queue and a file."""

  def __init__(self, api, pod, lines, directory, now):
    super().__init__(daemon=True)
    self.api, self.lines, self.now = api, lines, now
    self.pod = pod["metadata"]["name"]
    labels = pod["metadata"].get("labels", {})
    self.index = labels.get("batch.kubernetes.io/job-completion-index", "?")
    attempt = labels.get("jobset.sigs.k8s.io/restart-attempt", "0")
    self.path = directory / f"attempt-{attempt}-{self.pod}.log"

  def run(self):
    with open(self.path, "w", buffering=1, encoding="utf-8") as file:
      try:
        for line in self.api.lines(f"{NAMESPACE}/pods/{self.pod}/log?follow=true"):
          file.write(line + "\n")
          self.lines.put((self.now(), self.index, line))
      except (OSError, RuntimeError, ValueError) as error:
        file.write(f"(the demo's log reader ended here: {error})\n")


class Demo:
  def __init__(self, arguments, scratch):
    self.arguments = arguments
    self.data = pathlib.Path(arguments.data_dir).absolute()
    self.kubeconfig = self.data / "kubeconfig"
    self.logs = pathlib.Path(arguments.logs)
    self.checkpoints = pathlib.Path(arguments.checkpoints)
    self.scratch = scratch
    self.screen = Screen()
    self.story = Story()
    self.random = random.Random(arguments.seed)
    self.lines = queue.Queue()
    self.followed = {}
    self.started = time.monotonic()
    self.connect = None
    self.kill_at = None
    self.victim = None
    self.api = None
    self.trouble = None
    self.notice = ""
    self.is_ended = False  # by the user's key
    self.lost_nodes = {}  # name → when its power went
    self.returning = None  # the `pelton up` that brings them back

  def now(self):
    return time.monotonic() - self.started

  def path(self):
    """Returns the command after which those that are printed can be copied."""
    directories = [str(pathlib.Path(program).absolute().parent)
                   for program in (self.arguments.pelton, self.arguments.kubectl)]
    return f"export PATH={':'.join(directories)}:$PATH"

  # ---- the cluster ----

  def pelton(self, *words):
    self.screen.tell(f"$ {' '.join(['pelton', *words])}")
    return subprocess.run([self.arguments.pelton, *words], cwd=ROOT, check=False,
                          stdin=subprocess.DEVNULL).returncode

  def up(self):
    """Starts the cluster. Raises RuntimeError."""
    shutil.rmtree(self.checkpoints, ignore_errors=True)  # the demo tells the whole story each time
    self.screen.tell(f"$ {self.path()}")
    if self.pelton("up", "--nodes", "4", "--park", PARK, "--data-dir", str(self.data)) != 0:
      raise RuntimeError(f"pelton up failed (see above; logs: {self.data}/log)")
    self.kubectl = kube.Kubectl(self.arguments.kubectl, self.kubeconfig, self.screen.tell)
    self.screen.tell(f"$ export KUBECONFIG={self.kubeconfig}")
    config = json.loads(self.kubectl.quietly("config", "view", "--raw", "--minify", "-o", "json"))
    self.connect = lambda: kube.Api(config, self.scratch)
    self.api = self.connect()

  def down(self):
    """Ends the cluster and removes what it left, apart from its logs, which go to ours."""
    for log in (self.data / "log").glob("*.log"):
      shutil.copy(log, self.logs / f"cluster-{log.name}")
    self.pelton("down", "--data-dir", str(self.data))
    shutil.rmtree(self.data, ignore_errors=True)
    shutil.rmtree(self.checkpoints, ignore_errors=True)

  # ---- the job ----

  def observe(self):
    """Reads all that is shown. A call that fails leaves what was known."""
    try:
      pods = self.api.get(f"{NAMESPACE}/pods?labelSelector={SELECTOR}")
      self.story.on_pods(pods["items"])
      self.follow(pods["items"])
      self.story.on_events(self.api.get(f"{NAMESPACE}/events")["items"])
      self.story.on_jobset(self.api.get(JOBSET_PATH))
      if self.lost_nodes or self.story.silent_nodes:
        self.story.on_nodes(self.api.get("/api/v1/nodes")["items"])
    except (OSError, RuntimeError) as error:
      self.log_trouble(error)
    while not self.lines.empty():
      at, index, line = self.lines.get()
      if index == "0":
        self.story.on_log_line(at, line)

  def follow(self, pods):
    for pod in pods:
      uid = pod["metadata"]["uid"]
      begun = any("running" in c.get("state", {}) or "terminated" in c.get("state", {})
                  for c in pod.get("status", {}).get("containerStatuses", []))
      if begun and uid not in self.followed:
        self.followed[uid] = LogFollower(self.connect(), pod, self.lines, self.logs, self.now)
        self.followed[uid].start()

  # ---- faults ----

  def lose_a_worker(self):
    """SIGKILLs a random worker at a random moment after the first checkpoint, once, unless the
    user has killed something before."""
    if self.story.kills or not self.story.checkpoints or self.arguments.no_kill:
      return
    if self.kill_at is None:
      self.kill_at = self.now() + self.random.uniform(0, self.arguments.kill_within)
      self.victim = str(self.random.randrange(4))
    if self.now() >= self.kill_at:
      self.kill_worker([self.victim])

  def kill_worker(self, indexes):
    """SIGKILLs a random one of the workers with these indexes that run. Returns why not, or ""."""
    running = [p for p in self.story.pods if p.index in indexes and p.status == "Running"]
    if not running:
      return "no worker runs just now"
    pod = self.random.choice(running)
    try:
      pid = chaos.find_worker(chaos.all_processes(), pod.index,
                              f"{self.data}/nodes/{pod.node}/pods/{pod.uid}")
      chaos.kill(pid)
    except (LookupError, OSError) as error:
      self.log_trouble(error)
      return str(error)
    self.story.on_kill(self.now(), "worker", pod.index, [pid])
    self.screen.warn(f"$ kill -9 {pid}    # worker {pod.index}, in pod {pod.name} on {pod.node}")
    return ""

  def kill_node(self):
    """Ends all that runs on a random node of the job's that has power: its agent and its pods'
    processes. Returns why not, or ""."""
    nodes = sorted({p.node for p in self.story.pods if p.node != "-"} - set(self.lost_nodes))
    if not nodes:
      return "no node runs a worker just now"
    node = self.random.choice(nodes)
    try:
      pids = chaos.kill_node(node, self.data)
    except (LookupError, OSError) as error:
      self.log_trouble(error)
      return str(error)
    self.lost_nodes[node] = self.now()
    self.story.on_kill(self.now(), "node", node, pids)
    self.screen.warn(f"$ kill -9 {' '.join(map(str, pids))}    # all of {node}")
    return ""

  def return_nodes(self):
    """Starts the agents of nodes that the cluster has found out to be dead, as a power supply that
    comes back would. `pelton up` starts what is missing, and waits; the demo does not."""
    if self.returning:
      code = self.returning.poll()
      if code is None:
        return
      self.returning = None
      processes = chaos.all_processes()
      self.lost_nodes = {node: at for node, at in self.lost_nodes.items()
                         if not chaos.has_agent(processes, node, self.data)}
      if code:
        self.log_trouble(f"pelton up: exit code {code}; see pelton-up.log")
    seen = [node for node, at in self.lost_nodes.items()
            if node in self.story.silent_nodes or self.now() > at + NODE_RETURNS_AFTER]
    if not seen:
      return
    words = ["up", "--data-dir", str(self.data)]
    self.screen.tell(f"$ {' '.join(['pelton', *words])}    # power is back on {', '.join(seen)}")
    with open(self.logs / "pelton-up.log", "a", encoding="utf-8") as log:
      self.returning = subprocess.Popen([self.arguments.pelton, *words], cwd=ROOT, stdout=log,
                                        stderr=log, stdin=subprocess.DEVNULL,
                                        start_new_session=True)

  def wait_for_return(self):
    """Nobody may start agents while the cluster is taken down."""
    if self.returning:
      self.returning.wait()

  def obey(self, pressed):
    for key in pressed:
      if key == "w":
        self.notice = self.kill_worker(["0", "1", "2", "3"])
      elif key == "n":
        self.notice = self.kill_node()
      elif key == "q":
        self.is_ended = True

  def log_trouble(self, what):
    print(f"{self.now():.1f} {what}", file=self.trouble, flush=True)

  # ---- from beginning to end ----

  def run(self):
    """Returns what went wrong, as sentences."""
    self.logs.mkdir(parents=True, exist_ok=True)
    for old in self.logs.glob("*.log"):
      old.unlink()
    self.trouble = open(self.logs / "demo-trouble.log", "w", encoding="utf-8")
    self.up()
    self.kubectl("wait", "--for=condition=Ready", "node", "--all", "--timeout=60s")
    self.kubectl("get", "nodes")
    self.story.on_nodes(self.api.get("/api/v1/nodes")["items"])
    self.kubectl("apply", "-f", JOBSET)
    self.screen.tell("  (by hand: kubectl get pods -w; kubectl logs -f POD; kubectl get events)")
    self.watch()
    for follower in self.followed.values():
      follower.join(0 if self.is_ended else 2)
    self.observe()
    self.screen.draw(self.story, self.now())
    self.screen.keep()
    self.kubectl("get", "jobset,jobs,pods")
    if self.is_ended:
      return ["it was ended by key before the job was done"]
    return summary.verdict(self.story, kill_wanted=not self.arguments.no_kill)

  def watch(self):
    """Shows the job, and does what keys say, until it ends, the user ends it, or time is up."""
    with keys.Keys() as heard:
      if heard.are_heard and not self.screen.live:
        self.screen.tell("keys: " + ", ".join(f"{key} {effect}" for key, effect in view.KEYS))
      while not self.story.outcome and not self.is_ended and self.now() < self.deadline():
        self.observe()
        self.lose_a_worker()
        self.return_nodes()
        self.screen.draw(self.story, self.now(), self.notice if heard.are_heard else None)
        self.obey(heard.wait(0.5))

  def deadline(self):
    """Each loss by key is worth the time that it costs."""
    return self.arguments.timeout + (self.story.kills[-1].at if self.story.kills else 0)

  def explain_failure(self):
    for name in ("jobset", "pods", "events"):
      try:
        self.screen.tell(self.kubectl.quietly("get", name))
      except (RuntimeError, OSError, AttributeError) as error:
        self.screen.tell(str(error))

  def close(self, wrong):
    kept = self.arguments.keep
    commands = [f"{self.path()} KUBECONFIG={self.kubeconfig}",
                "kubectl get pods -o wide", "kubectl describe jobset train-gpt",
                f"pelton explain pod NAME --data-dir {self.data}",
                f"pelton down --data-dir {self.data}"] if kept else [
                    "./dev demo --keep          # and look around with kubectl",
                    "less examples/train-gpt/jobset.yaml",
                    f"less {self.logs}/*.log"]
    logs = f"{self.logs}/" + (f", {self.data}/log/" if kept else "")
    for line in summary.lines(self.story, self.now(), logs, kept, commands):
      self.screen.tell(line)
    for sentence in wrong:
      self.screen.warn(f"not as it should be: {sentence}")


def parse(argv):
  parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__.split("\n")[0])
  parser.add_argument("--pelton", required=True, help=argparse.SUPPRESS)
  parser.add_argument("--kubectl", required=True, help=argparse.SUPPRESS)
  parser.add_argument("--data-dir", default="/tmp/pelton-demo")
  parser.add_argument("--logs", default="build/demo", metavar="DIR")
  parser.add_argument("--checkpoints", default="/var/tmp/pelton/train-gpt", help=argparse.SUPPRESS)
  parser.add_argument("--keep", action="store_true", help="leave the cluster up at the end")
  parser.add_argument("--seed", type=int, default=None, help="of when which worker is killed")
  parser.add_argument("--kill-within", type=float, default=12, metavar="SECONDS",
                      help="of the first checkpoint; default 12")
  parser.add_argument("--no-kill", action="store_true", help="let all workers live")
  parser.add_argument("--timeout", type=float, default=900, metavar="SECONDS")
  parser.add_argument("--picture", metavar="FILE", help="also write the last screen as SVG")
  return parser.parse_args(argv)


def lock(checkpoints):
  """Returns the held lock: the job's checkpoints are in one place, so demos take turns.

  Raises BlockingIOError where another demo runs.
  """
  path = pathlib.Path(f"{checkpoints}.lock")
  path.parent.mkdir(parents=True, exist_ok=True)
  file = open(path, "w", encoding="utf-8")
  fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  return file


def main(argv):
  arguments = parse(argv)
  try:
    held = lock(arguments.checkpoints)
  except BlockingIOError:
    print("error: another demo runs on this machine; wait for its end, or stop it there (Ctrl-C)")
    return 1
  with held:
    return show(arguments)


def show(arguments):
  for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.default_int_handler)
  with tempfile.TemporaryDirectory(prefix="pelton-demo-keys-") as scratch:
    demo = Demo(arguments, scratch)
    if demo.data.exists():
      demo.screen.warn(f"error: a cluster of an earlier demo is at {demo.data}. Look around in "
                       f"it, or end it: build/release/pelton down --data-dir {demo.data} && "
                       f"rm -r {demo.data}")
      return 1
    wrong = ["it was interrupted"]
    try:
      wrong = demo.run()
      if wrong and not demo.is_ended:
        demo.explain_failure()
      if arguments.picture:
        frame = view.screen(demo.story, demo.now(), 100, "Pelton: four workers train a model")
        pathlib.Path(arguments.picture).write_text(view.to_svg(frame), encoding="utf-8")
      demo.close(wrong)
    except RuntimeError as error:
      wrong = [str(error)]
      demo.screen.warn(f"error: {error}")
    except KeyboardInterrupt:
      demo.screen.tell("\nstopped; taking everything down")
    finally:
      for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
      interrupted = wrong == ["it was interrupted"]
      demo.wait_for_return()
      if interrupted or not arguments.keep:
        demo.down()
  return 130 if interrupted or demo.is_ended else 1 if wrong else 0


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
