# SPDX-License-Identifier: Apache-2.0
"""Field numbers of Kubernetes' protobuf encoding, from the struct tags of upstream's Go types.

The tags, and not generated.proto, because they also say what is a pointer: Go's clients encode a
plain zero always and a pointer's zero only where it was set, and JSON must keep that difference.
"""
import json
import pathlib
import re
import subprocess

MODULES = {"api": "k8s.io/api@v0.36.3", "apimachinery": "k8s.io/apimachinery@v0.36.3"}
# Package of a type's name in the table -> where its Go types are.
PACKAGES = {
    "io.k8s.api.core.v1": ("api", "core/v1"),
    "io.k8s.api.batch.v1": ("api", "batch/v1"),
    "io.k8s.api.coordination.v1": ("api", "coordination/v1"),
    "io.k8s.api.discovery.v1": ("api", "discovery/v1"),
    "io.k8s.api.events.v1": ("api", "events/v1"),
    "io.k8s.api.rbac.v1": ("api", "rbac/v1"),
    "io.k8s.apimachinery.pkg.apis.meta.v1": ("apimachinery", "pkg/apis/meta/v1"),
}
STRUCT = re.compile(r"^type (\w+) struct \{$(.*?)^\}", re.M | re.S)
FIELD = re.compile(r'^\t(?:(?P<name>\w+)\s+)?(?P<type>[\w.*\[\]]+)\s+`json:"(?P<json>[^"]*)"'
                   r'(?:\s+\w+:"[^"]*")*?\s+protobuf:"\w+,(?P<number>\d+)[^"]*"', re.M)


def _directory(module):
  out = subprocess.run(["go", "mod", "download", "-json", MODULES[module]], check=True,
                       capture_output=True, text=True).stdout
  return pathlib.Path(json.loads(out)["Dir"])


def load(wanted):
  """{type name: [(number, json name, inlined type or "", omits zero)]} for the wanted names, and
  for the types that they inline."""
  directories = {module: _directory(module) for module in MODULES}
  messages = {}
  for package, (module, folder) in PACKAGES.items():
    for path in sorted((directories[module] / folder).glob("*types*.go")):
      for name, body in STRUCT.findall(path.read_text()):
        fields = []
        for field in FIELD.finditer(body):
          json_name, *options = field["json"].split(",")
          inlined = f"{package}.{field['type'].split('.')[-1]}" if "inline" in options else ""
          omits = ("omitempty" in options or "omitzero" in options) and field["type"][0] != "*"
          fields.append((int(field["number"]), json_name, inlined, omits))
        messages[f"{package}.{name}"] = sorted(fields)
  chosen = {}
  pending = [name for name in wanted if name in messages]
  while pending:
    name = pending.pop()
    if name in chosen:
      continue
    chosen[name] = messages[name]
    pending += [inlined for _, _, inlined, _ in messages[name] if inlined]
  return dict(sorted(chosen.items()))


def table(messages, head):
  """The C++ source of the table."""
  index = {name: i for i, name in enumerate(messages)}
  out = [head.rstrip(), '#include "api/protobuf.h"', "", "namespace pelton::api {", "namespace {", "",
         ]
  for name, fields in messages.items():
    if not fields:
      continue
    out.append(f"constexpr WireField W{index[name]}[] = {{")
    out += [f'    {{{number}, "{json_name}", {index[inlined] if inlined else -1}, '
            f'{"true" if omits else "false"}}},' for number, json_name, inlined, omits in fields]
    out.append("};")
  out += ["", "constexpr WireMessage kMessages[] = {"]
  out += [f'    {{"{name}", {f"W{i}" if messages[name] else "{}"}}},' for name, i in index.items()]
  out += ["};", "", "}  // namespace", "", "std::span<const WireMessage> wire_messages() {",
          "  return kMessages;", "}", "", "}  // namespace pelton::api", ""]
  return "\n".join(out)
