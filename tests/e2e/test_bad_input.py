# SPDX-License-Identifier: Apache-2.0
"""Bad input gets an error that names the object, the field and the next step, and changes nothing."""
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

from cluster import PELTON, ClusterTest, eventually, pod


class BadInput(ClusterTest):
    def refused(self, manifest, *expected, args=("apply", "-f", "-")):
        before = self.cluster.request("GET", "/api/v1/pods")[1]["items"]
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        result = self.kubectl(*args, input=text, check=False)
        self.assertNotEqual(result.returncode, 0, result.stdout)
        for part in expected:
            self.assertIn(part, result.stderr)
        after = self.cluster.request("GET", "/api/v1/pods")[1]["items"]
        self.assertEqual([p["metadata"]["uid"] for p in before], [p["metadata"]["uid"] for p in after])

    def test_an_unknown_kind(self):
        self.refused({"apiVersion": "v1", "kind": "Pond", "metadata": {"name": "a"}},
                     'no matches for kind "Pond" in version "v1"')

    def test_a_wrong_type(self):
        bad = pod("typed", "true")
        bad["spec"]["terminationGracePeriodSeconds"] = "soon"
        self.refused(bad, "terminationGracePeriodSeconds")

    def test_an_unknown_field(self):
        bad = pod("fielded", "true")
        bad["spec"]["nodes"] = 3
        self.refused(bad, 'unknown field "spec.nodes"')

    def test_an_impossible_quantity(self):
        bad = pod("greedy", "true")
        bad["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "two"}}
        self.refused(bad, "quantities must match the regular expression")

    def test_a_name_that_is_not_dns(self):
        self.refused(pod("Not_DNS", "true"), 'The Pod "Not_DNS" is invalid', "metadata.name", "RFC 1123")

    def test_a_missing_field(self):
        bad = pod("imageless", "true")
        del bad["spec"]["containers"][0]["image"]
        self.refused(bad, 'The Pod "imageless" is invalid: spec.containers[0].image: Required value')

    def test_a_yaml_error(self):
        self.refused("apiVersion: v1\nkind: Pod\n  metadata: {", "error")

    def test_an_object_over_the_limit(self):
        big = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"},
               "data": {f"k{i}": "x" * (1 << 20) for i in range(4)}}
        status, answer = self.cluster.request("POST", "/api/v1/namespaces/default/configmaps", big)
        self.assertEqual((status, answer["kind"], answer["reason"]), (413, "Status", "RequestEntityTooLarge"))
        self.assertEqual(self.cluster.request("GET", "/api/v1/namespaces/default/configmaps/big")[0], 404)

    def test_a_pod_whose_image_maps_to_nothing_says_how_to_map_it(self):
        lost = pod("lost", "true")
        lost["spec"]["containers"][0]["image"] = "example.com/nobody/knows:1"
        self.cluster.apply(lost)
        def refused_image():
            statuses = self.cluster.get("pod", "lost")["status"].get("containerStatuses") or [{}]
            state = statuses[0].get("state", {}).get("waiting", {})
            return state if state.get("reason") in ("ErrImagePull", "ImagePullBackOff") else None
        waiting = eventually(refused_image, what="ErrImagePull")
        self.assertIn("example.com/nobody/knows:1", waiting["message"])
        self.assertIn("images", waiting["message"], "the message says where to map it")
        self.kubectl("delete", "pod", "lost")


