# SPDX-License-Identifier: Apache-2.0
"""A job that has lost a machine gets another one: it is asked for, once, and comes as a node."""
import os
import tempfile
import unittest
from pathlib import Path

import test_recovery
from cluster import Cluster, ClusterTest, ROOT, eventually

PARK = ROOT / "examples" / "parks" / "small.yaml"


class Machines(ClusterTest):
    """Two machines, and as many on demand."""

    begin, record, beats, running, pods, lose, finish, setUp = (
        getattr(test_recovery.Recovery, name) for name in (
            "begin", "record", "beats", "running", "pods", "lose", "finish", "setUp"))

    @classmethod
    def setUpClass(cls):
        if os.geteuid() != 0:
            raise unittest.SkipTest("needs root: pods are made of namespaces")
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        park = Path(directory.name) / "park.yaml"
        text = PARK.read_text().split("  # What an `image:`")[0]
        park.write_text(text.replace("count: 4", "count: 2\n      maxCount: 4"))
        cls.cluster = Cluster(nodes=0, park=park)
        cls.cluster.start()
        cls.kubectl = cls.cluster.kubectl

    def nodes(self):
        return {node["metadata"]["name"] for node in self.cluster.get("nodes")["items"]}

    def agents(self, node):
        """Processes that are the agent of that node, of this cluster."""
        words = [b"agent", b"--data-dir", bytes(self.cluster.directory), b"--node", node.encode()]
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and \
                        (entry / "cmdline").read_bytes().split(b"\0")[1:6] == words:
                    found.append(int(entry.name))
            except OSError:
                pass
        return found

    def nominated(self, node):
        """The pod that waits for that machine."""
        return next((pod for pod in self.pods().values() if "nodeName" not in pod["spec"] and
                     pod["status"].get("nominatedNodeName") == node), None)

    def test_a_lost_machine_is_replaced_by_one_that_is_asked_for(self):
        record = self.begin(2)
        self.assertEqual(self.nodes(), {"node-0", "node-1"})
        self.lose(record["generation"]["members"][1])
        record = self.running(after=record["generation"]["number"], world=2, timeout=120)
        self.assertEqual({member["node"] for member in record["generation"]["members"]},
                         {"node-0", "node-2"})
        self.assertEqual(self.nodes(), {"node-0", "node-1", "node-2"})
        pod = next(pod for pod in self.pods().values() if pod["spec"].get("nodeName") == "node-2")
        events = self.kubectl("get", "events", "--field-selector",
                              f"involvedObject.uid={pod['metadata']['uid']}").stdout
        self.assertIn("pod triggered scale-up: node-2", events)
        self.finish()

        # A server that dies while a machine does not come asks again, once, for that one alone.
        (self.shared / "finish").unlink()
        self.kubectl("delete", "jobsets", "--all", "--cascade=foreground", "--timeout=60s")
        stopped = self.cluster.pid("agent-node-2")
        in_the_way = self.cluster.directory / "log" / "agent-node-3.log"
        in_the_way.mkdir()  # the agent cannot begin
        self.cluster.apply(test_recovery.jobset("train", "p", 3, self.shared))
        pod = eventually(lambda: self.nominated("node-3"), what="a pod that waits for node-3")
        self.assertIn("Unschedulable", str(pod["status"]["conditions"]))
        said = self.cluster.directory / "log" / "server.log"
        eventually(lambda: "machine.failed" in said.read_text(), what="what the server says of it")
        self.cluster.kill("server")
        in_the_way.rmdir()
        self.cluster.start()
        self.running(world=3, timeout=120)
        self.assertEqual(len(self.agents("node-3")), 1)
        self.assertEqual(self.agents("node-2"), [stopped])
        self.finish()


if __name__ == "__main__":
    unittest.main()
