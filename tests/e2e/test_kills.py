# SPDX-License-Identifier: Apache-2.0
"""A hundred kill -9 of server (with its controllers) and agents, while Jobs run and clients write."""
import json
import os
import random
import threading
import unittest

from cluster import ClusterTest, eventually


def job(name):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "labels": {"load": "yes"}},
            "spec": {"completions": 2, "parallelism": 2, "backoffLimit": 1000,
                     "template": {"spec": {"restartPolicy": "Never", "containers": [
                         {"name": "main", "image": "busybox", "command": ["sleep", "1"]}]}}}}


class EverythingKilled(ClusterTest):
    KILLS = int(os.environ.get("PELTON_KILLS", "100"))

    def write(self, stop, stored, prefix, collection, body):
        """Creates one object after the other; notes the uid of each that was acknowledged."""
        connection, count = None, 0
        while not stop.is_set():
            name = f"{prefix}-{count}"
            count += 1  # where the outcome is unknown the name is not used again
            try:
                connection = connection or self.cluster.connection("admin")
                connection.request("POST", collection, json.dumps(body(name)),
                                   {"Content-Type": "application/json"})
                answer = connection.getresponse()
                content = json.loads(answer.read())
                if answer.status == 201:
                    stored[name] = content["metadata"]["uid"]
            except Exception:  # the server is down, or went down
                if connection:
                    connection.close()
                connection = None
            stop.wait(0.05 if prefix == "map" else 3)
        if connection:
            connection.close()

    def test_a_hundred_kills_lose_no_acknowledged_object_and_every_job_completes(self):
        seed = int(os.environ.get("PELTON_SEED", str(random.randrange(1 << 30))))
        chance = random.Random(seed)
        print(f"\nreplay: PELTON_SEED={seed} PELTON_KILLS={self.KILLS}", flush=True)
        stop, maps, jobs = threading.Event(), {}, {}
        config_map = lambda name: {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        load = [threading.Thread(target=self.write, args=arguments) for arguments in (
            (stop, maps, "map", "/api/v1/namespaces/default/configmaps", config_map),
            (stop, jobs, "job", "/apis/batch/v1/namespaces/default/jobs", job))]
        for thread in load:
            thread.start()
        try:
            for _ in range(self.KILLS):
                before = len(maps)
                eventually(lambda: len(maps) > before + 2, timeout=60, what="new acknowledged writes")
                stop.wait(chance.random() * 0.3)
                self.cluster.kill(chance.choice(["server", "agent-node-0", "agent-node-1"]))
                self.cluster.start()
        finally:
            stop.set()
            for thread in load:
                thread.join()
        for kind, acknowledged in (("configmaps", maps), ("jobs", jobs)):
            found = {item["metadata"]["name"]: item["metadata"]["uid"]
                     for item in self.cluster.get(kind)["items"]}
            lost = {name for name, uid in acknowledged.items() if found.get(name) != uid}
            self.assertEqual(lost, set(), f"of {len(acknowledged)} acknowledged {kind}")
        self.assertTrue(jobs)
        self.kubectl("wait", "jobs", "-l", "load=yes", "--for=condition=Complete", "--timeout=300s",
                     timeout=320)
        for item in self.cluster.get("jobs")["items"]:
            self.assertEqual(item["status"]["succeeded"], 2, item["metadata"]["name"])


if __name__ == "__main__":
    unittest.main()
