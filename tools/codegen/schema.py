# SPDX-License-Identifier: Apache-2.0
"""Upstream's published schemas, read into one dictionary of types with plain fields."""
import json
import pathlib
import subprocess

import crd_yaml

KUBERNETES = "k8s.io/kubernetes@v1.36.3"
DOCUMENTS = [
    "api__v1", "apis__apiextensions.k8s.io__v1", "apis__batch__v1",
    "apis__coordination.k8s.io__v1", "apis__discovery.k8s.io__v1", "apis__events.k8s.io__v1",
    "apis__rbac.authorization.k8s.io__v1",
]
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
CORE = "io.k8s.api.core.v1."
RBAC = "io.k8s.api.rbac.v1."
JOBSET = "io.x-k8s.jobset.v1alpha2."
EXTENSIONS = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
PELTON = "dev.pelton.v1alpha1."

# From these everything else is reached.
ROOTS = [CORE + kind for kind in (
    "Binding", "ConfigMap", "Event", "Namespace", "Node", "Pod", "Secret", "Service",
    "ServiceAccount")] + [
    "io.k8s.api.batch.v1.Job", "io.k8s.api.coordination.v1.Lease",
    "io.k8s.api.discovery.v1.EndpointSlice", "io.k8s.api.events.v1.Event",
    EXTENSIONS + "CustomResourceDefinition", RBAC + "ClusterRole", RBAC + "ClusterRoleBinding",
    RBAC + "Role", RBAC + "RoleBinding", META + "DeleteOptions", META + "Status",
    META + "ListMeta", JOBSET + "JobSet", PELTON + "GangBinding",
    PELTON + "RecoveryPolicy",
]

# Inlined in JobSet's CRD, but published as types of their own.
JOBSET_TYPES = {
    "": "JobSet",
    "metadata": META + "ObjectMeta",
    "spec": "JobSetSpec",
    "spec.coordinator": "Coordinator",
    "spec.failurePolicy": "FailurePolicy",
    "spec.failurePolicy.rules": "FailurePolicyRule",
    "spec.network": "Network",
    "spec.replicatedJobs": "ReplicatedJob",
    "spec.replicatedJobs.dependsOn": "DependsOn",
    "spec.replicatedJobs.template": "io.k8s.api.batch.v1.JobTemplateSpec",
    "spec.startupPolicy": "StartupPolicy",
    "spec.successPolicy": "SuccessPolicy",
    "spec.volumeClaimPolicies": "VolumeClaimPolicy",
    "spec.volumeClaimPolicies.retentionPolicy": "VolumeClaimRetentionPolicy",
    "spec.volumeClaimPolicies.templates": CORE + "PersistentVolumeClaim",
    "status": "JobSetStatus",
    "status.conditions": META + "Condition",
    "status.individualJobRecreates": "IndividualJobRecreates",
    "status.individualRestarts": "IndividualRestarts",
    "status.replicatedJobsStatus": "ReplicatedJobStatus",
}

_STRING = {"type": "string"}
_INT32 = {"type": "integer", "format": "int32"}
_INT64 = {"type": "integer", "format": "int64"}
_ANY = {"type": "object"}


def _ours(name):
    return {"$ref": "#/components/schemas/" + PELTON + name}


def _list(of, *keys):
    kind = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)} if keys \
        else {"x-kubernetes-list-type": "atomic"}
    return dict(kind, type="array", items=of)


def _struct(required=(), **properties):
    return {"type": "object", "required": list(required), "properties": properties}


