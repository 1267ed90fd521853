# SPDX-License-Identifier: Apache-2.0
"""The Grafana dashboard and the rules on a real Prometheus, which scrapes a real cluster: a job loses
a rank and goes on, the server is killed, and then no panel is empty and no counter was ever reset."""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from cluster import ROOT, ClusterTest, eventually

sys.path.insert(0, str(ROOT / "tools" / "demo"))
import chaos  # noqa: E402

DASHBOARD = ROOT / "dashboards" / "goodput.json"
RULES = ROOT / "dashboards" / "rules.yaml"

# Steps of 50 ms, saved every fifth.
TRAIN = """
import os, pathlib, time
import pelton

shared = pathlib.Path("/shared")
rank, kept = os.environ["RANK"], shared / "step"
step = int(kept.read_text()) if kept.exists() else 0
while not (shared / "finish").exists():
    step += 1
    pelton.step(step)
    time.sleep(0.05)
    if rank == "0" and step % 5 == 0:
        with pelton.phase("save"):
            (shared / "new").write_text(str(step))
            os.replace(shared / "new", kept)
"""


def manifests(shared):
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1,
           "volumes": [{"name": "shared", "hostPath": {"path": str(shared)}}],
           "containers": [{"name": "main", "image": "python",
                           "command": ["pelton", "run", "--nnodes=2", "--", "python3", "/shared/train.py"],
                           "volumeMounts": [{"name": "shared", "mountPath": "/shared"}]}]}
    return [
        {"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy", "metadata": {"name": "p"}, "spec": {}},
        {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
         "metadata": {"name": "train", "labels": {"pelton.dev/recovery-policy": "p"}},
         "spec": {"replicatedJobs": [{"name": "workers", "template": {"spec": {
             "parallelism": 2, "completions": 2, "completionMode": "Indexed", "backoffLimit": 0,
             "template": {"spec": pod}}}}]}}]


class Prometheus:
    """A Prometheus of its own that scrapes one cluster every second."""

    def __init__(self, cluster):
        self.directory = Path(tempfile.mkdtemp(prefix="pelton-prometheus-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{probe.getsockname()[1]}"
        pki = cluster.directory / "pki"
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)],
            "scrape_configs": [{
                "job_name": "pelton", "scheme": "https",
                "tls_config": {"ca_file": str(pki / "ca.crt"), "cert_file": str(pki / "monitoring.crt"),
                               "key_file": str(pki / "monitoring.key")},
                "static_configs": [{"targets": [":".join(cluster.endpoint())]}]}]}
        (self.directory / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={self.directory}/prometheus.yml", "--log.level=warn",
             f"--storage.tsdb.path={self.directory}/data", f"--web.listen-address={self.address}"],
            stdout=self.log, stderr=self.log)
        self.began = time.time()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.directory)

    def get(self, path, **query):
        """The data of an answer. Raises AssertionError with Prometheus' own words."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query, doseq=True)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None

    def values(self, query):
        return [float(each["value"][1]) for each in self.get("query", query=query)["result"]]

    def is_at(self, query, value):
        """Whether it is one series with that value; false as long as Prometheus does not answer."""
        try:
            return self.values(query) == [value]
        except OSError:
            return False


class Dashboard(ClusterTest):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("prometheus"):
            raise unittest.SkipTest("there is no prometheus: install what tools/dev/packages.txt lists for tests")
        super().setUpClass()

    def setUp(self):
        self.dashboard = json.loads(DASHBOARD.read_text())
        self.panels = self.dashboard["panels"]

    def test_every_panel_says_what_it_shows(self):
        self.assertGreater(len(self.panels), 10)
        for panel in self.panels:
            self.assertTrue(panel["title"] and panel["description"].endswith("."), panel)
            self.assertTrue(panel["fieldConfig"]["defaults"]["unit"], panel["title"])
        self.assertEqual({panel["type"] for panel in self.panels} & {"state-timeline"}, {"state-timeline"})

    def test_no_panel_is_empty_and_no_counter_is_reset(self):
        shared = Path(tempfile.mkdtemp(prefix="pelton-dashboard-", dir="/var/tmp"))
        self.addCleanup(shutil.rmtree, shared)
        (shared / "train.py").write_text(TRAIN)
        prometheus = Prometheus(self.cluster)
        self.addCleanup(prometheus.stop)
        for manifest in manifests(shared):
            self.cluster.apply(manifest)
        job = '{namespace="default",jobset="train"}'
        saved = shared / "step"
        eventually(lambda: saved.exists() and int(saved.read_text()) > 20, timeout=60, what="some steps")
        eventually(lambda: prometheus.is_at('pelton_jobset_state{state="Training"}', 1), what="training, scraped")
        member = self.cluster.get("recoverypolicy", "p")["status"]["jobSets"][0]["generation"]["members"][1]
        pod = f"{self.cluster.directory}/nodes/{member['node']}/pods/{member['podUID']}"
        chaos.kill(chaos.find_worker(chaos.all_processes(), "1", pod))
        recovered = f"pelton_jobset_times_to_recover_seconds_count{job}"
        eventually(lambda: prometheus.is_at(recovered, 1), what="the recovery, scraped")
        self.cluster.kill("server")
        self.cluster.start()
        serves = time.time()
        eventually(lambda: prometheus.is_at(f"up == 1 and timestamp(up) > {serves}", 1), what="the next server, scraped")
        eventually(lambda: prometheus.is_at(recovered, 1), what="the same recovery")

        for metric in ("times_to_recover_seconds_sum", "times_between_interruptions_seconds_sum",
                       "times_to_recover_seconds_bucket", "interruptions_total", "generations_total"):
            resets = prometheus.values(f"resets(pelton_jobset_{metric}[5m])")
            self.assertTrue(resets, metric)
            self.assertEqual(set(resets), {0}, f"{metric} went down")
        for panel in self.panels:
            for target in panel["targets"]:
                with self.subTest(panel=panel["title"], target=target["refId"]):
                    self.check(prometheus, target)
        with self.assertRaisesRegex(AssertionError, "is empty"):
            self.check(prometheus, {"expr": "pelton_jobset_no_such_metric"})
        self.check_variables(prometheus)
        self.check_rules(prometheus)
        (shared / "finish").touch()

    def check(self, prometheus, target):
        """Asks as Grafana does for the time of this test, with "All" chosen in every variable."""
        query = target["expr"].replace("$namespace", ".*").replace("$jobset", ".*")
        self.assertNotIn("$", query, "a variable that this test does not know")
        if target.get("instant"):
            result = prometheus.get("query", query=query)["result"]
        else:
            result = prometheus.get("query_range", query=query, step=1, start=prometheus.began,
                                    end=time.time())["result"]
        numbers = [point[1] for series in result for point in series.get("values", [series.get("value")])]
        self.assertTrue(any(number != "NaN" for number in numbers), f"{query} is empty")

    def check_variables(self, prometheus):
        for variable in self.dashboard["templating"]["list"]:
            if variable["type"] == "query":
                selector, label = variable["query"]["query"][len("label_values("):-1].rsplit(", ", 1)
                found = prometheus.get(f"label/{label}/values", **{"match[]": selector.replace("$namespace", ".*")})
                self.assertEqual(found, ["default" if label == "namespace" else "train"])

    def check_rules(self, prometheus):
        rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
        self.assertGreater(len(rules), 5)
        for rule in rules:
            self.assertEqual(rule["health"], "ok", rule)
            if rule["type"] == "recording":
                self.assertTrue(prometheus.values(rule["name"]), rule["name"])


if __name__ == "__main__":
    unittest.main()
