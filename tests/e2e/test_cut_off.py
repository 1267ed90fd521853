# SPDX-License-Identifier: Apache-2.0
"""Agents that run and are not heard: stopped, and with the network between them and the server cut."""
import json
import os
import select
import signal
import socket
import subprocess
import threading
import time
import unittest
from datetime import datetime
from pathlib import Path

from cluster import PELTON, ClusterTest, eventually
from netns import NetworkNamespace

BEAT = 0.1


def job(name, shared, **pod_spec):
    """Each of its processes says every moment where it runs: a file per pod."""
    script = f"while true; do date +%s.%N >> /shared/$POD; sleep {BEAT}; done"
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name},
            "spec": {"backoffLimit": 100, "completionMode": "Indexed", "completions": 1, "parallelism": 1,
                     "template": {"spec": {
                         "restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                         "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", script],
                                         "env": [{"name": "POD", "valueFrom": {"fieldRef": {
                                             "fieldPath": "metadata.name"}}}],
                                         "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}],
                         "volumes": [{"name": "shared", "hostPath": {"path": str(shared)}}], **pod_spec}}}}


class Link(threading.Thread):
    """Joins a port of a network namespace with the server's, byte for byte. Cutting it is the
    namespace's affair: this end never says a word about it."""

    def __init__(self, network, port):
        super().__init__(daemon=True)
        self.listener = network.listen(port)
        self.port = port
        self.pairs = {}
        self.over, self.stop_handle = os.pipe()

    def run(self):
        while True:
            ready, _, _ = select.select([self.over, self.listener, *self.pairs], [], [])
            for end in ready:
                if end == self.over:
                    return
                if end is self.listener:
                    near, _ = self.listener.accept()
                    far = socket.create_connection(("127.0.0.1", self.port))
                    self.pairs[near], self.pairs[far] = far, near
                elif end in self.pairs:
                    self.pass_on(end)

    def pass_on(self, end):
        try:
            data = end.recv(1 << 16)
            if data:
                self.pairs[end].setblocking(True)
                return self.pairs[end].sendall(data)
        except OSError:
            pass
        other = self.pairs.pop(end)
        self.pairs.pop(other)
        end.close()
        other.close()

    def stop(self):
        os.write(self.stop_handle, b"x")
        self.join()
        for end in [self.listener, *self.pairs]:
            end.close()
        os.close(self.over)
        os.close(self.stop_handle)


