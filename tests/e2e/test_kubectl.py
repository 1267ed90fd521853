# SPDX-License-Identifier: Apache-2.0
"""kubectl's habits, compared by what is printed."""
import contextlib
import json
import threading
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
    @contextlib.contextmanager
    def watching(self, *args):
        """Gives a function that returns the next line of a kubectl that does not end."""
        watcher = self.cluster.popen_kubectl(*args)
        stop = threading.Timer(180, watcher.kill)  # a line that never comes fails the test
        stop.start()

        def line():
            text = watcher.stdout.readline()
            self.assertNotEqual(text, "", f"kubectl {' '.join(args)} ended")
            return normal(text).strip()
        try:
            yield line
        finally:
            stop.cancel()
            watcher.kill()
            watcher.communicate()

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

    def test_get_watch_shows_changes_and_deletion(self):
        settings = lambda name: CONFIG.replace("settings", name).replace("tier: a", 'watched: "yes"')
        self.cluster.apply(settings("before"))
        with self.watching("get", "configmaps", "-w", "-l", "watched=yes", "--output-watch-events",
                           "--no-headers") as line:
            self.assertEqual(line(), "ADDED before 2 AGE")  # it is there: now it sees all that follows
            self.cluster.apply(settings("seen"))
            self.kubectl("label", "configmap", "seen", "also=this")
            self.kubectl("label", "configmap", "seen", "watched-")
            self.kubectl("delete", "configmap", "before")
            self.assertEqual([line() for _ in range(4)],
                             ["ADDED seen 2 AGE", "MODIFIED seen 2 AGE", "DELETED seen 2 AGE",
                              "DELETED before 2 AGE"])

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

    def test_get_watch_follows_a_pods_life(self):
        self.cluster.apply(pod("anchor", "true", nodeSelector={"no": "such"}))
        self.kubectl("label", "pod", "anchor", "life=yes")
        with self.watching("get", "pods", "-w", "-l", "life=yes", "--no-headers", "-o",
                           "custom-columns=N:.metadata.name,P:.status.phase,ON:.spec.nodeName") as line:
            self.assertTrue(line().startswith("anchor Pending"))
            living = pod("life", "echo lived")
            living["metadata"]["labels"]["life"] = "yes"
            self.cluster.apply(living)
            seen = []
            while not seen or seen[-1][0] != "Succeeded":
                name, *state = line().split()
                if name == "life" and state not in seen:
                    seen.append(state)
        node = self.cluster.get("pod", "life")["spec"]["nodeName"]
        self.assertEqual(seen[:2], [["Pending", "<none>"], ["Pending", node]])
        # A short container may start and end between two writes of its status.
        self.assertIn(seen[2:], ([["Running", node], ["Succeeded", node]], [["Succeeded", node]]))
        self.kubectl("delete", "pod", "anchor", "life", "--timeout=60s")

    def test_logs_of_a_container_with_times_and_of_many_pods_with_prefixes(self):
        body = pod("two", "echo main says")
        body["spec"]["containers"].append({"name": "side", "image": "busybox", "command": ["sh", "-c", "echo side says"]})
        self.cluster.apply(body)
        self.kubectl("wait", "pod/two", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        self.assertEqual(self.kubectl("logs", "two", "-c", "side").stdout, "side says\n")
        both = self.kubectl("logs", "two", "--all-containers", "--prefix").stdout
        self.assertEqual(sorted(both.splitlines()), ["[pod/two/main] main says", "[pod/two/side] side says"])
        self.assertRegex(self.kubectl("logs", "two", "-c", "main", "--timestamps").stdout,
                         r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z main says\n$")
        self.assertEqual(self.kubectl("logs", "-l", "app=two", "-c", "main").stdout, "main says\n")
        unnamed = self.kubectl("logs", "two")
        self.assertEqual(unnamed.stdout, "main says\n")
        self.assertEqual(unnamed.stderr, "Defaulted container \"main\" out of: main, side\n")
        absent = self.kubectl("logs", "two", "-c", "third", check=False)
        self.assertEqual((absent.returncode, absent.stderr),
                         (1, "error: container third is not valid for pod two out of: main, side\n"))

    def test_events_tell_a_pods_story(self):
        self.cluster.apply(pod("story", "echo once upon a time"))
        self.kubectl("wait", "pod/story", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")

        def story():
            lines = normal(self.kubectl("events", "--for", "pod/story", "--no-headers").stdout).splitlines()
            return [line.split()[1:4] for line in lines]
        whole = [["Normal", "Scheduled", "Pod/story"], ["Normal", "Created", "Pod/story"],
                 ["Normal", "Started", "Pod/story"]]
        # They are written beside the status, and may come after it; kubectl sorts them by whole seconds.
        eventually(lambda: all(one in story() for one in whole), timeout=60, what="the pod's events")
        same = self.kubectl("get", "events", "--field-selector=involvedObject.name=story,reason=Scheduled",
                            "-o", "jsonpath={.items[*].message}").stdout
        node = self.cluster.get("pod", "story")["spec"]["nodeName"]
        self.assertEqual(same, f"Successfully assigned default/story to {node}")
        described = normal(self.kubectl("describe", "pod", "story").stdout)
        self.assertRegex(described, r"Normal Scheduled AGE default-scheduler Successfully assigned default/story to ")

    def test_wait_sees_a_deletion_and_a_background_cascade(self):
        self.cluster.apply(JOB.replace("name: count", "name: gone").replace("echo index", "sleep 600; echo"))
        pods = lambda: self.kubectl("get", "pods", "-l", "job-name=gone", "-o", "name").stdout.split()
        names = eventually(lambda: pods() if len(pods()) == 2 else None, timeout=60, what="two pods")
        waiter = self.cluster.popen_kubectl("wait", *names, "--for=delete", "--timeout=90s")
        self.assertEqual(self.kubectl("delete", "job", "gone", "--cascade=background").stdout,
                         'job.batch "gone" deleted from default namespace\n')
        out = waiter.communicate(timeout=120)[0]
        self.assertEqual(waiter.returncode, 0, out)
        # It looks at one after the other, and says nothing of one that has gone by then.
        self.assertIn(f"{names[0]} condition met", out)
        self.assertLessEqual(set(out.splitlines()), {f"{name} condition met" for name in names})
        self.assertEqual(pods(), [])

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
