# SPDX-License-Identifier: Apache-2.0
"""Real processes, really killed: nothing acknowledged is lost, pods survive what is not theirs."""
import json
import os
import random
import threading
import time
import unittest

from cluster import ClusterTest, eventually, pod


class ServerKilled(ClusterTest):
    KILLS = int(os.environ.get("PELTON_KILLS", "20"))

    def test_twenty_kills_under_load_lose_no_acknowledged_write(self):
        seed = int(os.environ.get("PELTON_SEED", str(random.randrange(1 << 30))))
        chance = random.Random(seed)
        print(f"\nreplay: PELTON_SEED={seed} PELTON_KILLS={self.KILLS}", flush=True)
        acknowledged, versions = {}, []
        stop = threading.Event()

        def writer(number):
            connection, count = None, 0
            while not stop.is_set():
                name = f"w{number}-{count}"
                body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                        "data": {"n": str(count)}}
                try:
                    connection = connection or self.cluster.connection("admin")
                    connection.request("POST", "/api/v1/namespaces/default/configmaps", json.dumps(body),
                                       {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    stored = json.loads(answer.read())
                    if answer.status == 201:
                        acknowledged[name] = (stored["metadata"]["uid"], stored["metadata"]["resourceVersion"])
                        versions.append(int(stored["metadata"]["resourceVersion"]))
                    count += 1
                except Exception:  # the server is down: the outcome is unknown, the name is not used again
                    count += 1
                    connection = None
                    stop.wait(0.05)

        writers = [threading.Thread(target=writer, args=(i,)) for i in range(4)]
        for thread in writers:
            thread.start()
        try:
            for _ in range(self.KILLS):
                before = len(acknowledged)
                eventually(lambda: len(acknowledged) > before + 20, what="new acknowledged writes")
                stop.wait(chance.random() * 0.2)
                self.cluster.kill("server")
                self.cluster.start()
        finally:
            stop.set()
            for thread in writers:
                thread.join()
        stored = {}
        for item in self.cluster.get("configmaps")["items"]:
            meta = item["metadata"]
            stored[meta["name"]] = (meta["uid"], meta["resourceVersion"])
        lost = {name: was for name, was in acknowledged.items() if stored.get(name) != was}
        self.assertEqual(lost, {}, f"of {len(acknowledged)} acknowledged writes")
        self.assertEqual(len(versions), len(set(versions)), "a resourceVersion was used twice")


class AgentKilled(ClusterTest):
    def test_pods_outlive_their_agent_and_are_adopted(self):
        self.cluster.apply(pod("survivor", "echo start; sleep 3; echo end", nodeName="node-1"))
        self.kubectl("wait", "pod/survivor", "--for=condition=Ready", "--timeout=20s")
        self.cluster.kill("agent-node-1")
        self.cluster.start()
        self.kubectl("wait", "pod/survivor", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
        self.assertEqual(self.kubectl("logs", "survivor").stdout, "start\nend\n")
        self.assertEqual(self.cluster.get("pod", "survivor")["status"]["containerStatuses"][0]["restartCount"], 0)

    def test_pods_of_a_lost_node_are_replaced_within_ten_seconds(self):
        job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "moved"},
               "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [
                   {"name": "main", "image": "busybox", "command": ["sleep", "60"]}]}}}}
        self.cluster.apply(job)
        running = lambda: [p for p in self.cluster.get("pods", "-l", "job-name=moved")["items"]
                           if p["status"].get("phase") == "Running" and "deletionTimestamp" not in p["metadata"]]
        node = eventually(running, what="a running pod")[0]["spec"]["nodeName"]
        start = time.monotonic()
        self.cluster.kill(f"agent-{node}")
        eventually(lambda: [p for p in running() if p["spec"]["nodeName"] != node], timeout=20,
                   what="the replacement")
        self.assertLess(time.monotonic() - start, 15, "10 s promised; 5 s for a busy test machine")
        self.assertIn("NotReady", self.kubectl("get", "node", node).stdout)
        self.cluster.start()
        eventually(lambda: " Ready" in self.kubectl("get", "node", node).stdout, what="the node's return")


class UpAndDown(ClusterTest):
    def test_a_second_up_says_who_holds_the_directory(self):
        result = self.cluster.pelton("up", "--data-dir", self.cluster.directory, check=False)
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"pid {self.cluster.pid('server')}", result.stderr)

    def test_down_leaves_nothing_and_up_finds_what_was_stored(self):
        import subprocess
        self.kubectl("create", "configmap", "kept", "--from-literal=a=b")
        self.cluster.apply(pod("left", "sleep 1000"))
        self.kubectl("wait", "pod/left", "--for=condition=Ready", "--timeout=20s")
        self.cluster.pelton("down", "--data-dir", self.cluster.directory)
        # With sanitizers, a process takes a moment from its last act to its end.
        marks = lambda: subprocess.run(["pgrep", "-af", str(self.cluster.directory)],
                                       capture_output=True, text=True).stdout
        eventually(lambda: not marks(), timeout=5, what="the end of all processes")
        self.assertNotIn(str(self.cluster.directory), open("/proc/self/mountinfo").read())
        spaces = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
        self.cluster.start()
        self.assertNotEqual(subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout, spaces)
        self.assertEqual(self.cluster.get("configmap", "kept")["data"], {"a": "b"})


if __name__ == "__main__":
    unittest.main()
