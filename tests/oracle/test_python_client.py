# SPDX-License-Identifier: Apache-2.0
"""Python's `kubernetes` client, as users' scripts use it, against `pelton server`."""
import unittest

from kubernetes import client, config, dynamic, watch
from kubernetes.client.exceptions import ApiException

from servers import OurServer

WATCH_SECONDS = 60


class PythonClient(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = OurServer()
        try:
            cls.server.start()
            cls.api = config.new_client_from_config(str(cls.server.kubeconfig))
        except BaseException:
            cls.server.stop()
            raise
        cls.core = client.CoreV1Api(cls.api)

    @classmethod
    def tearDownClass(cls):
        cls.api.close()
        cls.server.stop()

    def make_map(self, name, **data):
        return self.core.create_namespaced_config_map("default", client.V1ConfigMap(
            metadata=client.V1ObjectMeta(name=name, labels={"of": name}), data=data))

    def test_creates_reads_patches_replaces_and_deletes(self):
        made = self.make_map("crud", a="1")
        self.assertTrue(made.metadata.uid)
        patched = self.core.patch_namespaced_config_map("crud", "default", {"data": {"b": "2"}})
        self.assertEqual(patched.data, {"a": "1", "b": "2"})
        patched.data = {"c": "3"}
        replaced = self.core.replace_namespaced_config_map("crud", "default", patched)
        self.assertEqual(replaced.data, {"c": "3"})
        with self.assertRaises(ApiException) as stale:
            self.core.replace_namespaced_config_map("crud", "default", patched)
        self.assertEqual(stale.exception.status, 409)
        self.core.delete_namespaced_config_map("crud", "default")
        with self.assertRaises(ApiException) as gone:
            self.core.read_namespaced_config_map("crud", "default")
        self.assertEqual((gone.exception.status, gone.exception.reason), (404, "Not Found"))

    def test_lists_in_pages(self):
        for number in range(5):
            self.make_map(f"page-{number}", of="page")
        names, token = [], None
        while True:
            page = self.core.list_namespaced_config_map(
                "default", limit=2, _continue=token,
                label_selector="of in (page-0, page-1, page-2, page-3, page-4)")
            self.assertLessEqual(len(page.items), 2)
            names += [item.metadata.name for item in page.items]
            token = page.metadata._continue
            if not token:
                break
        self.assertEqual(names, [f"page-{number}" for number in range(5)])

    def test_watches_from_a_list(self):
        before = self.core.list_namespaced_config_map("default").metadata.resource_version
        self.make_map("watched", a="1")
        self.core.patch_namespaced_config_map("watched", "default", {"data": {"a": "2"}})
        self.core.delete_namespaced_config_map("watched", "default")
        seen = []
        watcher = watch.Watch()
        for event in watcher.stream(self.core.list_namespaced_config_map, "default",
                                    label_selector="of=watched", resource_version=before,
                                    timeout_seconds=WATCH_SECONDS):
            seen.append((event["type"], event["object"].data["a"]))
            if event["type"] == "DELETED":
                watcher.stop()
        self.assertEqual(seen, [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")])

    def test_an_invalid_object_says_which_field(self):
        pod = client.V1Pod(metadata=client.V1ObjectMeta(name="bad"),
                           spec=client.V1PodSpec(containers=[client.V1Container(name="C", image="x")]))
        with self.assertRaises(ApiException) as refused:
            self.core.create_namespaced_pod("default", pod)
        self.assertEqual(refused.exception.status, 422)
        self.assertIn("spec.containers[0].name", refused.exception.body)

    def test_the_dynamic_client_finds_kinds_by_discovery(self):
        dynamic_client = dynamic.DynamicClient(self.api)
        jobs = dynamic_client.resources.get(api_version="batch/v1", kind="Job")
        made = jobs.create(namespace="default", body={
            "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "dynamic"},
            "spec": {"suspend": True, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}})
        self.assertEqual(made.spec.completionMode, "NonIndexed")
        self.assertEqual([job.metadata.name for job in jobs.get(namespace="default").items],
                         ["dynamic"])
        jobs.patch(namespace="default", name="dynamic", body={"spec": {"parallelism": 3}},
                   content_type="application/merge-patch+json")
        self.assertEqual(jobs.get(namespace="default", name="dynamic").spec.parallelism, 3)
        jobs.delete(namespace="default", name="dynamic", body={"propagationPolicy": "Background"})
        with self.assertRaises(dynamic.exceptions.NotFoundError):
            jobs.get(namespace="default", name="dynamic")


if __name__ == "__main__":
    unittest.main()
