# SPDX-License-Identifier: Apache-2.0
"""Custom kinds with real kubectl: every published CustomResourceDefinition installs unchanged, and
every published manifest marked "unchanged" is accepted and shown back without loss.

Both lie beside this tree, in ../shared; where they do not, those tests say so and are skipped.
"""
import json
import re
import unittest

from cluster import ROOT, ClusterTest

SHARED = ROOT.parent / "shared"
CRDS = SHARED / "crds"
MANIFESTS = SHARED / "manifests"
# With strategy None what the stored version (v1beta2) has no field for is lost, upstream too: spec.admissionChecks.
# And a ClusterRoleBinding must say in which namespace its ServiceAccount is.
NOT_UPSTREAM_EITHER = {"dws/dws-queues.yaml kueue.x-k8s.io/v1beta1 ClusterQueue",
                       "dws/dws-multi-worker.yaml kueue.x-k8s.io/v1beta1 ClusterQueue",
                       "checkpoint/rbac.yaml rbac.authorization.k8s.io/v1 ClusterRoleBinding"}

WIDGETS = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.size, statusReplicasPath: .status.ready}
    additionalPrinterColumns:
    - {name: Size, type: integer, jsonPath: .spec.size}
    - {name: Colour, type: string, jsonPath: .spec.colour, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A widget has a size and a colour.
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, description: How large it is.}
              colour: {type: string, enum: [red, blue], default: red}
          status:
            type: object
            properties:
              ready: {type: integer}
