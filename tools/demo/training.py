# SPDX-License-Identifier: Apache-2.0
"""The demo of recovery: a real training job with a RecoveryPolicy loses a worker, a node and another
node, and gets them back. Each time it goes on by another rung of the ladder: restart in place, a
spare, fewer ranks, more ranks again. It ends with where the time went.

Exit code 0: every rung was taken, the job completed, and all ranks hold the same parameters.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

import chaos
import kube

ROOT = pathlib.Path(__file__).resolve().parents[2]
MANIFEST = "examples/train-gpt/elastic.yaml"
PARK = "examples/parks/small.yaml"
GIVE_UP_SECONDS = 240
LOOK_SECONDS = 0.5


class Trouble(Exception):
  """The demo cannot go on; the message is for people."""


class Training:
  def __init__(self, arguments):
    self.program = str(pathlib.Path(arguments.pelton).absolute())
    self.data = pathlib.Path(arguments.data_dir).absolute()
    self.kubectl = kube.Kubectl(arguments.kubectl, self.data / "kubeconfig", self.tell)
    self.began = time.monotonic()

  def tell(self, text):
    print(f"[{time.monotonic() - self.began:6.1f} s] {text}", flush=True)

  def pelton(self, *words, show=True):
    if show:
      self.tell(f"$ pelton {' '.join(words)}")
    done = subprocess.run([self.program, *words], text=True, capture_output=True, check=False)
    if done.returncode != 0:
      raise Trouble(f"pelton {' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout

  def up(self):
    self.pelton("up", "--nodes", "4", "--park", PARK, "--data-dir", str(self.data))

  def record(self):
    policy = json.loads(self.kubectl.quietly("get", "recoverypolicy", "survive", "-o", "json"))
    entries = policy.get("status", {}).get("jobSets", [])
    return entries[0] if entries else {}

  def steps(self):
    """The step that each rank of the present generation is in, as its supervisor says."""
    record = self.record()
    number = record.get("generation", {}).get("number", 0)
    steps = []
    for pod in json.loads(self.kubectl.quietly("get", "pods", "-o", "json"))["items"]:
      for condition in pod["status"].get("conditions", []):
        if condition["type"] == "pelton.dev/Workers":
          report = json.loads(condition["message"])
          if report["generation"] == number:
            steps += [worker.get("step", -1) for worker in report["workers"]]
    return steps

  def wait(self, what, condition):
    end = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < end:
      found = condition()
      if found:
        return found
      time.sleep(LOOK_SECONDS)
    raise Trouble(f"{what}: not within {GIVE_UP_SECONDS} s")

  def wait_for_rung(self, rung, after):
    """Waits until a generation newer than `after` that began by `rung` has made three steps."""
    def look():
      record = self.record()
      generation = record.get("generation", {})
      if generation.get("number", 0) <= after or generation.get("phase") != "Running":
        return None
      return record if record["lastDecision"]["rung"] == rung else None

    record = self.wait(f"a generation by {rung}", look)
    generation = record["generation"]
    ranks = sum(member["ranks"] for member in generation["members"])
    self.tell(f"  generation {generation['number']}: {rung}, {ranks} ranks "
              f"({record['lastDecision']['reason']})")

    def all_step():
      steps = self.steps()
      return max(steps) if len(steps) == ranks and min(steps) > 0 else None

    first = self.wait("its first step", all_step)
    self.wait("its third step", lambda: min(self.steps(), default=-1) >= first + 3)
    self.tell(f"  it trains, at step {min(self.steps(), default=first + 3)}")
    return self.record()["generation"]

  def kill_worker(self, member):
    directory = f"{self.data}/nodes/{member['node']}/pods/{member['podUID']}"
    pid = chaos.find_worker(chaos.all_processes(), None, directory)
    self.tell(f"$ kill -9 {pid}    # the worker in pod {member['pod']}")
    chaos.kill(pid)

  def kill_node(self, member):
    pids = chaos.kill_node(member["node"], self.data)
    self.tell(f"$ kill -9 {' '.join(map(str, pids[:4]))} …    # all of {member['node']}, as a power cut")

  def is_over(self):
    jobset = json.loads(self.kubectl.quietly("get", "jobset", "train-gpt", "-o", "json"))
    return jobset["status"].get("terminalState")

  def run(self):
    self.up()
    self.kubectl("apply", "-f", MANIFEST)
    generation = self.wait_for_rung("Start", 0)
    self.tell("one worker is killed; a new one is forked in the same pod")
    self.kill_worker(generation["members"][1])
    generation = self.wait_for_rung("RestartInPlace", generation["number"])
    self.tell("a node loses its power; the spare pod takes its rank")
    self.kill_node(generation["members"][1])
    generation = self.wait_for_rung("SwapSpare", generation["number"])
    self.tell("another node loses its power, and there is no spare")
    self.kill_node(generation["members"][0])
    generation = self.wait_for_rung("Shrink", generation["number"])
    self.tell("both nodes come back")
    self.up()
    generation = self.wait_for_rung("Grow", generation["number"])
    self.tell("nothing more happens to it")
    over = self.wait("the job's end", self.is_over)
    if over != "Completed":
      raise Trouble(f"the JobSet ended as {over}")
    last = generation["members"][0]["pod"]
    log = self.kubectl.quietly("logs", last)
    agreement = [line for line in log.splitlines() if line.startswith("agreement:")]
    if not agreement or "equal=yes" not in agreement[-1]:
      raise Trouble(f"the ranks did not confirm that they hold the same parameters: {agreement}")
    self.tell(f"  {agreement[-1]}")
    print(self.pelton("goodput", "jobset/train-gpt", "--data-dir", str(self.data)))


def main(argv):
  parser = argparse.ArgumentParser(prog="./dev demo training", description=__doc__.split("\n\n")[0])
  parser.add_argument("--pelton", default="build/release/pelton")
  parser.add_argument("--kubectl", default="kubectl")
  parser.add_argument("--data-dir", default="/tmp/pelton-demo-training")
  parser.add_argument("--keep", action="store_true", help="leave the cluster up")
  arguments = parser.parse_args(argv)
  os.chdir(ROOT)
  if subprocess.run(["rm", "-rf", "/var/tmp/pelton/train-gpt-elastic"], check=False).returncode:
    return 1
  demo, status = Training(arguments), 0
  try:
    demo.run()
  except (Trouble, RuntimeError, LookupError) as error:
    demo.tell(f"error: {error}")
    for words in (["explain", "job", "train-gpt"],):
      print(subprocess.run([demo.program, *words, "--data-dir", str(demo.data)], text=True,
                           capture_output=True, check=False).stdout)
    status = 1
  except KeyboardInterrupt:
    status = 130
  if arguments.keep:
    demo.tell(f"the cluster is still up: export KUBECONFIG={demo.data}/kubeconfig")
    return status
  subprocess.run([demo.program, "down", "--data-dir", str(demo.data)], check=False)
  subprocess.run(["rm", "-rf", str(demo.data)], check=False)
  return status


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
