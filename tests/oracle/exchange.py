# SPDX-License-Identifier: Apache-2.0
"""Requests as data, what a server answers to them, and that answer without what differs from run to
run. Knows nothing of which server it asks.

A file of requests/ is a YAML mapping:

    crd: FILE               what the real server needs first (ours has it built in)
    bases:                  objects that the requests begin from, by name
      pod: {apiVersion: v1, kind: Pod, ...}
    requests:               sent in order, in a namespace of the file's own, {ns}
      - id: create-with-the-least          unique in the file
        send: POST /api/v1/namespaces/{ns}/pods
        base: pod                          the body: a base,
        set: {spec.containers.0.image: ""}   with these paths set (path: value),
        drop: [metadata.labels]              and these taken away;
        body: {...} | raw: "text"          or as it stands
        type: application/json             Content-Type; for PATCH merge, strategic, json or apply
        accept: application/json
        keep: {version: metadata.resourceVersion}   for {version} in later paths and bodies
        events: 2                          a watch: read so many events, then hang up
        managed: true                      record metadata.managedFields too

What is compared is code, reason, the causes' types and fields, and objects: never prose.
"""
import copy
import json
import re
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
PATCHES = {"merge": "application/merge-patch+json", "json": "application/json-patch+json",
           "strategic": "application/strategic-merge-patch+json",
           "apply": "application/apply-patch+yaml"}
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
# Times in requests are of 2020 or before: a later one is the server's.
SERVER_TIME = re.compile(r"^20(2[4-9]|[3-9]\d)-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")


def load_requests(directory=HERE / "requests"):
    """{file's name: its content}, with every request's body made."""
    files = {}
    for path in sorted(directory.glob("*.yaml")):
        content = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        seen = set()
        for request in content["requests"]:
            if request["id"] in seen:
                raise ValueError(f"{path.name}: the id {request['id']} is there twice")
            seen.add(request["id"])
            if "base" in request:
                request["body"] = make_body(content["bases"][request["base"]], request)
        files[path.stem] = content
    return files


def make_body(base, request):
    body = copy.deepcopy(base)
    for path, value in (request.get("set") or {}).items():
        parent, last = descend(body, path)
        if isinstance(parent, list) and last == len(parent):
            parent.append(value)
        else:
            parent[last] = value
    for path in request.get("drop") or []:
        parent, last = descend(body, path)
        del parent[last]
    return body


def descend(value, path):
    """The container and the key of a dotted path ("\\." is a dot in a name); makes objects."""
    *steps, last = [re.sub(r"\\\.", ".", part) for part in re.split(r"(?<!\\)\.", path)]
    for step in steps:
        if isinstance(value, list):
            value = value[int(step)]
        else:
            value = value.setdefault(step, {})
    return value, int(last) if isinstance(value, list) else last


def pick(value, path):
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else (value or {}).get(step)
    return value


class Run:
    """Sends the files' requests to one server; each answer becomes a record."""

    def __init__(self, server):
        self.server = server

    def run_file(self, name, content):
        """{request's id: record}, in the order of the requests."""
        kept = {"ns": f"oracle-{name}"}
        self.server.json("POST", "/api/v1/namespaces", {
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": kept["ns"]}})
        return {request["id"]: self.send(request, kept) for request in content["requests"]}

    def send(self, request, kept):
        method, path = fill(request["send"], kept).split(" ", 1)
        path = path.replace(" ", "%20")
        if "raw" in request:
            body = fill(request["raw"], kept)
        elif "body" in request:
            body = fill(json.dumps(request["body"]), kept)
        else:
            body = None
        headers = {}
        kind = request.get("type", "application/json" if body is not None else None)
        if kind:
            headers["Content-Type"] = PATCHES.get(kind, kind)
        if "accept" in request:
            headers["Accept"] = request["accept"]
        if "events" in request:
            return self.watch(method, path, headers, request)
        status, answered, text = self.server.request(method, path, body, headers)
        for name, where in (request.get("keep") or {}).items():
            kept[name] = pick(json.loads(text), where)
        return record_of(request, status, answered, text)

    def watch(self, method, path, headers, request):
        connection = self.server.connection(timeout=30)
        events = []
        try:
            connection.request(method, path, headers={**self.server.headers, **headers})
            response = connection.getresponse()
            if response.status != 200:
                return record_of(request, response.status, response.headers, response.read())
            while len(events) < request["events"]:
                line = response.readline()
                if not line:
                    events.append(["END", None])
                    break
                event = json.loads(line)
                if "type" not in event or "object" not in event:
                    return record_of(request, response.status, response.headers, line)
                if event["type"] == "BOOKMARK" and "annotations" not in event["object"]["metadata"]:
                    continue  # comes when it comes
                events.append([event["type"], answer_of(request, event["object"])])
        except TimeoutError:
            events.append(["NOTHING", None])
        finally:
            connection.close()
        return {"code": response.status, "events": events}


def fill(text, kept):
    for name, value in kept.items():
        text = text.replace("{" + name + "}", str(value))
    return text


def record_of(request, status, headers, text):
    record = {"code": status}
    warnings = len(headers.get_all("Warning") or [])
    if warnings:
        record["warnings"] = warnings
    try:
        answer = json.loads(text)
    except ValueError:
        return {**record, "text": True}
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        record["status"] = status_of(answer)
    else:
        record["object"] = answer_of(request, answer)
    return record


def status_of(status):
    details = status.get("details") or {}
    short = {"status": status.get("status"), "reason": status.get("reason")}
    short.update({key: details[key] for key in ("name", "group", "kind") if details.get(key)})
    causes = sorted([cause.get("reason", ""), cause.get("field", "")]
                    for cause in details.get("causes") or [])
    if causes:
        short["causes"] = causes
    return {key: value for key, value in short.items() if value}


def answer_of(request, answer):
    if answer.get("kind") == "Status":
        return status_of(answer)
    return normal(answer, request.get("managed", False))


def normal(value, managed, key=""):
    """Without uids, times of the server, versions and generated names."""
    if isinstance(value, dict):
        result = {}
        for name, member in value.items():
            if name == "managedFields" and not managed:
                continue
            if name == "description" and "priority" in value:
                continue  # a column's: prose
            result[name] = normal(member, managed, name)
            if name == "managedFields":  # their order is that of their times, which fell away
                result[name].sort(key=lambda entry: json.dumps(entry, sort_keys=True))
        if value.get("generateName") and str(value.get("name", "")).startswith(value["generateName"]):
            result = json.loads(json.dumps(result).replace(value["name"],
                                                           value["generateName"] + "<random>"))
        return result
    if isinstance(value, list):
        return [normal(member, managed, key) for member in value]
    if not isinstance(value, str):
        return "<port>" if key == "nodePort" and value else value
    if key == "resourceVersion" and value.isdigit():
        return "<version>"
    if key == "continue" and value:
        return "<continue>"
    if key in ("clusterIP", "clusterIPs") and value.startswith("10.96."):
        return "<ip>"
    if key == "cells" and re.fullmatch(r"(\d+[smh])+", value):
        return "<age>"
    return "<time>" if SERVER_TIME.match(value) else UUID.sub("<uid>", value)


def write_recorded(name, records, directory=HERE / "recorded"):
    """One request a line, so that a change shows as one."""
    directory.mkdir(exist_ok=True)
    lines = [json.dumps(key) + ": " + json.dumps(record, separators=(",", ":"), sort_keys=True)
             for key, record in records.items()]
    (directory / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def read_recorded(directory=HERE / "recorded"):
    return {path.stem: json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))}