# Kinds of our own.
PELTON_TYPES = {
    PELTON + "GangBinding": {"type": "object", "properties": {
        "apiVersion": _STRING, "kind": _STRING,
        "metadata": {"$ref": "#/components/schemas/" + META + "ObjectMeta"},
        "spec": {"$ref": "#/components/schemas/" + PELTON + "GangBindingSpec"}},
        "required": ["spec"]},
    PELTON + "GangBindingSpec": {"type": "object", "required": ["bindings"], "properties": {
        "bindings": {"type": "array", "x-kubernetes-list-type": "atomic", "items": {
            "$ref": "#/components/schemas/" + PELTON + "PodPlacement"}}}},
    PELTON + "PodPlacement": {"type": "object", "required": ["podName", "podUID", "nodeName"],
        "properties": {"podName": _STRING, "podUID": _STRING, "nodeName": _STRING}},
    PELTON + "RecoveryPolicy": _struct(
        apiVersion=_STRING, kind=_STRING,
        metadata={"$ref": "#/components/schemas/" + META + "ObjectMeta"},
        spec=_ours("RecoveryPolicySpec"), status=_ours("RecoveryPolicyStatus")),
    PELTON + "RecoveryPolicySpec": _struct(
        minReplicas=_INT32, maxReplicas=_INT32, ranksPerReplica=_INT32, spares=_INT32,
        memoryReplicas=_INT32, tiers=_list(_STRING),
        meshes=_list(_ours("RecoveryMesh"), "name"), rungs=_list(_STRING),
        budget=_ours("RecoveryBudget")),
    PELTON + "RecoveryMesh": _struct(["name", "ranks"], name=_STRING, ranks=_INT32),
    PELTON + "RecoveryBudget": _struct(
        windowSeconds=_INT32, generations=_INT32, podReplacements=_INT32, quarantines=_INT32),
    PELTON + "RecoveryPolicyStatus": _struct(
        observedGeneration=_INT64, jobSets=_list(_ours("JobSetRecovery"), "uid"),
        nodes=_list(_ours("NodeMemory"), "name")),
    # What only Pelton's own parts read and write (decide/recovery/records.h) has no table here, so
    # that a newer part's members survive an older server.
    PELTON + "JobSetRecovery": _struct(
        ["name", "uid"], name=_STRING, uid=_STRING, attempt=_INT64, fullWorldSize=_INT32,
        durableStep=_INT64, generation=_ANY,
        lastDecision=_ours("RecoveryDecision"), history=_list(_ANY),
        replaced=_list(_ANY), conditions=_list(
            {"$ref": "#/components/schemas/" + META + "Condition"}, "type")),
    PELTON + "RecoveryDecision": _struct(
        rung=_STRING, reason=_STRING, at=_STRING, alternatives=_list(_ours("RecoveryAlternative"))),
    PELTON + "RecoveryAlternative": _struct(
        rung=_STRING, lostAcceleratorSeconds={"type": "number", "format": "double"},
        possible={"type": "boolean"}, why=_STRING),
    PELTON + "NodeMemory": _struct(
        ["name"], name=_STRING, failures=_list(_STRING), cause=_STRING, quarantine=_STRING,
        quarantinedAt=_STRING),
}


def _kubernetes_directory():
    out = subprocess.run(["go", "mod", "download", "-json", KUBERNETES], check=True,
                         capture_output=True, text=True).stdout
    return pathlib.Path(json.loads(out)["Dir"])


def _ref(schema):
    """The name of the type that a schema refers to, directly or through allOf, or None."""
    if "$ref" in schema:
        return schema["$ref"].rsplit("/", 1)[1]
    for part in schema.get("allOf", []):
        if "$ref" in part:
            return part["$ref"].rsplit("/", 1)[1]
    return None


_NAMED = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "Quantity",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    META + "Time": "Time", META + "MicroTime": "MicroTime", META + "FieldsV1": "Any",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "Any",
    EXTENSIONS + "JSON": "Any", EXTENSIONS + "JSONSchemaPropsOrStringArray": "Any",
}
# Published without a type: what a schema says of the items of a list, and whether and which other
# members an object may have.
_SCHEMAS = {EXTENSIONS + "JSONSchemaPropsOrArray": "Struct",
            EXTENSIONS + "JSONSchemaPropsOrBool": "StructOrBool"}
_PLAIN = {
    ("string", None): "String", ("string", "byte"): "Bytes", ("string", "date-time"): "Time",
    ("boolean", None): "Bool", ("integer", "int32"): "Int32", ("integer", "int64"): "Int64",
    ("integer", None): "Int64", ("number", "double"): "Double", ("number", None): "Double",
}