class Credentials(ClusterTest):
    def test_nothing_answers_without_a_credential_but_health(self):
        for path in ("/healthz", "/livez", "/readyz"):
            connection = self.cluster.connection()
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().status, 200, path)
            connection.close()
        for path in ("/", "/api", "/apis", "/version", "/openapi/v3", "/api/v1/pods", "/metrics", "/healthz/../api"):
            status, answer = self.cluster.request("GET", path, name=None)
            self.assertEqual((status, answer.get("reason")), (401, "Unauthorized"), path)

    def test_the_agents_interface_answers_only_the_server(self):
        node = self.cluster.get("node", "node-0")
        port = node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        import http.client
        import ssl
        for credential in (None, "admin", "node-node-1"):
            context = ssl.create_default_context(cafile=str(self.cluster.directory / "pki" / "ca.crt"))
            context.check_hostname = False
            if credential:
                pki = self.cluster.directory / "pki"
                context.load_cert_chain(str(pki / f"{credential}.crt"), str(pki / f"{credential}.key"))
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=5)
            connection.request("GET", "/pods")
            self.assertIn(connection.getresponse().status, (401, 403), credential)
            connection.close()

    def test_a_node_writes_only_what_is_its_own(self):
        ask = lambda method, path, body=None: self.cluster.request(
            method, path, body, name="node-node-0", content_type="application/merge-patch+json")[0]
        mark = {"metadata": {"labels": {"mark": "x"}}}
        self.assertEqual(ask("PATCH", "/api/v1/nodes/node-0", mark), 200)
        self.assertEqual(ask("PATCH", "/api/v1/nodes/node-1", mark), 403)
        self.assertEqual(ask("GET", "/api/v1/nodes/node-1"), 200)
        lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/node-1"
        self.assertEqual(ask("PATCH", lease, mark), 403)
        self.assertEqual(ask("DELETE", "/api/v1/namespaces/default"), 403)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
        self.assertEqual(self.cluster.request("POST", "/api/v1/namespaces/default/secrets", secret,
                                              name="node-node-0")[0], 403)

    def test_a_pod_of_another_node_is_not_its_own(self):
        there = pod("there", "sleep 60", nodeName="node-1")
        self.cluster.apply(there)
        path = "/api/v1/namespaces/default/pods/there/status"
        patch = {"status": {"message": "mine"}}
        for name, expected in (("node-node-0", 403), ("node-node-1", 200)):
            status, answer = self.cluster.request("PATCH", path, patch, name=name,
                                                  content_type="application/merge-patch+json")
            self.assertEqual(status, expected, answer)
        self.kubectl("delete", "pod", "there")


class CommandLine(unittest.TestCase):
    def run_pelton(self, *args):
        return subprocess.run([PELTON, *map(str, args)], capture_output=True, text=True, timeout=60,
                              stdin=subprocess.DEVNULL)

    def test_every_verb_has_help_with_examples(self):
        verbs = ["up", "down", "status", "run", "kubeconfig", "explain", "sim"]
        listing = self.run_pelton("help").stdout
        for verb in verbs:
            self.assertIn(verb, listing)
            shown = self.run_pelton(verb, "--help")
            self.assertEqual(shown.returncode, 0, shown.stderr)
            self.assertIn("Examples:", shown.stdout, verb)

    def test_mistakes_exit_with_2_and_point_to_help(self):
        for args in (("fly",), ("up", "--wings"), ("up", "--nodes", "many")):
            result = self.run_pelton(*args)
            self.assertEqual(result.returncode, 2, args)
            self.assertIn("help", result.stderr)

    def test_a_park_with_an_unknown_machine_type(self):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name)
            park = directory / "park.yaml"
            park.write_text("apiVersion: pelton.dev/v1alpha1\nkind: Park\nmetadata: {name: p}\n"
                            "spec:\n  machineTypes: [{name: a, cpu: '1', memory: 1Gi}]\n"
                            "  zones: [{name: z}]\n  machines: [{type: b, zone: z, count: 1}]\n")
            result = self.run_pelton("up", "--park", park, "--data-dir", directory / "d")
            self.assertEqual(result.returncode, 1)
            self.assertIn("spec.machines[0].type", result.stderr)
            self.assertIn('"b"', result.stderr)
            self.assertFalse((directory / "d" / "store").exists())


if __name__ == "__main__":
    unittest.main()
