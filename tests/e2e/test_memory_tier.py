# SPDX-License-Identifier: Apache-2.0
"""Checkpoints in the memory of nodes: copies on other nodes, and what a spare restores after a node is
lost with its memory. The workers write parts as docs/adr/0014-checkpoint-format.md says, of bytes that
follow from rank and step, so that each part can be checked by anybody."""
import contextlib
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

import test_recovery
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
  line = text({"format": "pelton-checkpoint", "version": 1, "job": job, "run": job, "generation": generation,
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
  """As the library does: what an agent keeps by a second name stays."""
  try:
    if os.stat(f"{directory(step, generation)}/w{rank:05d}.data").st_nlink > 1:
      return
  except FileNotFoundError:
    pass
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
    return test_recovery.jobset("train", "p", pods, shared, flags=("--no-park",),
                                command=("python3", "/shared/worker.py", "/shared"))


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

    def parts(self, uid, node):
        """{(generation, step, writer)} that a node's memory says it holds"""
        found = set()
        for path in (self.memory(node, uid) / "checkpoint").glob("step-*/w*.manifest"):
            step, generation = path.parent.name[5:].split("-g")
            found.add((int(generation), int(step), int(path.name[1:6])))
        return found

    def newest_copied(self, uid, nodes):
        """(generation, step) of which each part lies on two of the nodes; None: of none"""
        held = [self.parts(uid, node) for node in nodes]
        whole = [version for version in {part[:2] for parts in held for part in parts}
                 if all(sum((*version, writer) in parts for parts in held) > 1
                        for writer in range(len(nodes)))]
        return max(whole, default=None)

    def members(self):
        return [member["node"] for member in self.record()["generation"]["members"]]

    def half_parts(self, uid, node="*"):
        found = (self.cluster.directory / "nodes").glob(f"{node}/jobs/{uid}/memory/checkpoint/step-*/.peer-*")
        try:
            return list(found)
        except FileNotFoundError:
            return []  # a version has just given way; look again

    def stop_with_half_a_part(self, uid):
        """SIGSTOP to the agent of a member at a moment at which it holds half a part: what is only
        seen to be half may be whole by the time a SIGKILL arrives. Returns (receiver, sender, the
        receiver's process)."""
        deadline = time.monotonic() + 60
        while True:
            members = self.members()
            pids = {node: self.cluster.pid(f"agent-{node}") for node in members}
            until = time.monotonic() + 5  # a slow machine may have moved the job to other nodes
            while time.monotonic() < until:
                for receiver in members:
                    if self.half_parts(uid, receiver) and self.stop(pids[receiver]):
                        if self.half_parts(uid, receiver):
                            sender = next(node for node in members if node != receiver)
                            return receiver, sender, pids[receiver]
                        os.kill(pids[receiver], signal.SIGCONT)
            if time.monotonic() > deadline:
                self.eventually(lambda: False, "a copy that is met halfway", timeout=0)

    def stop(self, pid):
        """SIGSTOP. Returns true when all threads stand."""
        os.kill(pid, signal.SIGSTOP)
        states = lambda: {task.read_text().rpartition(")")[2].split()[0]
                          for task in Path(f"/proc/{pid}/task").glob("*/stat")}
        return eventually(lambda: states() == {"T"}, what="an agent to stand")

    def check_parts(self, uid, node, size):
        """Each part that counts is what its writer saved; those that give way meanwhile aside."""
        for generation, step, writer in self.parts(uid, node):
            name = f"step-{step:012d}-g{generation}/w{writer:05d}"
            at = self.memory(node, uid) / "checkpoint" / name
            try:
                found = at.with_suffix(".data").read_bytes()[:size]
            except FileNotFoundError:
                continue
            wanted = random.Random(f"{writer} {step}").randbytes(size)
            if at.with_suffix(".manifest").exists():
                self.assertEqual(found, wanted, (node, name))

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
        members = [member["node"] for member in first["members"]]
        copied = self.eventually(lambda: self.newest_copied(uid, members),
                                 "a step of which each part lies on two nodes")
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
        # Nothing of what was copied is given up for what was not.
        self.assertGreaterEqual((at["generation"], at["step"]), copied)
        seen = second["observedFailures"]
        self.assertGreaterEqual(seen["memory"], 1, "a node of which others hold copies")
        self.assertEqual(seen["durable"], 0, seen)
        self.assertGreater(seen["nodeSeconds"], 0)
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

    def test_agents_killed_while_they_copy_leave_nothing_that_is_believed(self):
        size = 20_000_000
        self.begin(2, size)
        uid = self.protected()["uid"]
        for trial in range(6):
            receiver, sender, stopped = self.stop_with_half_a_part(uid)
            victims = [[receiver], [sender], [receiver, sender]][trial % 3]
            for node in victims:
                self.cluster.kill(f"agent-{node}")
            half = self.half_parts(uid)
            whole = [path for path in half if
                     path.with_name(path.name.removeprefix(".peer-")).with_suffix(".manifest").exists()]
            self.assertEqual(whole, [], "half a part counts")
            if receiver not in victims:
                os.kill(stopped, signal.SIGCONT)
            before = self.newest_copied(uid, [receiver, sender]) or (0, 0)
            self.cluster.start()
            self.eventually(lambda: not any(path.exists() for path in half), "half parts to be removed")
            self.eventually(lambda: (self.newest_copied(uid, self.members()) or (0, 0)) > before,
                            "copies of a newer step")
            for node in (receiver, sender):
                self.check_parts(uid, node, size)
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
            with contextlib.closing(connection):
                connection.request("GET", path)
                return connection.getresponse().status
        path = f"/memory/{uid}/{version}"
        self.assertEqual(ask(None, path), 401)
        self.assertEqual(ask("admin", path), 403)
        self.assertEqual(ask("node-node-3", path), 200)
        self.assertEqual(ask("node-node-3", f"/memory/{uid}/{version}/../../../job.json"), 404)
        self.assertEqual(ask("node-node-3", f"/memory/other/{version}"), 404)


if __name__ == "__main__":
    unittest.main()
