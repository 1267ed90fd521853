# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the memory of nodes: copies on other nodes, and what a spare restores after a node is
lost with its memory. The workers write parts as docs/adr/0014-checkpoint-format.md says, of bytes that
follow from rank and step, so that each part can be checked by anybody."""
import http.client
import json
import os
import random
import signal
import ssl
import subprocess
import time
import unittest
from pathlib import Path

from cluster import ClusterTest, eventually

WORKER = r'''
import ctypes, json, os, random, socket, sys, time
rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
generation, job = int(os.environ["PELTON_GENERATION"]), os.environ["PELTON_JOB_UID"]
memory, shared = os.environ["PELTON_MEMORY_DIR"], sys.argv[1]
size = int(open(shared + "/size").read())
xxh = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
xxh.restype, xxh.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
digest = lambda data: "%016x" % xxh(bytes(data), len(data))
text = lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True)
content = lambda writer, step: random.Random(f"{writer} {step}").randbytes(size)
directory = lambda step, g: f"{memory}/checkpoint/step-{step:012d}-g{g}"

def say(*words):
  with open(f"{shared}/log-{rank}", "a") as log:
    log.write(" ".join(map(str, words)) + "\n")

def ask(question):
  with socket.socket(socket.AF_UNIX) as agent:
    agent.connect(memory + "/peers.sock")
    agent.sendall(text(question).encode() + b"\n")
    with agent.makefile() as lines:
      return json.loads(lines.readline())

def save(step):
  at = directory(step, generation)
  os.makedirs(at, exist_ok=True)
  os.chmod(at, 0o777)
  data = content(rank, step)
  with open(f"{at}/.own{rank}", "wb") as file:
    file.write(data + b"\0" * (-size % 4096))
  name = f"w{rank:05d}"
  os.rename(f"{at}/.own{rank}", f"{at}/{name}.data")
  tensor = {"name": "w", "dtype": "uint8", "itemBytes": 1, "shape": [world * size]}
  sums = "".join(digest(data[i:i + (1 << 20)]) for i in range(0, size, 1 << 20))
  line = text({"format": "pelton-checkpoint", "version": 1, "job": job, "run": "", "generation": generation,
               "step": step, "epoch": 1, "writer": rank, "writers": world,
               "plan": digest(text(tensor).encode()), "file": name + ".data",
               "fileBytes": size + -size % 4096, "extra": "", "tensors": [tensor],
               "slices": [{"tensor": 0, "offset": [rank * size], "extent": [size], "at": 0,
                           "checksums": sums}]})
  with open(f"{at}/.manifest{rank}", "w") as file:
    file.write(line + "\n" + digest(line.encode()) + "\n")
  os.rename(f"{at}/.manifest{rank}", f"{at}/{name}.manifest")
  say(generation, "saved", step)

def remove(step):
  for end in ("manifest", "data"):
    try:
      os.unlink(f"{directory(step, generation)}/w{rank:05d}.{end}")
    except FileNotFoundError:
      pass
  try:
    os.rmdir(directory(step, generation))
  except OSError:
    pass

def meet(step):
  """As a collective does: nobody is more than a step ahead."""
  at = lambda rank: f"{shared}/at-{generation}-{rank}"
  with open(at(rank) + ".new", "w") as file:
    file.write(str(step))
  os.rename(at(rank) + ".new", at(rank))
  while not os.path.exists(shared + "/finish"):
    if all(os.path.exists(at(r)) and int(open(at(r)).read()) >= step for r in range(world)):
      return
    time.sleep(0.01)

step = 0
if os.environ["PELTON_RESTORE"]:
  g, step = map(int, os.environ["PELTON_RESTORE"].split(":"))
  part, how = f"{directory(step, g)}/w{rank:05d}", "memory"
  if not os.path.exists(part + ".manifest"):
    how = "peer"
    begun = time.monotonic()
    parts = ask({"version": os.path.basename(directory(step, g))})
    answer = ask({"fetch": f"{os.path.basename(directory(step, g))}/w{rank:05d}"})
    if answer != {"done": True}:
      say(generation, "failed", parts, answer)
      sys.exit(1)
    how += f" {time.monotonic() - begun:.3f}"
  is_right = open(part + ".data", "rb").read()[:size] == content(rank, step)
  say(generation, "restored", f"{g}:{step}", "right" if is_right else "WRONG", how)
else:
  say(generation, "restored", "nothing")
while not os.path.exists(shared + "/finish"):
  if not os.path.exists(shared + "/pause"):
    step += 1
    save(step)
    remove(step - 2)
    meet(step)
  time.sleep(0.2)
'''


def jobset(pods, shared):
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
            "metadata": {"name": "train", "labels": {"pelton.dev/recovery-policy": "p"}},
            "spec": {"replicatedJobs": [
                {"name": "workers", "replicas": 1, "template": {"spec": {
                    "parallelism": pods, "completions": pods, "completionMode": "Indexed",
                    "backoffLimit": 0, "template": {"spec": {
                        "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                        "containers": [{
                            "name": "main", "image": "busybox",
                            "command": ["pelton", "run", f"--nnodes={pods}", "--no-park", "--", "python3",
                                        "/shared/worker.py", "/shared"],
                            "resources": {"requests": {"google.com/tpu": 1},
                                          "limits": {"google.com/tpu": 1}},
                            "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
                        "volumes": [{"name": "shared", "hostPath": {"path": str(shared)}}]}}}}}]}}


class MemoryTier(ClusterTest):
    NODES = 4

    def setUp(self):
        self.shared = Path("/var/tmp") / f"pelton-memory-{os.getpid()}-{self._testMethodName[-20:]}"
        self.shared.mkdir(exist_ok=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.shared], check=True)
        self.addCleanup(self.kubectl, "delete", "jobsets,recoverypolicies", "--all",
                        "--cascade=foreground", "--timeout=60s")

    def begin(self, pods, size, **spec):
        (self.shared / "worker.py").write_text(WORKER)
        (self.shared / "size").write_text(str(size))
        self.cluster.apply({"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy",
                            "metadata": {"name": "p"}, "spec": spec})
        self.cluster.apply(jobset(pods, self.shared))

    def record(self):
        entries = self.cluster.get("recoverypolicy", "p").get("status", {}).get("jobSets", [])
        return entries[0] if entries else {}

    def eventually(self, look, what, timeout=40):
        try:
            return eventually(look, timeout=timeout, what=what)
        except AssertionError as error:
            said = {file.name: file.read_text()[-600:] for file in self.shared.glob("log-*")}
            raise AssertionError(f"{error}\n{json.dumps(self.record(), indent=1)}\n{said}\n"
                                 f"{self.cluster.logs()}")

    def protected(self, status="True", generation=1):
        def look():
            record = self.record()
            found = [c for c in record.get("conditions", []) if c["type"] == "CheckpointProtected"]
            is_so = found and found[0]["status"] == status and \
                record["generation"]["number"] >= generation and \
                not record["generation"].get("restoreOpen")
            return record if is_so else None
        return self.eventually(look, f"CheckpointProtected {status}")

    def said(self, generation, word):
        """{rank: the words of its last line of that kind}"""
        out = {}
        for file in self.shared.glob("log-*"):
            for line in file.read_text().splitlines():
                words = line.split()
                if words[:2] == [str(generation), word]:
                    out[int(file.name[4:])] = words[2:]
        return out

    def memory(self, node, uid):
        return self.cluster.directory / "nodes" / node / "jobs" / uid / "memory"

    def lose(self, member, uid):
        """As if the machine had lost its power: agent, processes of the pod, and what is in memory."""
        self.addCleanup(self.cluster.start)
        self.cluster.kill(f"agent-{member['node']}")
        for entry in Path("/proc").iterdir():
            try:
                is_pods = entry.name.isdigit() and \
                    f"PELTON_POD_UID={member['podUID']}".encode() in (entry / "environ").read_bytes()
                if is_pods:
                    os.kill(int(entry.name), signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue
        subprocess.run(f"rm -rf {self.memory(member['node'], uid)}/*", shell=True, check=True)

    def test_a_spare_restores_from_the_memory_of_peers_what_a_lost_node_held(self):
        self.begin(4, 3_000_000, spares=1)
        record = self.protected()
        uid, first = record["uid"], record["generation"]
        self.assertEqual(len(first["members"]), 3)
        (self.shared / "pause").touch()
        time.sleep(1)  # nothing is saved any more, and what is under way arrives
        saved = self.said(1, "saved")
        self.check_who_may_read(first["members"][0]["node"], uid)
        lost = first["members"][1]
        self.lose(lost, uid)
        restored = self.eventually(
            lambda: next((r for r in [self.record()] if r["generation"]["number"] > 1 and
                          len(self.said(r["generation"]["number"], "restored")) == 3), None),
            "a generation that has restored")
        second = restored["generation"]
        self.assertEqual(restored["lastDecision"]["rung"], "SwapSpare", restored["lastDecision"])
        self.assertNotIn(lost["podUID"], [member["podUID"] for member in second["members"]])
        said = self.said(second["number"], "restored")
        at = second["restore"]
        self.assertEqual({(words[0], words[1]) for words in said.values()},
                         {(f"{at['generation']}:{at['step']}", "right")}, said)
        self.assertEqual(said[1][2], "peer", said)  # the spare has rank 1 now, and had nothing
        self.assertEqual({said[0][2], said[2][2]}, {"memory"}, said)
        # At most what was being copied when the last was saved.
        self.assertGreaterEqual(at["step"], min(int(words[0]) for words in saved.values()) - 1)
        # The restored step is covered again before anything new is saved.
        self.protected(generation=second["number"])
        (self.shared / "pause").unlink()
        self.eventually(lambda: self.said(second["number"], "saved").get(1), "steps of the spare")
        explained = self.cluster.pelton("explain", "job", "train", "--data-dir", self.cluster.directory)
        self.assertNotIn("Unprotected", explained.stdout)
        # What the old generation left gives way.
        members = [member["node"] for member in second["members"]]
        old = lambda: [path for node in members
                       for path in (self.memory(node, uid) / "checkpoint").glob("step-*-g1/*")]
        self.eventually(lambda: not old(), "the old generation's parts to be gone")
        (self.shared / "finish").touch()

    def check_who_may_read(self, node, uid):
        status = self.cluster.get("node", node)["status"]
        port = status["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        pki = self.cluster.directory / "pki"
        version = next((self.memory(node, uid) / "checkpoint").glob("step-*")).name

        def ask(credential, path):
            context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
            context.check_hostname = False
            if credential:
                context.load_cert_chain(str(pki / f"{credential}.crt"), str(pki / f"{credential}.key"))
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
            connection.request("GET", path)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        path = f"/memory/{uid}/{version}"
        self.assertEqual(ask(None, path), 401)
        self.assertEqual(ask("admin", path), 403)
        self.assertEqual(ask("node-node-3", path), 200)
        self.assertEqual(ask("node-node-3", f"/memory/{uid}/{version}/../../../job.json"), 404)
        self.assertEqual(ask("node-node-3", f"/memory/other/{version}"), 404)


if __name__ == "__main__":
    unittest.main()
