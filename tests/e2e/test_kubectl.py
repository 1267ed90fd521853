# SPDX-License-Identifier: Apache-2.0
"""kubectl's habits, compared by what is printed."""
import json
import unittest

from cluster import ClusterTest, eventually, normal, pod

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, labels: {tier: a}}
data: {colour: red, size: "3"}
"""

JOB = """
apiVersion: batch/v1
kind: Job
metadata: {name: count}
spec:
  completions: 2
  parallelism: 2
  completionMode: Indexed
  template:
    spec:
      restartPolicy: Never
      containers:
      - {name: main, image: busybox, command: [sh, -c, "echo index $JOB_COMPLETION_INDEX"]}
"""


class Kubectl(ClusterTest):
    def test_apply_creates_configures_and_leaves_unchanged(self):
        self.assertEqual(self.cluster.apply(CONFIG).stdout, "configmap/settings created\n")
        self.assertEqual(self.cluster.apply(CONFIG).stdout, "configmap/settings unchanged\n")
        before = self.cluster.get("configmap", "settings")["metadata"]["resourceVersion"]
        self.cluster.apply(CONFIG)
        self.assertEqual(self.cluster.get("configmap", "settings")["metadata"]["resourceVersion"], before)
        changed = CONFIG.replace("colour: red, ", "")
        self.assertEqual(self.cluster.apply(changed).stdout, "configmap/settings configured\n")
        self.assertEqual(self.cluster.get("configmap", "settings")["data"], {"size": "3"})
        self.assertEqual(self.kubectl("delete", "configmap", "settings").stdout,
                         'configmap "settings" deleted from default namespace\n')

    def test_every_output_form_of_get(self):
        self.cluster.apply(CONFIG.replace("settings", "forms"))
        get = lambda *form: self.kubectl("get", "configmap", "forms", *form).stdout
        self.assertEqual(normal(get()), "NAME DATA AGE\nforms 2 AGE\n")
        self.assertEqual(normal(get("-o", "wide")), "NAME DATA AGE\nforms 2 AGE\n")
        self.assertEqual(normal(get("--show-labels")), "NAME DATA AGE LABELS\nforms 2 AGE tier=a\n")
        self.assertEqual(normal(get("-L", "tier", "--no-headers")), "forms 2 AGE a\n")
        self.assertEqual(get("-o", "name"), "configmap/forms\n")
        self.assertEqual(get("-o", "jsonpath={.data.colour}"), "red")
        self.assertEqual(get("-o", "go-template={{.data.size}}"), "3")
        self.assertEqual(get("-o", "custom-columns=N:.metadata.name,C:.data.colour"),
                         "N       C\nforms   red\n")
        self.assertEqual(json.loads(get("-o", "json"))["data"]["colour"], "red")
        self.assertIn("\ndata:\n  colour: red\n  size: \"3\"\n", "\n" + get("-o", "yaml").split("\n", 1)[1])
        self.assertIn("No resources found in default namespace.",
                      self.kubectl("get", "secrets").stderr)
        self.assertEqual(self.kubectl("get", "configmap", "-l", "tier=a", "-o", "name").stdout,
                         "configmap/forms\n")
        self.assertEqual(self.kubectl("get", "configmap", "-l", "tier in (b)", "-o", "name").stdout, "")

    def test_get_watch_shows_changes_and_ends_on_delete(self):
        watcher = self.cluster.popen_kubectl("get", "configmaps", "-w", "-l", "watched=yes",
                                             "--output-watch-events", "--no-headers")
        try:
            body = CONFIG.replace("settings", "seen").replace("tier: a", 'watched: "yes"')
            eventually(lambda: watcher.poll() is None, what="the watcher")
            self.cluster.apply(body)
            first = watcher.stdout.readline()
            self.kubectl("delete", "configmap", "seen")
            rest = watcher.stdout.readline()
        finally:
            watcher.terminate()
            watcher.communicate()
        self.assertEqual(normal(first), "ADDED seen 2 AGE\n")
        self.assertEqual(normal(rest), "DELETED seen 2 AGE\n")

    def test_patch_label_annotate_and_edit_by_all_three_patches(self):
        self.cluster.apply(CONFIG.replace("settings", "patched"))
        data = lambda: self.cluster.get("configmap", "patched")["data"]
        self.kubectl("patch", "configmap", "patched", "-p", '{"data":{"a":"1"}}')
        self.assertEqual(data(), {"colour": "red", "size": "3", "a": "1"})
        self.kubectl("patch", "configmap", "patched", "--type=merge", "-p", '{"data":{"a":null}}')
        self.assertEqual(data(), {"colour": "red", "size": "3"})
        self.kubectl("patch", "configmap", "patched", "--type=json", "-p",
                     '[{"op":"replace","path":"/data/size","value":"4"}]')
        self.assertEqual(data(), {"colour": "red", "size": "4"})
        self.assertEqual(self.kubectl("label", "configmap", "patched", "x=y").stdout,
                         "configmap/patched labeled\n")
        self.assertEqual(self.kubectl("annotate", "configmap", "patched", "note=z").stdout,
                         "configmap/patched annotated\n")

    def test_a_pod_runs_logs_and_is_described(self):
        self.cluster.apply(pod("hello", "echo one; echo two >&2; exit 3"))
        self.kubectl("wait", "pod/hello", "--for=jsonpath={.status.phase}=Failed", "--timeout=30s")
        self.assertEqual(sorted(self.kubectl("logs", "hello").stdout.split()), ["one", "two"])
        self.assertEqual(normal(self.kubectl("get", "pod", "hello").stdout),
                         "NAME READY STATUS RESTARTS AGE\nhello 0/1 Error 0 AGE\n")
        described = normal(self.kubectl("describe", "pod", "hello").stdout)
        for part in ("Name: hello\n", "Namespace: default\n", "Labels: app=hello\n", "Status: Failed\n",
                     "State: Terminated\n", "Reason: Error\n", "Exit Code: 3\n", "Restart Count: 0\n",
                     "Events:\n", "Scheduled", "Started"):
            self.assertIn(part, described)

    def test_logs_follow_until_the_end(self):
        self.cluster.apply(pod("talk", "for i in 1 2 3; do echo line $i; sleep 0.3; done"))
        self.kubectl("wait", "pod/talk", "--for=condition=Ready", "--timeout=30s", check=False)
        self.assertEqual(self.kubectl("logs", "-f", "talk", timeout=30).stdout,
                         "line 1\nline 2\nline 3\n")
        self.assertEqual(self.kubectl("logs", "--tail=1", "talk").stdout, "line 3\n")

    def test_a_job_completes_and_its_deletion_takes_its_pods(self):
        self.assertEqual(self.cluster.apply(JOB).stdout, "job.batch/count created\n")
        self.assertEqual(self.kubectl("wait", "job/count", "--for=condition=complete", "--timeout=60s").stdout,
                         "job.batch/count condition met\n")
        self.assertEqual(normal(self.kubectl("get", "job", "count").stdout),
                         "NAME STATUS COMPLETIONS DURATION AGE\ncount Complete 2/2 AGE AGE\n")
        logs = {p["metadata"]["name"]: self.kubectl("logs", p["metadata"]["name"]).stdout
                for p in self.cluster.get("pods", "-l", "job-name=count")["items"]}
        self.assertEqual(sorted(logs.values()), ["index 0\n", "index 1\n"])
        self.kubectl("delete", "job", "count", "--cascade=foreground", "--timeout=30s")
        self.assertEqual(self.cluster.get("pods", "-l", "job-name=count")["items"], [])

    def test_orphans_stay_when_asked_for(self):
        self.cluster.apply(JOB.replace("name: count", "name: orphaned"))
        self.kubectl("wait", "job/orphaned", "--for=condition=complete", "--timeout=60s")
        self.kubectl("delete", "job", "orphaned", "--cascade=orphan", "--timeout=30s")
        pods = self.cluster.get("pods", "-l", "job-name=orphaned")["items"]
        self.assertEqual(len(pods), 2)
        self.assertEqual([p["metadata"].get("ownerReferences") for p in pods], [None, None])
        self.kubectl("delete", "pods", "-l", "job-name=orphaned")

    def test_deleting_a_namespace_takes_all_of_it(self):
        self.kubectl("create", "namespace", "doomed")
        self.kubectl("-n", "doomed", "create", "configmap", "inside", "--from-literal=a=b")
        self.kubectl("-n", "doomed", "run", "sleeper", "--image=busybox", "--restart=Never", "--", "sleep", "60")
        self.kubectl("delete", "namespace", "doomed", "--timeout=60s", timeout=90)
        self.assertNotEqual(self.kubectl("get", "namespace", "doomed", check=False).returncode, 0)

    def test_discovery_and_explain(self):
        resources = self.kubectl("api-resources", "--no-headers", "-o", "name").stdout.split()
        for name in ("pods", "nodes", "services", "configmaps", "secrets", "events", "namespaces", "jobs.batch",
                     "jobsets.jobset.x-k8s.io", "leases.coordination.k8s.io", "endpointslices.discovery.k8s.io"):
            self.assertIn(name, resources)
        explained = normal(self.kubectl("explain", "pod.spec.containers").stdout)
        self.assertIn("KIND: Pod\n", explained)
        self.assertIn("<[]Container>", explained)
        self.assertIn("Server Version:", self.kubectl("version").stdout)
        self.assertEqual(normal(self.kubectl("get", "nodes", "--no-headers").stdout).split()[1], "Ready")


if __name__ == "__main__":
    unittest.main()
