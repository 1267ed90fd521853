# SPDX-License-Identifier: Apache-2.0
"""What a pod is given and held to: volumes that follow their objects, memory, limits, and its usage."""
import json
import os
import shutil
import tempfile
import unittest

from cluster import ClusterTest, eventually, pod


class PodFeatures(ClusterTest):
    NODES = 2

    def logs(self, name):
        return self.kubectl("logs", name, check=False).stdout

    def test_a_changed_configmap_and_label_are_seen_in_the_running_pod(self):
        self.kubectl("create", "configmap", "live", "--from-literal=a=1", "--from-literal=b=1")
        spec = pod("reader", "last=; while :; do now=$(cat /conf/a /conf/b /info/labels 2>/dev/null | tr '\\n' ' '); "
                             "[ \"$now\" = \"$last\" ] || echo \"$now\"; last=$now; sleep 0.02; done")
        spec["spec"]["volumes"] = [
            {"name": "conf", "configMap": {"name": "live"}},
            {"name": "info", "projected": {"sources": [{"downwardAPI": {"items": [
                {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}}]}}]
        spec["spec"]["containers"][0]["volumeMounts"] = [{"name": "conf", "mountPath": "/conf"},
                                                         {"name": "info", "mountPath": "/info"}]
        self.cluster.apply(spec)
        eventually(lambda: self.logs("reader") == '11app="reader"\n', timeout=60, what="the first content")
        self.kubectl("patch", "configmap", "live", "--type=merge", "-p", '{"data": {"a": "2", "b": "2"}}')
        eventually(lambda: self.logs("reader").endswith('22app="reader"\n'), timeout=60, what="the change")
        self.kubectl("label", "pod", "reader", "app=other", "--overwrite")
        eventually(lambda: self.logs("reader").endswith('22app="other"\n'), timeout=60, what="the label")
        self.kubectl("delete", "pod", "reader", "--grace-period=1")

    def test_a_link_to_the_data_directory_is_no_way_in(self):
        links = tempfile.mkdtemp(prefix="pelton-e2e-links-")
        self.addCleanup(shutil.rmtree, links)
        os.symlink(self.cluster.directory, f"{links}/all")
        os.symlink(f"{self.cluster.directory}/pki", f"{links}/part")
        os.symlink(self.cluster.directory.parent, f"{links}/above")
        os.mkdir(f"{links}/harmless")
        os.symlink(f"{links}/harmless", f"{links}/other")
        for number, (path, kind) in enumerate((("all", ""), ("part", "Directory"), ("above", ""),
                                               ("all/made", "DirectoryOrCreate"))):
            spec = pod(f"link-{number}", "ls /in")
            spec["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": f"{links}/{path}", "type": kind}}]
            spec["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/in"}]
            self.cluster.apply(spec)
            eventually(lambda name=f"link-{number}": "data directory" in self.kubectl("describe", "pod", name).stdout,
                       what=f"the refusal of {path}")
            self.assertEqual(self.cluster.get("pod", f"link-{number}")["status"]["phase"], "Pending")
            self.kubectl("delete", "pod", f"link-{number}", "--grace-period=1")
        self.assertFalse((self.cluster.directory / "made").exists(), "nothing is made there")
        spec = pod("linked", "touch /in/file")
        spec["spec"]["volumes"] = [{"name": "v", "hostPath": {"path": f"{links}/other"}}]
        spec["spec"]["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/in"}]
        self.cluster.apply(spec)
        self.kubectl("wait", "pod/linked", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        self.assertTrue(os.path.exists(f"{links}/harmless/file"), "other links are followed")
        self.kubectl("delete", "pod", "linked")

    def test_memory_volumes_and_limits_hold_and_the_end_says_why(self):
        spec = pod("memory", "stat -f -c %T /mem; head -c 3000000 /dev/zero > /mem/f || echo full")
        spec["spec"]["volumes"] = [{"name": "m", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
        spec["spec"]["containers"][0]["volumeMounts"] = [{"name": "m", "mountPath": "/mem"}]
        self.cluster.apply(spec)
        self.kubectl("wait", "pod/memory", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        out = self.logs("memory")
        self.assertTrue(out.startswith("tmpfs\n"), out)
        self.assertIn("full\n", out)
        self.kubectl("delete", "pod", "memory")

        conditions = self.cluster.get("node", "node-0")["status"]["conditions"]
        limits = next(c for c in conditions if c["type"] == "pelton.dev/ResourceLimits")
        if limits["status"] != "True":
            self.skipTest(limits["message"])
        greedy = pod("greedy", "exec python3 -c 'x = bytearray(512 << 20)'")
        greedy["spec"]["containers"][0]["resources"] = {"limits": {"memory": "64Mi", "cpu": "1"}}
        self.cluster.apply(greedy)
        self.kubectl("wait", "pod/greedy", "--for=jsonpath={.status.phase}=Failed", "--timeout=60s")
        ended = self.cluster.get("pod", "greedy")["status"]["containerStatuses"][0]["state"]["terminated"]
        self.assertEqual((ended["reason"], ended["exitCode"]), ("OOMKilled", 137))
        self.assertRegex(self.kubectl("get", "pod", "greedy", "--no-headers").stdout, r"greedy +0/1 +OOMKilled ")
        self.assertIn("OOMKilled", self.kubectl("describe", "pod", "greedy").stdout)
        self.kubectl("delete", "pod", "greedy")

    def test_kubectl_top_shows_nodes_pods_and_containers(self):
        busy = pod("busy", "while :; do :; done")
        busy["spec"]["containers"].append({"name": "calm", "image": "busybox",
                                           "command": ["python3", "-c", "import time; x = b'a' * (50 << 20); time.sleep(1000)"]})
        self.cluster.apply(busy)
        self.kubectl("wait", "pod/busy", "--for=condition=Ready", "--timeout=60s")

        def usage():
            """{container: (thousandths of a core, MiB)}, as `kubectl top` prints it."""
            lines = self.kubectl("top", "pods", "--containers", "--no-headers", check=False).stdout.splitlines()
            rows = [line.split() for line in lines]
            return {row[1]: (int(row[2].removesuffix("m")), int(row[3].removesuffix("Mi")))
                    for row in rows if row[0] == "busy"}

        def is_told():
            told = usage()
            return (told.keys() == {"main", "calm"} and told["main"][0] > 50 and told["calm"][1] >= 50) and told
        told = eventually(is_told, timeout=60, what="the usage of both containers")
        self.assertLess(told["main"][1], 50)
        name, cpu, memory = self.kubectl("top", "pod", "busy", "--no-headers").stdout.split()
        self.assertEqual(name, "busy")
        self.assertGreater(int(cpu.removesuffix("m")), 50)
        self.assertGreaterEqual(int(memory.removesuffix("Mi")), 50)
        nodes = self.kubectl("top", "nodes").stdout.splitlines()
        self.assertEqual(nodes[0].split(), ["NAME", "CPU(cores)", "CPU(%)", "MEMORY(bytes)", "MEMORY(%)"])
        self.assertEqual([line.split()[0] for line in nodes[1:]], ["node-0", "node-1"])
        raw = json.loads(self.kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/busy").stdout)
        self.assertEqual(raw["kind"], "PodMetrics")
        self.assertEqual(sorted(c["name"] for c in raw["containers"]), ["calm", "main"])
        missing = self.kubectl("top", "pod", "none", check=False)
        self.assertIn("NotFound", missing.stderr)
        self.assertIn("busy", self.kubectl("get", "pods.metrics.k8s.io", "-o", "name").stdout)
        self.kubectl("delete", "pod", "busy", "--grace-period=1")


if __name__ == "__main__":
    unittest.main()
