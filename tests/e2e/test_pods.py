# SPDX-License-Identifier: Apache-2.0
"""Pods as a user sees them: own network, names, isolation, gangs, replacement."""
import json
import unittest

from cluster import ClusterTest, eventually, pod

JOBSET = """
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: %(name)s}
spec:
  failurePolicy: {maxRestarts: %(restarts)d}
  replicatedJobs:
  - name: workers
    template:
      spec:
        parallelism: %(width)d
        completions: %(width)d
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 1
            containers:
            - name: main
              image: python:3.11
              command: [sh, -c, %(script)s]
              resources: {limits: {google.com/tpu: 1}}
"""


def jobset(name, script, width=2, restarts=0):
    return JOBSET % {"name": name, "script": json.dumps(script), "width": width, "restarts": restarts}


class Pods(ClusterTest):
    def finished(self, name):
        self.kubectl("wait", f"pod/{name}", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=30s")
        return self.kubectl("logs", name).stdout

    def test_two_pods_listen_on_the_same_port_and_have_names(self):
        serve = "python3 -c \"import http.server,socketserver;socketserver.TCPServer(('',8000),http.server.SimpleHTTPRequestHandler).serve_forever()\""
        for name in ("web-a", "web-b"):
            self.cluster.apply(pod(name, serve, hostname=name, subdomain="web"))
        self.cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
                            "spec": {"clusterIP": "None", "selector": {"web": "yes"},
                                     "publishNotReadyAddresses": True}})
        self.kubectl("label", "pod", "web-a", "web-b", "web=yes")
        fetch = "for n in web-a web-b; do until python3 -c \"import urllib.request as u;print(u.urlopen('http://$n.web:8000/etc/hostname',timeout=2).read().decode().strip())\" 2>/dev/null; do sleep 0.2; done; done"
        self.cluster.apply(pod("client", fetch))
        self.assertEqual(self.finished("client").split(), ["web-a", "web-b"])
        self.kubectl("delete", "pod", "web-a", "web-b", "client", "--grace-period=1")

    def test_jobset_names_resolve_between_its_pods(self):
        # They stay: a pod that has ended has no name any more, and the other may not have asked yet.
        script = ("for i in 0 1; do until getent hosts named-workers-0-$i.named >/dev/null; do sleep 0.1; done; done; "
                  "echo $(hostname) found both; sleep 600")
        self.cluster.apply(jobset("named", script))
        pods = lambda: self.cluster.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=named")["items"]
        said = lambda: sorted(self.kubectl("logs", p["metadata"]["name"], check=False).stdout for p in pods())
        expected = ["named-workers-0-0 found both\n", "named-workers-0-1 found both\n"]
        eventually(lambda: said() == expected, timeout=60, what="both names in both pods")
        self.kubectl("delete", "jobset", "named", "--timeout=30s")

    def test_a_pod_does_not_see_the_cluster_or_homes_and_cannot_write_the_host(self):
        directory = self.cluster.directory
        script = (f"ls {directory} 2>&1 | head -1; ls -A /root /home 2>&1 | tr '\\n' ' '; echo; "
                  "touch /usr/x 2>&1; touch /etc/x 2>&1; ps ax 2>/dev/null | wc -l; "
                  "ls /proc | grep -c '^[0-9]'; touch /tmp/mine && echo tmp is mine")
        self.cluster.apply(pod("inside", script))
        out = self.finished("inside")
        self.assertNotIn("ca.key", out)
        self.assertNotIn("pki", out)
        self.assertEqual(out.count("Read-only file system"), 2, out)
        self.assertIn("tmp is mine", out)
        for name in (".cache", ".ssh", ".bashrc"):
            self.assertNotIn(name, out)

    def test_volumes_environment_and_downward_api(self):
        self.kubectl("create", "configmap", "conf", "--from-literal=a.txt=from-config")
        self.kubectl("create", "secret", "generic", "cred", "--from-literal=token=s3cret")
        spec = pod("volumes", "cat /conf/a.txt; echo; cat /cred/token; echo; echo $NAME $TOKEN; echo x > /scratch/f && cat /scratch/f")
        spec["spec"]["volumes"] = [{"name": "conf", "configMap": {"name": "conf"}},
                                   {"name": "cred", "secret": {"secretName": "cred"}},
                                   {"name": "scratch", "emptyDir": {}}]
        main = spec["spec"]["containers"][0]
        main["volumeMounts"] = [{"name": "conf", "mountPath": "/conf"}, {"name": "cred", "mountPath": "/cred"},
                                {"name": "scratch", "mountPath": "/scratch"}]
        main["env"] = [{"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                       {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "cred", "key": "token"}}}]
        self.cluster.apply(spec)
        self.assertEqual(self.finished("volumes"), "from-config\ns3cret\nvolumes s3cret\nx\n")

    def test_deletion_sends_sigterm_and_waits_the_grace_period(self):
        self.cluster.apply(pod("polite", "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.1; done",
                               terminationGracePeriodSeconds=20))
        eventually(lambda: "ready" in self.kubectl("logs", "polite", check=False).stdout, what="the trap")
        follower = self.cluster.popen_kubectl("logs", "-f", "polite")
        self.kubectl("delete", "pod", "polite", timeout=15)
        self.assertEqual(follower.communicate(timeout=10)[0], "ready\nbye\n")

    def test_a_gang_that_does_not_fit_stays_whole_and_explain_says_why(self):
        self.cluster.apply(jobset("wide", "sleep 1", width=3))  # 2 nodes with one chip each
        eventually(lambda: len(self.cluster.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=wide")["items"]) == 3,
                   what="three pods")
        name = self.cluster.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=wide")["items"][0]["metadata"]["name"]
        self.kubectl("wait", f"pod/{name}", "--for=condition=PodScheduled=False", "--timeout=20s")
        for item in self.cluster.get("pods", "-l", "jobset.sigs.k8s.io/jobset-name=wide")["items"]:
            self.assertNotIn("nodeName", item["spec"])
        explained = self.cluster.pelton("explain", "pod", name, "--data-dir", self.cluster.directory).stdout
        self.assertIn("google.com/tpu", explained)
        self.assertIn("what would help: add 1 node with", explained)
        self.kubectl("delete", "jobset", "wide", "--timeout=30s")

    def test_a_failed_worker_restarts_the_jobset_by_its_failure_policy(self):
        script = "test $ATTEMPT -gt 0 || exit 7; echo fine"
        body = jobset("again", script, restarts=1).replace(
            "image: python:3.11", "image: python:3.11\n              env: [{name: ATTEMPT, valueFrom: {fieldRef: "
            "{fieldPath: \"metadata.labels['jobset.sigs.k8s.io/restart-attempt']\"}}}]")
        self.cluster.apply(body)
        self.kubectl("wait", "jobset/again", "--for=condition=Completed", "--timeout=60s")
        self.assertEqual(self.cluster.get("jobset", "again")["status"]["restarts"], 1)


if __name__ == "__main__":
    unittest.main()