"""
WIDGET = """
apiVersion: example.com/v1
kind: Widget
metadata: {name: a}
spec: {size: 3}
"""


def missing(sent, shown, path=""):
    """Where what was sent is not in what is shown."""
    if isinstance(sent, dict):
        if not isinstance(shown, dict):
            return [path or "."]
        return [place for key, value in sent.items() if value is not None
                for place in missing(value, shown.get(key), f"{path}.{key}")]
    if isinstance(sent, list):
        if not isinstance(shown, list) or len(sent) != len(shown):
            return [path]
        return [place for i, value in enumerate(sent)
                for place in missing(value, shown[i], f"{path}[{i}]")]
    # A number that is a quantity comes back as text; a value of nothing may be left out.
    if sent == shown or str(sent) == shown or (sent in ("", 0, False) and shown is None):
        return []
    return [f"{path}: sent {sent!r}, shown {shown!r}"]


def unchanged():
    """Paths of the manifests that INDEX.md marks as plain YAML."""
    for line in (MANIFESTS / "INDEX.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) >= 7 and cells[6].startswith("unchanged"):
            yield MANIFESTS / cells[0]


class CustomKinds(ClusterTest):
    def apply(self, text, *args, **kwargs):
        return self.kubectl("apply", *args, "-f", "-", input=text, **kwargs)

    def test_a_kind_of_ones_own(self):
        made = self.apply(WIDGETS)
        self.assertEqual(made.stdout, "customresourcedefinition.apiextensions.k8s.io/widgets.example.com created\n")
        self.kubectl("wait", "--for=condition=established", "crd/widgets.example.com", "--timeout=10s")
        self.assertEqual(self.apply(WIDGET).stdout, "widget.example.com/a created\n")
        self.assertEqual(self.apply(WIDGET).stdout, "widget.example.com/a unchanged\n")
        self.assertEqual(self.kubectl("get", "wd").stdout, "NAME   SIZE\na      3\n")
        wide = self.kubectl("get", "widgets", "-o", "wide", "--no-headers").stdout.split()
        self.assertEqual(wide, ["a", "3", "red"])
        self.assertIn("widget.example.com/a", self.kubectl("get", "all", "-o", "name").stdout)
        explained = self.kubectl("explain", "widgets.spec.size").stdout
        self.assertIn("How large it is.", explained)
        self.assertEqual(self.kubectl("scale", "widget/a", "--replicas=5").stdout,
                         "widget.example.com/a scaled\n")
        self.assertEqual(self.cluster.get("widget", "a")["spec"]["size"], 5)
        patched = self.kubectl("patch", "widget", "a", "--subresource=status", "--type=merge", "-p",
                               '{"status":{"ready":5}}')
        self.assertEqual(patched.stdout, "widget.example.com/a patched\n")
        self.kubectl("wait", "widget/a", "--for=jsonpath={.status.ready}=5", "--timeout=10s")
        bad = self.apply(WIDGET.replace("size: 3", "size: 0, colour: green"), check=False)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("spec.size: Invalid value", bad.stderr)
        self.assertIn('spec.colour: Unsupported value: "green": supported values: "red", "blue"', bad.stderr)
        unknown = self.apply(WIDGET.replace("size: 3", "size: 3, shape: round"), check=False)
        self.assertIn('unknown field "spec.shape"', unknown.stderr)
        self.kubectl("delete", "crd", "widgets.example.com", "--timeout=30s")
        self.assertNotIn("widgets", self.kubectl("api-resources", "-o", "name").stdout)

    def test_a_namespace_takes_its_custom_objects_along(self):
        definition = WIDGETS.replace("widgets", "gadgets").replace("Widget", "Gadget").replace("wd", "gd")
        self.apply(definition)
        self.kubectl("create", "namespace", "team")
        self.apply(WIDGET.replace("Widget", "Gadget"), "-n", "team")
        self.kubectl("delete", "namespace", "team", "--timeout=60s")
        self.assertEqual(self.kubectl("get", "gadgets", "-A", "-o", "name").stdout, "")
        self.kubectl("delete", "crd", "gadgets.example.com", "--timeout=30s")

    def test_published_definitions_and_manifests(self):
        if not CRDS.is_dir():
            self.skipTest(f"no published definitions in {CRDS}")
        files = sorted(CRDS.glob("*.yaml"))
        for path in files:
            applied = self.kubectl("apply", "--server-side", "-f", str(path), check=False)
            self.assertEqual(applied.returncode, 0, applied.stderr)
            self.assertIn("serverside-applied", applied.stdout)
            if "rule:" in path.read_text():
                self.assertIn("(CEL)", applied.stderr)
        self.kubectl("wait", "--for=condition=established", "crd", "--all", "--timeout=30s")
        print(f"\n{len(files)} of {len(files)} published definitions are installed", flush=True)
        self.check_manifests()

    def check_manifests(self):
        if not MANIFESTS.is_dir():
            self.skipTest(f"no published manifests in {MANIFESTS}")
        shown, total, lossy, not_served = 0, 0, [], []
        for path in unchanged():
            if not path.exists():
                continue
            for document in re.split(r"^---\s*$", path.read_text(), flags=re.M):
                if not re.search(r"^kind:", document, flags=re.M):
                    continue
                kind = " ".join(re.search(rf"^{field}:\s*(\S+)", document, flags=re.M)[1]
                                for field in ("apiVersion", "kind"))
                name = f"{path.relative_to(MANIFESTS)} {kind}"
                applied = self.make(document)
                if "no matches for kind" in applied.stderr:
                    not_served.append(name)
                    continue
                total += 1
                loss = [applied.stderr.strip()] if applied.returncode != 0 else self.loss(document, applied)
                shown += not loss
                if loss:
                    lossy.append((name, "; ".join(loss)[:500]))
        print(f"{shown} of {total} objects of published manifests are accepted and shown back without loss",
              flush=True)
        for name, loss in lossy:
            print(f"  not: {name}: {loss}", flush=True)
        print(f"{len(not_served)} are of kinds that are not served and have no definition here:", flush=True)
        for line in not_served:
            print("  " + line, flush=True)
        self.assertGreaterEqual(total, 40)
        self.assertLessEqual({name for name, _ in lossy}, NOT_UPSTREAM_EITHER)

    def make(self, document):
        """Applies one object, in a namespace that there is."""
        space = re.search(r"^  namespace:\s*(\S+)", document, flags=re.M)
        if space:
            self.kubectl("create", "namespace", space[1], check=False)
        if re.search(r"^  generateName:", document, flags=re.M):  # which apply does not take
            return self.kubectl("create", "--validate=warn", "-o", "json", "-f", "-", input=document, check=False)
        return self.apply(document, "--server-side", "--force-conflicts", "--validate=warn", "-o", "json",
                          check=False)

    def loss(self, document, applied):
        warnings = [line for line in applied.stderr.splitlines() if "unknown field" in line]
        read = self.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-",
                            input=document)
        sent = json.loads(read.stdout)
        sent["metadata"].pop("creationTimestamp", None)
        sent.pop("status", None)
        made = json.loads(applied.stdout)
        space = made["metadata"].get("namespace")
        shown = self.cluster.get(".".join((made["kind"].lower(), *made["apiVersion"].split("/")[::-1]))
                                 if "/" in made["apiVersion"] else made["kind"],
                                 made["metadata"]["name"], *(["-n", space] if space else []))
        return warnings + missing(sent, shown)


if __name__ == "__main__":
    unittest.main()
