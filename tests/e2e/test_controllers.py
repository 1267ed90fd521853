# SPDX-License-Identifier: Apache-2.0
"""`pelton controllers` as processes of their own: killed again and again, and two that contend."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import threading
import time
import unittest

from cluster import PELTON, ClusterTest, eventually

JOBSETS = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/pelton-controllers"


def jobset(name):
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name},
            "spec": {"replicatedJobs": [{"name": "w", "replicas": 1, "template": {"spec": {
                "parallelism": 2, "completions": 2, "completionMode": "Indexed", "backoffLimit": 0,
                "template": {"spec": {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
                                      "containers": [{"name": "main", "image": "busybox",
                                                      "command": ["sh", "-c", "sleep 0.3"]}]}}}}}]}}


class Process:
    """One `pelton controllers`."""

    def __init__(self, cluster, name, *options):
        self.log = cluster.directory / "log" / f"controllers-{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([PELTON, "controllers", "--kubeconfig", cluster.kubeconfig,
                                             *map(str, options)], stdout=log, stderr=log)

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(20)

    def events(self):
        return re.findall(r"leader\.(self|lost)", self.log.read_text())

    def leads(self):
        return self.events()[-1:] == ["self"]


class ControllersKilled(ClusterTest):
    """The cluster's own server, without the controllers in it."""

    KILLS = int(os.environ.get("PELTON_KILLS", "30"))

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(ClusterTest.tearDownClass.__func__, cls)
        cls.cluster.kill("server")
        with open(cls.cluster.directory / "log" / "server.log", "ab") as log:
            cls.server = subprocess.Popen([PELTON, "server", "--without-controllers", "--data-dir",
                                           cls.cluster.directory], stdout=log, stderr=log)
        cls.addClassCleanup(cls.server.wait)
        cls.addClassCleanup(cls.server.kill)
        eventually(lambda: cls.cluster.is_served_by(cls.server.pid), what="the server alone")

    @classmethod
    def tearDownClass(cls):
        pass  # its clean-ups do it, in order

    def setUp(self):
        seed = int(os.environ.get("PELTON_SEED", str(random.randrange(1 << 30))))
        self.chance = random.Random(seed)
        print(f"\nreplay: PELTON_SEED={seed} PELTON_KILLS={self.KILLS}", flush=True)
        self.stop = threading.Event()
        self.made, self.deleted = {}, set()
        self.pods = {}  # uid: (uid of its Job, index, name)
        self.prefix = re.sub("[^a-z]", "", self._testMethodName)[4:8]
        self.threads = [threading.Thread(target=self.load, daemon=True),
                        threading.Thread(target=self.watch, daemon=True)]
        for thread in self.threads:
            thread.start()
        self.addCleanup(self.stop.set)

    def load(self):
        """JobSets come, and some of them go before they have ended."""
        count = 0
        while not self.stop.wait(1):
            name = f"{self.prefix}-{count}"
            count += 1
            status, answer = self.cluster.request("POST", JOBSETS, jobset(name))
            if status == 201:
                self.made[name] = answer["metadata"]["uid"]
            if count % 4 == 0 and not self.stop.wait(self.chance.random()):
                self.cluster.request("DELETE", f"{JOBSETS}/{name}")
                self.deleted.add(name)

    def watch(self):
        """Every pod there ever was, as the server tells of them."""
        connection = self.cluster.connection("admin")
        connection.sock = None
        connection.timeout = 300
        connection.request("GET", "/api/v1/namespaces/default/pods?watch=true")
        answer = connection.getresponse()
        while True:
            line = answer.readline()
            if not line:
                return
            meta = json.loads(line)["object"]["metadata"]
            owner = meta.get("ownerReferences", [{}])[0].get("uid")
            index = meta.get("annotations", {}).get("batch.kubernetes.io/job-completion-index")
            self.pods[meta["uid"]] = (owner, index, meta["name"])

    def check_outcome(self, last):
        """With one process that is let live: all is well in the end."""
        self.stop.set()
        self.threads[0].join()
        alive = set(self.made) - self.deleted

        def ended():
            items = {item["metadata"]["name"]: item for item in self.cluster.get("jobsets")["items"]}
            left = [name for name in alive if not any(
                c["type"] == "Completed" and c["status"] == "True"
                for c in items.get(name, {}).get("status", {}).get("conditions", []))]
            return not left and not (self.deleted & set(items))
        try:
            eventually(ended, timeout=60, what="the end of all JobSets")
        except AssertionError:
            print(self.kubectl("get", "jobsets,jobs,pods").stdout, last.log.read_text()[-3000:], flush=True)
            raise
        # What belonged to deleted ones is gone, too.
        uids = {self.made[name] for name in alive}
        eventually(lambda: all(item["metadata"]["ownerReferences"][0]["uid"] in uids
                               for item in self.cluster.get("jobs")["items"]
                               if item["metadata"]["name"].startswith(self.prefix)), what="the end of orphaned Jobs")
        places = collections.Counter(place[:2] for place in self.pods.values())
        twice = {place: count for place, count in places.items() if count > 1}
        names = sorted(pod[2] for pod in self.pods.values() if pod[:2] in twice)
        self.assertEqual(twice, {}, f"pods of one index of one Job: {names}")
        self.assertGreaterEqual(len(self.pods), 2 * len(alive))
        print(f"{len(self.made)} JobSets, {len(self.deleted)} of them deleted; {len(self.pods)} pods, none "
              "twice", flush=True)

    def test_killed_thirty_times_under_load(self):
        for _ in range(self.KILLS):
            process = Process(self.cluster, "killed", "--without-election")
            # Long enough to begin something, short enough to be hit in the middle of it.
            time.sleep(self.chance.uniform(0.1, 1.2))
            process.kill()
        last = Process(self.cluster, "killed", "--without-election")
        self.addCleanup(last.kill)
        self.check_outcome(last)

    def test_of_two_one_acts_and_the_other_takes_over(self):
        options = ("--lease-seconds", 3)
        both = {name: Process(self.cluster, name, *options) for name in ("left", "right")}

        def leader():
            """The one that leads; never both."""
            leading = [name for name, process in both.items() if process.log.exists() and process.leads()]
            self.assertLess(len(leading), 2, "two lead")
            return leading[0] if leading else None

        def other(name):
            return "right" if name == "left" else "left"
        try:
            first = eventually(leader, what="a leader")
            lease = self.cluster.request("GET", LEASE)[1]["spec"]
            self.assertEqual(lease["leaseDurationSeconds"], 3)
            for how in (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM):
                time.sleep(self.chance.uniform(1, 2))  # it is in the middle of its work
                both[first].kill(how)
                begun = time.monotonic()
                both[first].log.unlink()
                second = eventually(lambda: leader() == other(first) and other(first), timeout=15,
                                    what=f"{other(first)} leads")
                took = time.monotonic() - begun
                print(f"{how.name}: followed after {took:.1f} s", flush=True)
                if how == signal.SIGTERM:
                    self.assertLess(took, 2.5, "it gave the Lease back")
                both[first] = Process(self.cluster, first, *options)
                first = second
            # One that stood still and wakes up has lost it, and knows.
            os.kill(both[first].process.pid, signal.SIGSTOP)
            eventually(lambda: both[other(first)].leads(), timeout=15, what="the successor")
            os.kill(both[first].process.pid, signal.SIGCONT)
            eventually(lambda: not both[first].leads(), timeout=5, what="the end of the first one's lead")
            self.assertEqual(leader(), other(first))
            transitions = self.cluster.request("GET", LEASE)[1]["spec"]["leaseTransitions"]
            self.assertGreaterEqual(transitions, 4, "each handover is one")
            self.check_outcome(both[leader()])
        finally:
            for process in both.values():
                process.kill()


if __name__ == "__main__":
    unittest.main()