class CutOff(ClusterTest):
    def setUp(self):
        self.shared = Path("/var/tmp") / f"pelton-cut-off-{os.getpid()}-{self._testMethodName[-20:]}"
        self.shared.mkdir(exist_ok=True)
        self.addCleanup(subprocess.run, ["rm", "-rf", self.shared], check=True)

    def live_pods(self, name):
        return [p for p in self.cluster.get("pods", "-l", f"job-name={name}")["items"]
                if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]

    def beats(self, pod_name):
        file = self.shared / pod_name
        return [float(line) for line in file.read_text().splitlines()] if file.exists() else []

    def last_renewal(self, node):
        lease = self.cluster.get("lease", node, "-n", "kube-node-lease")
        return datetime.fromisoformat(lease["spec"]["renewTime"]).timestamp()

    def ready(self, node):
        conditions = self.cluster.get("node", node)["status"]["conditions"]
        return next(c["status"] for c in conditions if c["type"] == "Ready")

    def check_loss_and_return(self, cut, heal, node):
        """Cuts `node` off by `cut()`, sees its pod replaced, and heals."""
        patient = job("patient", self.shared, nodeName=node, tolerations=[
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",
             "tolerationSeconds": 3600}])
        self.cluster.apply(job("moved", self.shared, nodeSelector={"test/here": "yes"}))
        self.cluster.apply(patient)
        self.addCleanup(self.kubectl, "delete", "jobs", "--all", "--cascade=foreground", "--timeout=60s")
        self.kubectl("label", "node", node, "test/here=yes")
        old = eventually(lambda: self.live_pods("moved"), what="a running pod")[0]["metadata"]["name"]
        stays = eventually(lambda: self.live_pods("patient"), what="the patient one")[0]["metadata"]
        self.kubectl("label", "nodes", "--all", "test/here=yes", "--overwrite")
        self.addCleanup(self.kubectl, "label", "nodes", "--all", "test/here-")
        eventually(lambda: self.beats(old), what="its first beat")
        begun = time.monotonic()
        cut()
        new = eventually(lambda: [p for p in self.live_pods("moved") if p["spec"]["nodeName"] != node],
                         timeout=25, what="the replacement")[0]["metadata"]["name"]
        replaced = time.monotonic() - begun
        silent = time.time() - self.last_renewal(node)
        self.assertEqual(self.ready(node), "Unknown")
        self.assertIn("NotReady", self.kubectl("get", "node", node).stdout)
        # From the last renewal, not from the cut, which may come any time after it.
        self.assertGreater(silent, 5, "a moment of silence is no loss: 5 s are waited for")
        self.assertLess(replaced, 15, "10 s promised; 5 s for a busy test machine")
        kept = self.cluster.get("pod", stays["name"])["metadata"]
        self.assertEqual(kept["uid"], stays["uid"])
        self.assertNotIn("deletionTimestamp", kept, "it tolerates that for an hour")
        eventually(lambda: self.beats(new), what="the replacement's first beat")
        heal()
        healed, healed_at = time.monotonic(), time.time()
        eventually(lambda: self.ready(node) == "True", timeout=40, what="the node's return")
        returned = time.monotonic() - healed
        # Who was given up is ended: no two go on for long.
        eventually(lambda: time.time() - self.beats(old)[-1] > 10 * BEAT + 1, timeout=40,
                   what="the end of the old process")
        overlap = self.beats(old)[-1] - self.beats(new)[0]
        outlived = self.beats(old)[-1] - healed_at
        print(f"\nreplaced after {replaced:.1f} s; Ready {returned:.1f} s after the return, the old process "
              f"gone {outlived:.1f} s after it; two ran for {overlap:.1f} s", flush=True)
        self.assertLess(outlived, 20)
        self.assertEqual([p["metadata"]["name"] for p in self.live_pods("moved")], [new])
        kept = self.cluster.get("pod", stays["name"])
        self.assertEqual((kept["metadata"]["uid"], kept["status"]["containerStatuses"][0]["restartCount"]),
                         (stays["uid"], 0))
        self.assertLess(time.time() - self.beats(stays["name"])[-1], 5, "it has gone on all the time")

    def test_an_agent_that_is_stopped(self):
        agent = self.cluster.pid("agent-node-1")
        self.addCleanup(os.kill, agent, signal.SIGCONT)
        self.check_loss_and_return(lambda: os.kill(agent, signal.SIGSTOP),
                                   lambda: os.kill(agent, signal.SIGCONT), "node-1")

    def test_a_network_that_is_cut(self):
        self.addCleanup(self.cluster.start)  # with an agent as before
        network = NetworkNamespace()
        self.addCleanup(network.close)
        link = Link(network, int(self.cluster.endpoint()[1]))
        link.start()
        self.addCleanup(link.stop)
        self.cluster.kill("agent-node-0")
        with open(self.cluster.directory / "log" / "agent-node-0.log", "ab") as log:
            agent = subprocess.Popen(network.command(PELTON, "agent", "--data-dir", self.cluster.directory,
                                                     "--node", "node-0"), stdout=log, stderr=log)
        self.addCleanup(agent.wait)
        self.addCleanup(agent.terminate)
        # The node may still count as ready from before; the agent has not said who it is by then.
        record = self.cluster.directory / "run" / "agent-node-0.json"
        eventually(lambda: self.ready("node-0") == "True" and record.exists() and
                   json.loads(record.read_text() or "{}").get("pid") == agent.pid,
                   what="the agent behind the link")
        self.check_loss_and_return(lambda: network.link(False), lambda: network.link(True), "node-0")


if __name__ == "__main__":
    unittest.main()