def _value(schema):
    """(value type, referred type or None) of one schema that is no list or map."""
    name = _ref(schema)
    if name in _SCHEMAS:
        return _SCHEMAS[name], EXTENSIONS + "JSONSchemaProps"
    if name:
        return (_NAMED[name], None) if name in _NAMED else ("Struct", name)
    if schema.get("x-kubernetes-int-or-string"):
        return "IntOrString", None
    if schema.get("x-kubernetes-preserve-unknown-fields") or schema.get("type") in (None, "object"):
        return "Any", None
    return _PLAIN[(schema["type"], schema.get("format"))], None


# Names of the types that are owned as a whole; load() fills it.
ATOMIC_TYPES = set()


def _is_atomic(schema):
    return schema.get("x-kubernetes-map-type") == "atomic"


def _field(name, schema, required):
    shape, inner = "Single", schema
    if not _ref(schema):
        if schema.get("type") == "array":
            shape, inner = "List", schema["items"]
        elif isinstance(schema.get("additionalProperties"), dict):
            shape, inner = "Map", schema["additionalProperties"]
    if shape != "Single" and not _ref(inner) and (inner.get("type") == "array"):
        raise SystemExit(f"a list or map of lists has no row form: {name}")
    value, type_name = _value(inner)
    strategies = schema.get("x-kubernetes-patch-strategy", "").split(",")
    return {
        "name": name, "value": value, "shape": shape, "type": type_name, "required": required,
        "list_type": schema.get("x-kubernetes-list-type", "atomic"),
        "merge": "merge" in strategies, "retain_keys": "retainKeys" in strategies,
        "merge_key": schema.get("x-kubernetes-patch-merge-key", ""),
        "list_map_keys": schema.get("x-kubernetes-list-map-keys", []),
        "is_atomic": _is_atomic(schema),
        "enum": [v for v in inner.get("enum", []) if isinstance(v, str)],
    }


def _jobset_schemas(crd):
    """The CRD's nested schema as named types."""
    version = next(v for v in crd["spec"]["versions"] if v["name"] == "v1alpha2")
    schemas = {}

    def visit(path, schema):
        inner = schema.get("items", schema) if schema.get("type") == "array" else schema
        name = JOBSET_TYPES.get(path)
        if name and name.startswith("io."):
            replacement = {"$ref": "#/components/schemas/" + name}
        elif inner.get("properties"):
            if not name:
                raise SystemExit(f"JobSet's CRD has a new object {path}: name it in JOBSET_TYPES")
            name = JOBSET + name
            below = path + "." if path else ""
            schemas[name] = dict(inner, properties={
                key: visit(below + key, value) for key, value in inner["properties"].items()})
            replacement = {"$ref": "#/components/schemas/" + name}
        else:
            return schema
        return dict(schema, items=replacement) if inner is not schema else replacement

    visit("", version["schema"]["openAPIV3Schema"])
    return schemas


def load(crd_directory):
    """{type name: [fields sorted by name]} of everything that ROOTS reach."""
    schemas = dict(PELTON_TYPES)
    directory = _kubernetes_directory() / "api" / "openapi-spec" / "v3"
    for document in DOCUMENTS:
        text = (directory / (document + "_openapi.json")).read_text()
        schemas.update(json.loads(text)["components"]["schemas"])
    crd = (crd_directory / "jobset.x-k8s.io_jobsets.yaml").read_text()
    schemas.update(_jobset_schemas(crd_yaml.load(crd)))

    types, todo = {}, list(ROOTS)
    while todo:
        name = todo.pop()
        if name in types:
            continue
        schema = schemas[name]
        required = schema.get("required", [])
        if _is_atomic(schema):
            ATOMIC_TYPES.add(name)
        types[name] = [_field(key, value, key in required)
                       for key, value in sorted(schema.get("properties", {}).items())]
        todo += [f["type"] for f in types[name] if f["type"]]
    return dict(sorted(types.items()))
