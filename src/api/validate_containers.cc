// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/names.h"
#include "api/quantity.h"
#include "api/validate_kinds.h"

namespace pelton::api {
namespace {

using base::Json;

// cpu and memory and hugepages may be named plainly; all others need a domain.
bool is_native_resource(std::string_view name) {
  return name.find('/') == std::string_view::npos || name.find("kubernetes.io/") != name.npos;
}

bool is_extended_resource(std::string_view name) {
  return !is_native_resource(name) && !name.starts_with("requests.");
}

void check_amounts(Findings& findings, const Path& path, const Json& amounts) {
  for (const Json::Member& member : amounts.members()) {
    const Path at = path.key(member.name);
    const std::string problem = check_qualified_name(member.name);
    const bool is_standard = member.name == "cpu" || member.name == "memory" ||
                             member.name == "ephemeral-storage" ||
                             member.name.starts_with("hugepages-");
    if (!problem.empty()) {
      findings.invalid(at, member.name, problem);
    } else if (member.name.find('/') == std::string::npos && !is_standard) {
      findings.invalid(at, member.name, "must be a standard resource type or fully qualified");
      findings.invalid(at, member.name, "must be a standard resource for containers");
    }
    const Quantity amount = Quantity::or_zero(member.value);
    if (amount.is_negative()) {
      findings.invalid(at, member.value, "must be greater than or equal to 0");
    } else if (is_extended_resource(member.name) && !amount.is_whole()) {
      findings.invalid(at, member.value, "must be an integer");
    }
  }
}

void check_resources(Findings& findings, const Path& path, const Json& resources) {
  const Json& limits = resources["limits"];
  const Json& requests = resources["requests"];
  check_amounts(findings, path / "limits", limits);
  check_amounts(findings, path / "requests", requests);
  for (const Json::Member& request : requests.members()) {
    const Json* limit = limits.find(request.name);
    const Quantity amount = Quantity::or_zero(request.value);
    if (is_extended_resource(request.name)) {
      if (!limit) {
        findings.required(path / "limits", "Limit must be set for non overcommitable resources");
      } else if (!(amount == Quantity::or_zero(*limit))) {
        findings.invalid(
            path / "requests", request.value,
            fmt::format("must be equal to {} limit of {}", request.name, limit->as_string()));
      }
    } else if (limit && amount > Quantity::or_zero(*limit)) {
      findings.invalid(path / "requests", request.value,
                       fmt::format("must be less than or equal to {} limit of {}", request.name,
                                   limit->as_string()));
    }
  }
}

void check_ports(Findings& findings, const Path& path, const Json& ports) {
  std::set<std::string> names;
  size_t index = 0;
  for (const Json& port : ports.items()) {
    const Path at = path[index++];
    const std::string& name = port["name"].as_string();
    check_with(findings, at / "name", port["name"], check_port_name);
    if (!name.empty() && !names.insert(name).second) findings.duplicate(at / "name", name);
    if (port["containerPort"].as_int() == 0) {
      findings.required(at / "containerPort");
    } else {
      check_port(findings, at / "containerPort", port["containerPort"]);
    }
    if (port["hostPort"].as_int() != 0) check_port(findings, at / "hostPort", port["hostPort"]);
    check_one_of(findings, at / "protocol", port["protocol"], {"SCTP", "TCP", "UDP"});
  }
}

// The fields of a pod that its containers can learn.
void check_field_path(Findings& findings, const Path& path, const Json& field) {
  const std::string& text = field.as_string();
  static constexpr std::string_view kKnown[] = {"metadata.name",
                                                "metadata.namespace",
                                                "metadata.uid",
                                                "spec.nodeName",
                                                "spec.serviceAccountName",
                                                "status.hostIP",
                                                "status.hostIPs",
                                                "status.podIP",
                                                "status.podIPs"};
  static constexpr std::string_view kOfAVolume[] = {"metadata.annotations", "metadata.labels"};
  if (text.empty()) return findings.required(path);
  if (std::find(std::begin(kKnown), std::end(kKnown), text) != std::end(kKnown)) return;
  if (text.ends_with("']") &&
      (text.starts_with("metadata.labels['") || text.starts_with("metadata.annotations['"))) {
    return;
  }
  if (std::find(std::begin(kOfAVolume), std::end(kOfAVolume), text) != std::end(kOfAVolume)) {
    return findings.not_supported(path, field, {std::begin(kKnown), std::end(kKnown)});
  }
  findings.invalid(path, field, "error converting fieldPath: field label not supported: " + text);
}

void check_value_from(Findings& findings, const Path& path, const Json& env) {
  const Json& from = env["valueFrom"];
  if (from.is_null()) return;
  const size_t sources = from.size();
  if (sources == 0) {
    findings.invalid(path, "",
                     "must specify one of: `configMapKeyRef`, `fieldRef`, "
                     "`fileKeyRef`, `resourceFieldRef` or `secretKeyRef`");
  } else if (sources > 1) {
    findings.invalid(path, "", "may not have more than one field specified at a time");
  }
  if (!env["value"].as_string().empty()) {
    findings.invalid(path, "", "may not be specified when `value` is not empty");
  }
  for (const char* source : {"configMapKeyRef", "secretKeyRef"}) {
    const Json* ref = from.find(source);
    if (!ref) continue;
    if ((*ref)["name"].as_string().empty()) findings.required(path / source / "name");
    if ((*ref)["key"].as_string().empty()) findings.required(path / source / "key");
  }
  if (const Json* ref = from.find("fieldRef")) {
    check_field_path(findings, path / "fieldRef" / "fieldPath", (*ref)["fieldPath"]);
  }
  if (const Json* ref = from.find("resourceFieldRef")) {
    if ((*ref)["resource"].as_string().empty()) {
      findings.required(path / "resourceFieldRef" / "resource");
    }
  }
}

void check_env(Findings& findings, const Path& path, const Json& container) {
  size_t index = 0;
  for (const Json& env : container["env"].items()) {
    const Path at = (path / "env")[index++];
    if (env["name"].as_string().empty()) {
      findings.required(at / "name");
    } else {
      check_with(findings, at / "name", env["name"], check_env_name);
    }
    check_value_from(findings, at / "valueFrom", env);
  }
  index = 0;
  for (const Json& source : container["envFrom"].items()) {
    const Path at = (path / "envFrom")[index++];
    const bool has_map = source.contains("configMapRef"), has_secret = source.contains("secretRef");
    if (!has_map && !has_secret) {
      findings.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`");
    } else if (has_map && has_secret) {
      findings.invalid(at, "", "may not have more than one field specified at a time");
    }
  }
}

void check_mounts(Findings& findings, const Path& path, const Json& mounts, const Json& volumes) {
  std::set<std::string> paths;
  size_t index = 0;
  for (const Json& mount : mounts.items()) {
    const Path at = path[index++];
    const std::string& name = mount["name"].as_string();
    const auto& all = volumes.items();
    if (name.empty()) {
      findings.required(at / "name");
    } else if (std::none_of(all.begin(), all.end(),
                            [&](const Json& v) { return v["name"].as_string() == name; })) {
      findings.not_found(at / "name", name);
    }
    const std::string& mount_path = mount["mountPath"].as_string();
    if (mount_path.empty()) {
      findings.required(at / "mountPath");
    } else if (!paths.insert(mount_path).second) {
      findings.invalid(at / "mountPath", mount_path, "must be unique");
    }
    const std::string& sub_path = mount["subPath"].as_string();
    if (sub_path.starts_with('/')) {
      findings.invalid(at / "subPath", sub_path, "must be a relative path");
    } else if (("/" + sub_path + "/").find("/../") != std::string::npos) {
      findings.invalid(at / "subPath", sub_path, "must not contain '..'");
    }
  }
}

void check_probe(Findings& findings, const Path& path, const Json& probe) {
  if (probe.is_null()) return;
  size_t handlers = 0;
  for (const char* handler : {"exec", "httpGet", "tcpSocket", "grpc"}) {
    if (!probe.contains(handler)) continue;
    if (++handlers > 1) {
      findings.forbidden(path / handler, "may not specify more than 1 handler type");
    } else if (probe[handler].contains("port") && probe[handler]["port"].is_int()) {
      check_port(findings, path / handler / "port", probe[handler]["port"]);
    }
  }
  if (handlers == 0) findings.required(path, "must specify a handler type");
  if (probe.contains("exec") && probe["exec"]["command"].empty()) {
    findings.required(path / "exec" / "command");
  }
  for (const char* field : {"initialDelaySeconds", "timeoutSeconds", "periodSeconds",
                            "successThreshold", "failureThreshold"}) {
    check_at_least(findings, path / field, probe[field], 0);
  }
}

void check_container(Findings& findings, const Path& path, const Json& container, const Json& spec,
                     std::set<std::string>& names) {
  const std::string& name = container["name"].as_string();
  if (name.empty()) {
    findings.required(path / "name");
  } else {
    check_with(findings, path / "name", container["name"], check_dns1123_label);
    if (!names.insert(name).second) findings.duplicate(path / "name", name);
  }
  const std::string& image = container["image"].as_string();
  if (image.empty()) {
    findings.required(path / "image");
  } else if (image.front() == ' ' || image.back() == ' ') {
    findings.invalid(path / "image", image, "must not have leading or trailing whitespace");
  }
  check_one_of(findings, path / "imagePullPolicy", container["imagePullPolicy"],
               {"Always", "IfNotPresent", "Never"});
  check_one_of(findings, path / "terminationMessagePolicy", container["terminationMessagePolicy"],
               {"FallbackToLogsOnError", "File"});
  check_ports(findings, path / "ports", container["ports"]);
  check_env(findings, path, container);
  check_mounts(findings, path / "volumeMounts", container["volumeMounts"], spec["volumes"]);
  check_resources(findings, path / "resources", container["resources"]);
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    check_probe(findings, path / probe, container[probe]);
    // Only readiness can be lost and found.
    const Json& successes = container[probe]["successThreshold"];
    if (std::string_view(probe) != "readinessProbe" && successes.as_int(1) != 1) {
      findings.invalid(path / probe / "successThreshold", successes, "must be 1");
    }
  }
  check_user_ids(findings, path / "securityContext", container["securityContext"]);
  if (!spec["hostNetwork"].as_bool()) return;
  size_t index = 0;
  for (const Json& port : container["ports"].items()) {
    const Path at = (path / "ports")[index++];
    if (port["hostPort"].as_int() != port["containerPort"].as_int()) {
      findings.invalid(at / "hostPort", port["hostPort"],
                       "must match `containerPort` when `hostNetwork` is true");
    }
  }
}

}  // namespace

void check_user_ids(Findings& findings, const Path& path, const Json& context) {
  constexpr int64_t kIdMax = INT32_MAX;
  const auto check = [&findings](const Path& at, const Json& id) {
    if (id.is_null() || (id.as_int() >= 0 && id.as_int() <= kIdMax)) return;
    findings.invalid(at, id, "must be between 0 and 2147483647, inclusive");
  };
  for (const char* field : {"runAsUser", "runAsGroup", "fsGroup"}) {
    check(path / field, context[field]);
  }
  size_t index = 0;
  for (const Json& group : context["supplementalGroups"].items()) {
    check((path / "supplementalGroups")[index++], group);
  }
}

void validate_containers(Findings& findings, const Path& path, const Json& spec) {
  std::set<std::string> names;
  if (spec["containers"].empty()) findings.required(path / "containers");
  for (const char* list : {"containers", "initContainers"}) {
    size_t index = 0;
    for (const Json& container : spec[list].items()) {
      const Path at = (path / list)[index++];
      check_container(findings, at, container, spec, names);
      if (std::string_view(list) == "initContainers") {
        check_one_of(findings, at / "restartPolicy", container["restartPolicy"],
                     {"Always", "Never", "OnFailure"});
      }
    }
  }
}

}  // namespace pelton::api
