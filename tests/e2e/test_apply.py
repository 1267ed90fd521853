# SPDX-License-Identifier: Apache-2.0
"""kubectl's ways of changing an object, and who owns what afterwards, compared by what is printed."""
import os
import subprocess
import unittest

from cluster import KUBECTL, ClusterTest

CONFIG = """
apiVersion: v1
kind: ConfigMap
metadata: {name: NAME}
data: {colour: red, size: "3"}
"""

CONFLICT = """error: Apply failed with 1 conflict: conflict with "other": .data.colour
Please review the fields above--they currently have other managers. Here
are the ways you can resolve this warning:
* If you intend to manage all of these fields, please re-run the apply
  command with the `--force-conflicts` flag.
* If you do not intend to manage all of the fields, please edit your
  manifest to remove references to the fields that should keep their
  current managers.
* You may co-own fields by updating your manifest to match the existing
  value; in this case, you'll become the manager if the other manager(s)
  stop managing the field (remove it from their configuration).
See https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts
"""


def config(name, **data):
    text = CONFIG.replace("NAME", name)
    for key, value in data.items():
        old = {"colour": "red", "size": '"3"'}[key]
        text = text.replace(f"{key}: {old}", f"{key}: {value}")
    return text


class Apply(ClusterTest):
    def apply(self, text, *args, **kwargs):
        return self.kubectl("apply", *args, "-f", "-", input=text, **kwargs)

    def data(self, name):
        return self.cluster.get("configmap", name)["data"]

    def managers(self, name):
        fields = self.cluster.get("configmap", name, "--show-managed-fields")["metadata"].get("managedFields", [])
        return [(f["manager"], f["operation"]) for f in fields]

    def test_server_side_apply_conflicts_and_force(self):
        other = ("--server-side", "--field-manager=other")
        self.assertEqual(self.apply(config("ssa"), *other).stdout, "configmap/ssa serverside-applied\n")
        version = self.cluster.get("configmap", "ssa")["metadata"]["resourceVersion"]
        self.apply(config("ssa"), *other)
        self.assertEqual(self.cluster.get("configmap", "ssa")["metadata"]["resourceVersion"], version)
        refused = self.apply(config("ssa", colour="blue"), "--server-side", check=False)
        self.assertEqual((refused.returncode, refused.stderr), (1, CONFLICT))
        self.assertEqual(self.data("ssa")["colour"], "red")
        forced = self.apply(config("ssa", colour="blue"), "--server-side", "--force-conflicts")
        self.assertEqual(forced.stdout, "configmap/ssa serverside-applied\n")
        self.assertEqual(sorted(self.managers("ssa")), [("kubectl", "Apply"), ("other", "Apply")])
        # Both stated the size: it stays until both are silent. The colour is kubectl's.
        less = config("ssa").replace('colour: red, size: "3"', "new: x")
        self.apply(less, "--server-side")
        self.assertEqual(self.data("ssa"), {"new": "x", "size": "3"})
        self.apply(less.replace("new: x", ""), *other)
        self.assertEqual(self.data("ssa"), {"new": "x"})
        self.assertNotIn("managedFields", self.kubectl("get", "configmap", "ssa", "-o", "yaml").stdout)

    def test_the_move_from_client_side_to_server_side(self):
        self.assertEqual(self.apply(config("moved")).stdout, "configmap/moved created\n")
        self.assertEqual(self.managers("moved"), [("kubectl-client-side-apply", "Update")])
        moved = self.apply(config("moved", colour="blue"), "--server-side")
        self.assertEqual((moved.stdout, moved.stderr), ("configmap/moved serverside-applied\n", ""))
        self.assertEqual(self.data("moved"), {"colour": "blue", "size": "3"})
        # kubectl keeps the annotation true, by a name of its own.
        owners = [("kubectl", "Apply"), ("kubectl-last-applied", "Apply")]
        self.assertEqual(sorted(self.managers("moved")), owners)
        # What was set by the client-side apply goes when it is no longer stated.
        self.apply(config("moved", colour="blue").replace(', size: "3"', ""), "--server-side")
        self.assertEqual(self.data("moved"), {"colour": "blue"})

    def test_dry_run_and_diff_show_what_would_be_and_change_nothing(self):
        server = "--dry-run=server"
        self.assertEqual(self.apply(config("dry"), server).stdout,
                         "configmap/dry created (server dry run)\n")
        self.assertNotEqual(self.kubectl("get", "configmap", "dry", check=False).returncode, 0)
        self.apply(config("dry"))
        self.assertEqual(self.apply(config("dry", colour="blue"), server).stdout,
                         "configmap/dry configured (server dry run)\n")
        self.assertEqual(self.apply(config("dry", colour="blue"), server, "--server-side").stdout,
                         "configmap/dry serverside-applied (server dry run)\n")
        for args in ((), ("--server-side",)):
            diff = self.kubectl("diff", *args, "-f", "-", input=config("dry", colour="blue"), check=False)
            self.assertEqual(diff.returncode, 1, diff.stderr)
            changes = [line for line in diff.stdout.splitlines() if line[:2] in ("- ", "+ ")]
            self.assertIn("-  colour: red", changes)
            self.assertIn("+  colour: blue", changes)
        same = self.kubectl("diff", "-f", "-", input=config("dry"))
        self.assertEqual(same.stdout, "")
        self.assertEqual(self.kubectl("delete", "configmap", "dry", server).stdout,
                         'configmap "dry" deleted from default namespace (server dry run)\n')
        self.assertEqual(self.data("dry"), {"colour": "red", "size": "3"})

    def test_strict_validation_refuses_what_would_fall_away(self):
        wrong = config("strict").replace("\ndata:", "\ndta: {x: y}\ndata:")
        refused = self.apply(wrong, "--validate=strict", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertEqual(
            refused.stderr,
            'Error from server (BadRequest): error when creating "STDIN": ConfigMap in version "v1" cannot be '
            'handled as a ConfigMap: strict decoding error: unknown field "dta"\n')
        warned = self.apply(wrong, "--validate=warn")
        self.assertEqual(warned.stdout, "configmap/strict created\n")
        self.assertEqual(warned.stderr, 'Warning: unknown field "dta"\n')
        ignored = self.apply(wrong, "--validate=ignore")
        self.assertEqual((ignored.returncode, ignored.stderr), (0, ""))
        refused = self.apply(wrong, "--server-side", check=False)
        self.assertEqual(refused.stderr,
                         "Error from server: failed to create typed patch object (default/strict; /v1, "
                         "Kind=ConfigMap): .dta: field not declared in schema\n")

    def test_edit_label_annotate_and_three_patches(self):
        self.kubectl("create", "-f", "-", input=config("edited"))
        edited = subprocess.run([KUBECTL, f"--kubeconfig={self.cluster.kubeconfig}", "edit", "configmap", "edited"],
                                capture_output=True, text=True, timeout=90,
                                env={**os.environ, "EDITOR": "sed -i s/red/green/", "HOME": str(self.cluster.directory)})
        self.assertEqual((edited.stdout, edited.returncode), ("configmap/edited edited\n", 0), edited.stderr)
        name = ("configmap", "edited")
        said = [
            self.kubectl("label", *name, "tier=a").stdout,
            self.kubectl("label", *name, "tier=b", check=False).stderr,
            self.kubectl("label", *name, "tier=b", "--overwrite").stdout,
            self.kubectl("label", *name, "tier-").stdout,
            self.kubectl("annotate", *name, "note=x").stdout,
            self.kubectl("annotate", *name, "note-").stdout,
            self.kubectl("patch", *name, "-p", '{"data":{"size":"4"}}').stdout,
            self.kubectl("patch", *name, "-p", '{"data":{"size":"4"}}').stdout,
            self.kubectl("patch", *name, "--type=merge", "-p", '{"data":{"size":null}}').stdout,
            self.kubectl("patch", *name, "--type=json", "-p",
                         '[{"op":"add","path":"/data/new","value":"1"}]').stdout,
        ]
        self.assertEqual(said, [
            "configmap/edited labeled\n",
            "error: 'tier' already has a value (a), and --overwrite is false\n",
            "configmap/edited labeled\n",
            "configmap/edited unlabeled\n",
            "configmap/edited annotated\n",
            "configmap/edited annotated\n",
            "configmap/edited patched\n",
            "configmap/edited patched (no change)\n",
            "configmap/edited patched\n",
            "configmap/edited patched\n",
        ])
        self.assertEqual(self.data("edited"), {"colour": "green", "new": "1"})
        self.assertEqual({m for m, _ in self.managers("edited")},
                         {"kubectl-create", "kubectl-edit", "kubectl-patch"})

    def test_a_pods_status_has_its_own_owner(self):
        self.kubectl("run", "owned", "--image=busybox", "--restart=Never", "--", "true")
        self.kubectl("wait", "pod/owned", "--for=jsonpath={.status.phase}=Succeeded", "--timeout=60s")
        fields = self.cluster.get("pod", "owned", "--show-managed-fields")["metadata"]["managedFields"]
        owners = {(f["manager"], f["operation"], f.get("subresource", "")) for f in fields}
        self.assertEqual(owners, {("kubectl-run", "Update", ""), ("pelton", "Update", "status")})
        applied = self.apply("{apiVersion: v1, kind: Pod, metadata: {name: owned, labels: {more: x}}}", "--server-side")
        self.assertEqual(applied.stdout, "pod/owned serverside-applied\n")
        self.assertEqual(self.cluster.get("pod", "owned")["metadata"]["labels"], {"run": "owned", "more": "x"})


if __name__ == "__main__":
    unittest.main()
