# SPDX-License-Identifier: Apache-2.0
"""`pelton goodput` of a JobSet, from the history in its RecoveryPolicy's status and the reports of its pods."""
import json
import subprocess
import unittest

from cluster import ClusterTest, eventually

JOBSET = """
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata:
  name: train
  labels: {pelton.dev/recovery-policy: keep-going}
spec:
  suspend: true
  replicatedJobs:
  - name: workers
    template:
      spec:
        template:
          spec:
            restartPolicy: Never
            containers:
            - {name: main, image: busybox, command: [sleep, "60"]}
"""
POLICY = """
apiVersion: pelton.dev/v1alpha1
kind: RecoveryPolicy
metadata: {name: keep-going}
spec: {}
"""


def generation(number, began, steps, **more):
    (first, first_at), (last, last_at) = steps
    at = "2026-01-01T00:{:02}:{:02}Z".format
    return {"number": number, "phase": "Running", "began": at(*divmod(began, 60)), "worldSize": 4, "fullWorldSize": 4,
            "firstStep": first, "firstStepAt": at(*divmod(first_at, 60)), "lastStep": last,
            "lastStepAt": at(*divmod(last_at, 60)),
            **{key: at(*divmod(value, 60)) if key in ("ended", "failedAt") else value for key, value in more.items()}}


# 100 steps of 1 s from 00:10; killed at 1:50 half a second into the next; ten steps are done again from 2:00.
HISTORY = [generation(1, 0, ((0, 11), (99, 110)), ended=113, cause="SIGKILL", rank=2, node="node-1", failedAt=111,
                      phaseSeconds={"start": 3, "compile": 5, "step": 100}),
           generation(2, 113, ((90, 121), (149, 180)), ended=181, phase="Finished", reason="restart in place")]


class Goodput(ClusterTest):
    def goodput(self, *arguments):
        return self.cluster.pelton("goodput", *arguments, "--data-dir", self.cluster.directory, check=False)

    def set_status(self, status):
        self.cluster.kubectl("patch", "recoverypolicies.pelton.dev", "keep-going", "--subresource=status", "--type=merge",
                             "-p", json.dumps({"status": status}))

    def test_each_missing_part_is_named_and_then_the_report_is_exact(self):
        missing = self.goodput("jobset/train")
        self.assertNotEqual(missing.returncode, 0)
        self.assertIn("there is no jobset default/train", missing.stderr)

        self.cluster.apply(JOBSET)
        self.assertIn('names RecoveryPolicy "keep-going"', self.goodput("jobset/train").stderr)

        self.cluster.apply(POLICY)
        self.assertRegex(self.goodput("jobset/train").stderr,
                         "says nothing of jobset train yet|no generation has begun")

        uid = self.cluster.kubectl("get", "jobset", "train", "-o", "jsonpath={.metadata.uid}").stdout
        self.set_status({"jobSets": [{"name": "train", "uid": uid, "fullWorldSize": 4, "history": HISTORY}]})
        report = json.loads(self.goodput("jobset/train", "-o", "json").stdout)
        rows = {row["category"]: row["seconds"] for row in report["breakdown"]}
        self.assertEqual(sum(row["nanoseconds"] for row in report["breakdown"]), 181_000_000_000)
        self.assertEqual(rows["PRODUCTIVE"], 150)
        self.assertEqual(rows["WASTED_PROGRESS_FROM_DISRUPTION"], 11)
        self.assertEqual(rows["PROGRAM_STARTUP"], 5)
        self.assertEqual(report["mttrSeconds"], 9)
        self.assertEqual(report["interruptions"][0]["cause"], "SIGKILL")
        text = self.goodput("jobset/train").stdout
        self.assertIn("jobset default/train: goodput 82.87 %", text)
        self.assertIn("node-1", text)

    def scrape(self, name="monitoring"):
        """(status, text) of /metrics with that credential of the cluster; None: without any."""
        connection = self.cluster.connection(name)
        try:
            connection.request("GET", "/metrics")
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def test_prometheus_metrics_need_a_credential_and_outlive_the_server(self):
        self.cluster.apply(POLICY)
        self.cluster.apply(JOBSET)
        uid = self.cluster.kubectl("get", "jobset", "train", "-o", "jsonpath={.metadata.uid}").stdout
        status = {"jobSets": [{"name": "train", "uid": uid, "fullWorldSize": 4, "history": HISTORY,
                               "lastDecision": {"rung": "Finish", "reason": "done"},
                               "generation": {"number": 2, "phase": "Finished", "jobUID": uid,
                                              "began": HISTORY[1]["began"], "members": []}}]}
        self.set_status(status)
        eventually(lambda: "interruptions_total" in self.scrape()[1], what="the job in /metrics")
        code, text = self.scrape()
        self.assertEqual(code, 200)
        job = '{namespace="default",jobset="train"'
        for line in (f'pelton_jobset_time_seconds{job},category="PRODUCTIVE",cause=""}} 150',
                     f'pelton_jobset_times_to_recover_seconds_sum{job}}} 9',
                     f'pelton_jobset_interruptions_total{job},cause="SIGKILL"}} 1',
                     f'pelton_jobset_state{job},state="Finished"}} 1'):
            self.assertIn(line + "\n", text)
        for credential, expected in ((None, 401), ("node-node-0", 403), ("admin", 200)):
            self.assertEqual(self.scrape(credential)[0], expected, credential)
        lint = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
        self.assertEqual((lint.returncode, lint.stdout + lint.stderr), (0, ""))
        self.cluster.kill("server")
        self.cluster.start()
        eventually(lambda: self.scrape()[0] == 200, what="metrics of the next server")
        self.assertEqual(self.scrape()[1], text, "nothing lost, nothing counted twice")


if __name__ == "__main__":
    unittest.main()
