#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for `pelton` and `kubectl`, to test the demo where no cluster can run.

`fake_cluster.py up … --data-dir D` starts a small HTTPS server that tells, at ten times the
speed, what the API says of a training job: pods, events, a followed log. Its agents and workers are
real processes; when one is killed, the job restarts from its last checkpoint; with
FAKE_WAITS_FOR_LOSS=N in the environment it waits at step 30 in each of the first N attempts until
that has happened. A node whose agent is dead is not Ready, and keeps the job from beginning again,
until `up` is called again. Any other first word is taken for a kubectl command, of which only
`config view` has an answer that matters.
"""

import base64
import http.server
import json
import os
import pathlib
import signal
import ssl
import subprocess
import sys
import threading
import time

STEPS, CHECKPOINT_EVERY, STEP_SECONDS = 60, 10, 0.03


def start_process(script, *words):
  """A shell that is shown with these words, and its child."""
  return subprocess.Popen(["sh", "-c", script, "pelton", *words], start_new_session=True)


class Job:
  """Four agents, four sleeping workers, and the log that rank 0 would write."""

  def __init__(self, data):
    self.data = data
    self.attempt, self.done, self.checkpoint = 0, False, 0
    self.losses_to_wait_for = int(os.environ.get("FAKE_WAITS_FOR_LOSS", "0"))
    self.logs = {}  # pod name → lines
    self.agents = [None] * 4
    self.workers = []
    self.start_agents()
    self.start()

  def start_agents(self):
    for index in self.silent():
      self.agents[index] = start_process("sleep 600 & wait", "agent", "--data-dir", str(self.data),
                                         "--node", f"node-{index}")

  def silent(self):
    return [i for i, agent in enumerate(self.agents) if agent is None or agent.poll() is not None]

  def start(self):
    self.workers = []
    for index in range(4):
      directory = f"{self.data}/nodes/node-{index}/pods/{self.name(index)}/containers/trainer/0"
      self.workers.append(start_process(
          f"NODE_RANK={index} LOCAL_RANK=0 sleep 600 & wait $!", "container-shim", directory))
      self.logs[self.name(index)] = []
    log = self.logs[self.name(0)]
    if self.checkpoint:
      log.append(f"resume: step={self.checkpoint} rank=0 checkpoint=/checkpoints/x")
    threading.Thread(target=self.train, args=(log, self.attempt), daemon=True).start()

  def name(self, index):
    return f"train-gpt-workers-0-{index}-{'abcde'[self.attempt % 5] * 5}"

  def train(self, log, attempt):
    for step in range(self.checkpoint + 1, STEPS + 1):
      time.sleep(STEP_SECONDS)
      while attempt < self.losses_to_wait_for and step == 30 and not self.has_lost_one():
        time.sleep(STEP_SECONDS)
      if self.has_lost_one():
        self.stop()
        time.sleep(0.2)
        while self.silent():
          time.sleep(STEP_SECONDS)
        self.attempt += 1
        self.start()
        return
      log.append(f"step={step} loss={5.5 - 3.5 * step / STEPS:.4f} ms=30 tokens_per_s=3072 "
                 f"of={STEPS}")
      if step % CHECKPOINT_EVERY == 0:
        self.checkpoint = step
        log.append(f"checkpoint: step={step} bytes=12 ms=1")
    log += ["done: rank=0 parameters_sha256=" + "0123456789abcdef" * 4,
            "agreement: ranks=4 equal=yes"]
    self.done = True
    self.stop()

  def has_lost_one(self):
    return any(worker.poll() is not None for worker in self.workers)

  def stop(self, also=()):
    for process in [*self.workers, *also]:
      try:
        os.killpg(process.pid, signal.SIGKILL)
      except ProcessLookupError:
        pass
      process.wait()

  def end(self):
    self.stop(agent for agent in self.agents if agent)

  def nodes(self):
    silent = self.silent()
    return [{"metadata": {"name": f"node-{i}", "labels": {
        "pelton.dev/virtual-accelerator": "true"}}, "status": {
            "capacity": {"google.com/tpu": "1"}, "conditions": [
                {"type": "Ready", "status": "Unknown" if i in silent else "True"}]}}
            for i in range(4)]

  def pods(self):
    state = {"terminated": {"reason": "Completed", "exitCode": 0}} if self.done else {"running": {}}
    return [{
        "metadata": {"name": self.name(i), "uid": self.name(i), "labels": {
            "batch.kubernetes.io/job-completion-index": str(i),
            "jobset.sigs.k8s.io/restart-attempt": str(self.attempt)}},
        "spec": {"nodeName": f"node-{i}"},
        "status": {"phase": "Running", "containerStatuses": [{"state": state}]},
    } for i in range(4)]

  def jobset(self):
    conditions = [{"type": "Completed", "status": "True", "message": "all jobs succeeded"}]
    return {"spec": {"failurePolicy": {"maxRestarts": 5}},
            "status": {"restarts": self.attempt, "conditions": conditions if self.done else []}}


def handler_for(job):
  class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
      pass

    def do_GET(self):
      path = self.path.split("?")[0]
      if path.endswith("/log"):
        self.follow(job.logs[path.split("/")[-2]])
        return
      if path.endswith("/pods"):
        answer = {"items": job.pods()}
      elif path.endswith("/events"):
        answer = {"items": [{"metadata": {"name": "e", "uid": "e"}, "reason": "Started",
                             "message": "started", "involvedObject": {"kind": "Pod", "name": "p"}}]}
      elif path.endswith("/nodes"):
        answer = {"items": job.nodes()}
      else:
        answer = job.jobset()
      body = json.dumps(answer).encode()
      self.send_response(200)
      self.send_header("Content-Length", str(len(body)))
      self.end_headers()
      self.wfile.write(body)

    def follow(self, lines):
      self.send_response(200)
      self.send_header("Connection", "close")
      self.end_headers()
      sent, attempt = 0, job.attempt
      while True:
        finished = job.done or job.attempt != attempt
        for line in lines[sent:]:
          self.wfile.write(line.encode() + b"\n")
          sent += 1
        if finished:
          return
        time.sleep(0.02)

  return Handler


def openssl(*arguments):
  subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def serve(data):
  job = Job(data)
  server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler_for(job))
  context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
  context.load_cert_chain(data / "crt", data / "key")
  server.socket = context.wrap_socket(server.socket, server_side=True)
  signal.signal(signal.SIGTERM, lambda *_: (job.end(), os._exit(0)))
  signal.signal(signal.SIGUSR1, lambda *_: (job.start_agents(), (data / "again").touch()))
  config = {"server": f"https://127.0.0.1:{server.server_port}"}
  (data / "port.json").write_text(json.dumps(config))
  server.serve_forever()


def up(data):
  if data.exists():
    (data / "again").unlink(missing_ok=True)
    os.kill(int((data / "pid").read_text()), signal.SIGUSR1)
    while not (data / "again").exists():
      time.sleep(0.02)
    return 0
  data.mkdir(parents=True)
  (data / "log").mkdir()
  (data / "log" / "server.log").write_text("the fake server's log\n")
  openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=fake",
          "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", data / "key", "-out", data / "crt")
  server = subprocess.Popen([sys.executable, __file__, "serve", "--data-dir", str(data)],
                            start_new_session=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  (data / "pid").write_text(str(server.pid))
  while not (data / "port.json").exists():
    if server.poll() is not None:
      return 1
    time.sleep(0.02)
  (data / "kubeconfig").write_text("fake")
  return 0


def down(data):
  try:
    os.kill(int((data / "pid").read_text()), signal.SIGTERM)
  except OSError:
    pass
  return 0


def kubectl(words):
  if words[0] != "config":
    print(f"(fake output of kubectl {words[0]})")
    return 0
  data = pathlib.Path(os.environ["KUBECONFIG"]).parent
  server = json.loads((data / "port.json").read_text())["server"]
  crt, key = (base64.b64encode((data / name).read_bytes()).decode() for name in ("crt", "key"))
  cluster = {"server": server, "certificate-authority-data": crt}
  user = {"client-certificate-data": crt, "client-key-data": key}
  print(json.dumps({"clusters": [{"cluster": cluster}], "users": [{"user": user}]}))
  return 0


def main(words):
  if words[0] not in ("up", "down", "serve"):
    return kubectl(words)
  data = pathlib.Path(words[words.index("--data-dir") + 1])
  return {"up": up, "down": down, "serve": serve}[words[0]](data)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
