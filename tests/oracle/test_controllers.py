# SPDX-License-Identifier: Apache-2.0
"""Our controllers on a real kube-apiserver: a JobSet becomes Jobs, Services and pods, its gang is
bound by a plan that is recorded first (there is no gangbindings.pelton.dev), and it completes.

Nodes are played by a thread: it registers them, and writes the status that their kubelets would.
Status 77 where there is no kube-apiserver."""
import json
import subprocess
import sys
import threading
import unittest

from record import ROOT, install
from servers import PELTON, RealServer, oracle_missing

SECONDS = 90
CRD = "jobset.x-k8s.io_jobsets.yaml"
PODS = "/api/v1/namespaces/default/pods"
JOBSET = "/apis/jobset.x-k8s.io/v1alpha2/namespaces/default/jobsets"
POLICY_CRD = ROOT / "deploy/kubernetes/recoverypolicy-crd.yaml"
POLICY = "/apis/pelton.dev/v1alpha1/namespaces/default/recoverypolicies"
# All but the one that watches nodes' leases: these nodes have none.
CONTROLLERS = ("default-scheduler", "jobset-controller", "job-controller", "endpoint-slice-controller",
               "garbage-collector", "namespace-controller")


class Kubelets(threading.Thread):
    """Every node at once: starts what is bound, ends it once told to, removes what is deleted."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.changed = threading.Condition()
        self.pods = {}          # name: the newest object
        self.is_over = False    # pods succeed from now on
        self.failure = None

    def run(self):
        try:
            connection = self.server.connection(timeout=SECONDS)
            connection.request("GET", PODS + "?watch=true&resourceVersion=0",
                               headers=self.server.headers)
            response = connection.getresponse()
            while line := response.readline():
                event = json.loads(line)
                self.on_event(event["type"], event["object"])
        except Exception as failure:  # pylint: disable=broad-except
            with self.changed:
                self.failure = failure
                self.changed.notify_all()

    def on_event(self, kind, pod):
        name = pod["metadata"]["name"]
        with self.changed:
            if kind == "DELETED":
                self.pods.pop(name, None)
            else:
                self.pods[name] = pod
            self.changed.notify_all()
        if kind != "DELETED":
            self.act(pod)

    def act(self, pod):
        name, phase = pod["metadata"]["name"], pod["status"]["phase"]
        if not pod["spec"].get("nodeName"):
            return
        if "deletionTimestamp" in pod["metadata"]:
            self.request("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
        elif phase == "Pending":
            self.write(pod, "Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
        elif phase == "Running" and self.is_over:
            self.write(pod, "Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}})

    def write(self, pod, phase, state):
        ready = "True" if phase == "Running" else "False"
        self.request("PATCH", f"{PODS}/{pod['metadata']['name']}/status", {"status": {
            "phase": phase, "podIP": "10.1.0.1", "startTime": "2026-01-01T00:00:00Z",
            "conditions": [{"type": "Ready", "status": ready}],
            "containerStatuses": [{"name": "main", "image": "x", "imageID": "x", "ready": ready == "True",
                                   "restartCount": 0, "state": state}]}},
            "application/strategic-merge-patch+json")

    def request(self, method, path, body=None, kind="application/json"):
        connection = self.server.connection()
        connection.request(method, path, None if body is None else json.dumps(body),
                           {**self.server.headers, "Content-Type": kind})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status not in (200, 404, 409):
            raise AssertionError(f"{method} {path}: {answer.status} {text.decode()}")

    def finish(self):
        with self.changed:
            self.is_over = True
            pods = list(self.pods.values())
        for pod in pods:
            self.act(pod)

    def wait_for(self, what, check):
        """Until `check(pods)` is true of the newest states, in the order of events."""
        with self.changed:
            done = self.changed.wait_for(lambda: self.failure or check(list(self.pods.values())),
                                         SECONDS)
            if self.failure or not done:
                phases = {n: (p["spec"].get("nodeName"), p["status"]["phase"])
                          for n, p in self.pods.items()}
                raise AssertionError(f"{what} did not come: {self.failure}; pods: {phases}")


def node(name):
    amounts = {"cpu": "8", "memory": "16Gi", "pods": "110"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name},
            "status": {"capacity": amounts, "allocatable": amounts,
                       "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}}


def jobset(name, replicas, pods):
    container = {"name": "main", "image": "x", "command": ["train"],
                 "resources": {"requests": {"cpu": "1"}}}
    return {"apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {"name": name},
            "spec": {"replicatedJobs": [{"name": "workers", "replicas": replicas, "template": {"spec": {
                "parallelism": pods, "completions": pods, "backoffLimit": 0,
                "template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}}}]}}


def policy(name, spec):
    return {"apiVersion": "pelton.dev/v1alpha1", "kind": "RecoveryPolicy", "metadata": {"name": name},
            "spec": spec}


class OnARealKubernetes(unittest.TestCase):
    def setUp(self):
        self.server = RealServer()
        self.addCleanup(self.server.stop)
        self.server.start()
        if not install(self.server, CRD):
            self.skipTest(f"there is no {CRD} in ../shared/crds")
        for name in ("node-a", "node-b"):
            self.assertEqual(self.server.json("POST", "/api/v1/nodes", node(name))[0], 201)
        self.kubelets = Kubelets(self.server)
        self.kubelets.start()

    def start_controllers(self, *more):
        only = [word for name in (*CONTROLLERS, *more) for word in ("--only", name)]
        return self.server.spawn("controllers", PELTON, "controllers", "--kubeconfig",
                                 self.server.kubeconfig, *only)

    def until_completed(self, name):
        connection = self.server.connection(timeout=SECONDS)
        self.addCleanup(connection.close)
        connection.request("GET", f"{JOBSET}?watch=true&fieldSelector=metadata.name%3D{name}",
                           headers=self.server.headers)
        response = connection.getresponse()
        while line := response.readline():
            for condition in json.loads(line)["object"].get("status", {}).get("conditions", []):
                if condition["type"] == "Completed" and condition["status"] == "True":
                    return
        self.fail("the watch ended before the JobSet completed")

    def test_a_jobset_runs_and_outlives_its_controllers(self):
        try:
            self.run_jobset()
        except BaseException:
            print(self.server.logs(), file=sys.stderr)
            raise

    def run_jobset(self):
        controllers = self.start_controllers()
        self.assertEqual(self.server.json("POST", JOBSET, jobset("train", 2, 2))[0], 201)
        self.kubelets.wait_for("four running pods", lambda pods: len(pods) == 4 and all(
            pod["status"]["phase"] == "Running" for pod in pods))
        for pod in self.kubelets.pods.values():
            self.assertEqual(pod["metadata"]["annotations"]["pelton.dev/planned-node"],
                             pod["spec"]["nodeName"], "the plan was recorded before it was bound")
        status, service = self.server.json("GET", "/api/v1/namespaces/default/services/train")
        self.assertEqual((status, service["spec"]["clusterIP"]), (200, "None"))

        controllers.kill()
        controllers.wait()
        self.server.processes.remove(controllers)
        self.kubelets.finish()
        self.kubelets.wait_for("four pods that succeeded", lambda pods: len(pods) == 4 and all(
            pod["status"]["phase"] == "Succeeded" for pod in pods))
        self.start_controllers()
        self.until_completed("train")

        status, _ = self.server.json("DELETE", f"{JOBSET}/train?propagationPolicy=Background")
        self.assertEqual(status, 200)
        self.kubelets.wait_for("no pods", lambda pods: not pods)


    def test_a_job_recovers_by_a_policy_whose_kind_was_installed(self):
        try:
            self.run_policy()
        except BaseException:
            print(self.server.logs(), file=sys.stderr)
            raise

    def policy_until(self, what, check):
        """The newest state of the policy's first JobSet for which `check` is true."""
        connection = self.server.connection(timeout=SECONDS)
        self.addCleanup(connection.close)
        connection.request("GET", POLICY + "?watch=true", headers=self.server.headers)
        response = connection.getresponse()
        while line := response.readline():
            for job in json.loads(line)["object"].get("status", {}).get("jobSets", []):
                if check(job):
                    return job
        self.fail(f"the watch ended before {what}")

    def report(self, pod, record):
        """What a node's agent writes for the supervisor in a pod."""
        self.kubelets.request("PATCH", f"{PODS}/{pod}/status", {"status": {"conditions": [
            {"type": "pelton.dev/Workers", "status": "True", "reason": record["stage"],
             "message": json.dumps(record)}]}}, "application/strategic-merge-patch+json")

    def run_policy(self):
        install(self.server, POLICY_CRD)
        for spec, field in (({"minReplicas": 3, "maxReplicas": 2}, "spec.minReplicas"),
                            ({"rungs": ["Pray"]}, "spec.rungs[0]"), ({"spares": -1}, "spec.spares")):
            status, answer = self.server.json("POST", POLICY, policy("bad", spec))
            self.assertEqual(status, 422, answer)
            self.assertIn(field, answer["message"])
        self.assertEqual(self.server.json("POST", POLICY, policy("survive", {"spares": 1}))[0], 201)
        self.start_controllers("recovery-controller")
        job = jobset("train", 1, 3)
        job["metadata"]["labels"] = {"pelton.dev/recovery-policy": "survive"}
        self.assertEqual(self.server.json("POST", JOBSET, job)[0], 201)
        self.kubelets.wait_for("three running pods", lambda pods: len(pods) == 3 and all(
            pod["status"]["phase"] == "Running" for pod in pods))
        for pod in list(self.kubelets.pods):
            self.report(pod, {"generation": 0, "stage": "Joined", "ranks": 1})
        first = self.policy_until("generation 1", lambda job: job.get("generation", {}).get("number"))
        members = [member["pod"] for member in first["generation"]["members"]]
        self.assertEqual(len(members), 2, first)

        failed = {"rank": 1, "state": "Exited", "signal": 9, "cause": "SIGKILL"}
        self.report(members[1], {"generation": 1, "stage": "Stopped", "ranks": 1, "workers": [failed]})
        second = self.policy_until("generation 2", lambda job: job["generation"]["number"] == 2)
        self.assertEqual(second["lastDecision"]["rung"], "RestartInPlace", second)


if __name__ == "__main__":
    if oracle_missing():
        print(f"SKIPPED: {oracle_missing()}")
        sys.exit(77)
    unittest.main()
