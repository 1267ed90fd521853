// SPDX-License-Identifier: Apache-2.0
#include "api/columns.h"

#include <fmt/format.h>

#include <set>

#include "api/columns_kinds.h"
#include "api/custom/definition.h"
#include "api/object.h"
#include "api/selector.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Instant;
using base::Json;

constexpr Column kName = {"Name", "string", "name", 0,
                          "The object's name, unique in its namespace."};
constexpr Column kAge = {"Age", "string", "", 0, "Time since the object was created."};

constexpr Column kPlain[] = {kName, kAge};
constexpr Column kPod[] = {
    kName,
    {"Ready", "string", "", 0, "Ready containers of all."},
    {"Status", "string", "", 0, "The state of the pod in one word."},
    {"Restarts", "string", "", 0, "How often containers were started again, and when last."},
    kAge,
    {"IP", "string", "", 1, "The pod's address."},
    {"Node", "string", "", 1, "The node that it is bound to."},
    {"Nominated Node", "string", "", 1, "The node that is being cleared for it."},
    {"Readiness Gates", "string", "", 1, "Extra readiness conditions that hold."}};
constexpr Column kJob[] = {kName,
                           {"Status", "string", "", 0, "The state of the job in one word."},
                           {"Completions", "string", "", 0, "Pods that succeeded of those wanted."},
                           {"Duration", "string", "", 0, "Time from start to end, or until now."},
                           kAge,
                           {"Containers", "string", "", 1, "Names of the containers."},
                           {"Images", "string", "", 1, "Images of the containers."},
                           {"Selector", "string", "", 1, "How the job finds its pods."}};
constexpr Column kJobSet[] = {kName,
                              {"TerminalState", "string", "", 0, "Final state of the JobSet."},
                              {"Restarts", "string", "", 0, "How often all of it was restarted."},
                              {"Completed", "string", "", 0, "Whether it completed."},
                              {"Suspended", "string", "", 0, "Whether it is suspended."},
                              {"Age", "date", "", 0, "Time since the object was created."}};
constexpr Column kRecoveryPolicy[] = {
    kName,
    {"JobSets", "string", "", 0, "The JobSets that name it."},
    {"Generation", "string", "", 0, "Of each: number and phase of its generation."},
    {"Width", "string", "", 0, "Of each: ranks that train, of the most there may be."},
    {"Last Decision", "string", "", 0, "Of each: how its generation began."},
    kAge};
constexpr Column kNode[] = {
    kName,
    {"Status", "string", "", 0, "Whether the node is ready and takes pods."},
    {"Roles", "string", "", 0, "From labels node-role.kubernetes.io/ROLE."},
    kAge,
    {"Version", "string", "", 0, "The agent's version."},
    {"Internal-IP", "string", "", 1, "Its address inside the cluster."},
    {"External-IP", "string", "", 1, "Its address outside."},
    {"OS-Image", "string", "", 1, "Its operating system."},
    {"Kernel-Version", "string", "", 1, "Its kernel."},
    {"Container-Runtime", "string", "", 1, "What runs its containers."}};
constexpr Column kService[] = {kName,
                               {"Type", "string", "", 0, "How the service is reached."},
                               {"Cluster-IP", "string", "", 0, "Its address inside the cluster."},
                               {"External-IP", "string", "", 0, "Its addresses outside."},
                               {"Port(s)", "string", "", 0, "Ports and protocols."},
                               kAge,
                               {"Selector", "string", "", 1, "Labels of the pods behind it."}};
constexpr Column kEvent[] = {{"Last Seen", "string", "", 0, "When it happened last."},
                             {"Type", "string", "", 0, "Normal or Warning."},
                             {"Reason", "string", "", 0, "What happened, in one word."},
                             {"Object", "string", "", 0, "To which object."},
                             {"Subobject", "string", "", 1, "To which part of it."},
                             {"Source", "string", "", 1, "Who says so."},
                             {"Message", "string", "", 0, "What happened."},
                             {"First Seen", "string", "", 1, "When it happened first."},
                             {"Count", "string", "", 1, "How often."},
                             {"Name", "string", "name", 1, "The event's name."}};
constexpr Column kNamespace[] = {
    kName, {"Status", "string", "", 0, "Active or Terminating."}, kAge};
constexpr Column kDefinition[] = {kName,
                                  {"Created At", "date", "", 0, "When the object was created."}};
constexpr Column kConfigMap[] = {kName, {"Data", "string", "", 0, "Number of entries."}, kAge};
constexpr Column kSecret[] = {kName,
                              {"Type", "string", "", 0, "What the secret is for."},
                              {"Data", "string", "", 0, "Number of entries."},
                              kAge};
constexpr Column kLease[] = {kName, {"Holder", "string", "", 0, "Who holds it."}, kAge};
constexpr Column kEndpointSlice[] = {kName,
                                     {"AddressType", "string", "", 0, "IPv4, IPv6 or FQDN."},
                                     {"Ports", "string", "", 0, "Ports of the endpoints."},
                                     {"Endpoints", "string", "", 0, "Addresses."},
                                     kAge};

constexpr Column kRole[] = {kName, {"Created At", "date", "", 0, "When the object was created."}};
constexpr Column kRoleBinding[] = {
    kName,
    {"Role", "string", "", 0, "Kind and name of the role that is bound."},
    kAge,
    {"Users", "string", "", 1, "Users that it is bound to."},
    {"Groups", "string", "", 1, "Groups that it is bound to."},
    {"ServiceAccounts", "string", "", 1, "Service accounts that it is bound to."}};

Json created(const Json& object) {
  return object["metadata"]["creationTimestamp"];
}

Cells plain_cells(const Json& object, Instant now) {
  return {name_of(object), age_cell(created(object), now)};
}

Cells namespace_cells(const Json& object, Instant now) {
  return {name_of(object), object["status"]["phase"], age_cell(created(object), now)};
}

Cells definition_cells(const Json& object, Instant) {
  return {name_of(object), created(object)};
}

Cells config_map_cells(const Json& object, Instant now) {
  return {name_of(object),
          static_cast<int64_t>(object["data"].size() + object["binaryData"].size()),
          age_cell(created(object), now)};
}

Cells secret_cells(const Json& object, Instant now) {
  return {name_of(object), object["type"], static_cast<int64_t>(object["data"].size()),
          age_cell(created(object), now)};
}

Cells lease_cells(const Json& object, Instant now) {
  return {name_of(object), object["spec"]["holderIdentity"].as_string(),
          age_cell(created(object), now)};
}

Cells role_cells(const Json& object, Instant) {
  return {name_of(object), created(object)};
}

std::string subjects_of(const Json& binding, std::string_view kind) {
  std::vector<std::string> names;
  for (const Json& subject : binding["subjects"].items()) {
    if (subject["kind"].as_string() != kind) continue;
    const std::string& space = subject["namespace"].as_string();
    names.push_back((space.empty() ? "" : space + "/") + subject["name"].as_string());
  }
  return base::join(names, ", ");
}

Cells role_binding_cells(const Json& object, Instant now) {
  const Json& role = object["roleRef"];
  return {name_of(object),
          role["kind"].as_string() + "/" + role["name"].as_string(),
          age_cell(created(object), now),
          subjects_of(object, "User"),
          subjects_of(object, "Group"),
          subjects_of(object, "ServiceAccount")};
}

std::string generation_cell(const Json& job) {
  const Json& generation = job["generation"];
  if (generation.is_null()) return "<none>";
  return fmt::format("{} {}", generation["number"].as_int(), generation["phase"].as_string());
}

std::string width_cell(const Json& job) {
  int64_t ranks = 0;
  const bool runs = job["generation"]["phase"].as_string() == "Running";
  for (const Json& member : job["generation"]["members"].items()) ranks += member["ranks"].as_int();
  return fmt::format("{}/{}", runs ? ranks : 0, job["fullWorldSize"].as_int());
}

Cells recovery_policy_cells(const Json& object, Instant now) {
  std::vector<std::string> names;
  std::vector<std::string> generations;
  std::vector<std::string> widths;
  std::vector<std::string> decisions;
  for (const Json& job : object["status"]["jobSets"].items()) {
    names.push_back(job["name"].as_string());
    generations.push_back(generation_cell(job));
    widths.push_back(width_cell(job));
    decisions.push_back(or_none(job["lastDecision"]["rung"].as_string()));
  }
  return {name_of(object),
          or_none(base::join(names, ",")),
          or_none(base::join(generations, ",")),
          or_none(base::join(widths, ",")),
          or_none(base::join(decisions, ",")),
          age_cell(created(object), now)};
}

struct KindColumns {
  std::string_view kind;
  std::span<const Column> columns;
  Cells (*cells)(const Json&, Instant);
};

constexpr KindColumns kKinds[] = {
    {"ClusterRole", kRole, role_cells},
    {"ClusterRoleBinding", kRoleBinding, role_binding_cells},
    {"ConfigMap", kConfigMap, config_map_cells},
    {"CustomResourceDefinition", kDefinition, definition_cells},
    {"EndpointSlice", kEndpointSlice, endpoint_slice_cells},
    {"Event", kEvent, event_cells},
    {"Job", kJob, job_cells},
    {"JobSet", kJobSet, jobset_cells},
    {"Lease", kLease, lease_cells},
    {"Namespace", kNamespace, namespace_cells},
    {"Node", kNode, node_cells},
    {"Pod", kPod, pod_cells},
    {"RecoveryPolicy", kRecoveryPolicy, recovery_policy_cells},
    {"Role", kRole, role_cells},
    {"RoleBinding", kRoleBinding, role_binding_cells},
    {"Secret", kSecret, secret_cells},
    {"Service", kService, service_cells},
};

const KindColumns* find_columns(std::string_view kind) {
  for (const KindColumns& row : kKinds) {
    if (row.kind == kind) return &row;
  }
  return nullptr;
}

std::string list_with_more(const std::vector<std::string>& all) {
  constexpr size_t kShown = 3;
  if (all.empty()) return "<unset>";
  const std::vector<std::string> head(
      all.begin(), all.begin() + static_cast<ptrdiff_t>(std::min(kShown, all.size())));
  const std::string text = base::join(head, ",");
  return all.size() > kShown ? fmt::format("{} + {} more...", text, all.size() - kShown) : text;
}

std::string join_field(const Json& list, const char* field) {
  std::vector<std::string> parts;
  for (const Json& item : list.items()) parts.push_back(item[field].as_string());
  return base::join(parts, ",");
}

std::string job_status(const Json& job) {
  if (is_condition_true(job, "Complete")) return "Complete";
  if (is_condition_true(job, "Failed")) return "Failed";
  if (is_being_deleted(job)) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (is_condition_true(job, type)) return type;
  }
  return "Running";
}

std::string job_duration(const Json& job, Instant now) {
  const auto start = base::parse_time(job["status"]["startTime"].as_string());
  if (!start.ok()) return "";
  const auto end = base::parse_time(job["status"]["completionTime"].as_string());
  return base::format_age((end.ok() ? *end : now) - *start);
}

std::string address_of(const Json& node, std::string_view type) {
  for (const Json& address : node["status"]["addresses"].items()) {
    if (address["type"].as_string() == type) return address["address"].as_string();
  }
  return "<none>";
}

std::string node_roles(const Json& node) {
  constexpr std::string_view kPrefix = "node-role.kubernetes.io/";
  std::set<std::string> roles;
  for (const Json::Member& label : labels_of(node).members()) {
    if (label.name.starts_with(kPrefix) && label.name.size() > kPrefix.size()) {
      roles.insert(label.name.substr(kPrefix.size()));
    } else if (label.name == "kubernetes.io/role" && !label.value.as_string().empty()) {
      roles.insert(label.value.as_string());
    }
  }
  return or_none(base::join({roles.begin(), roles.end()}, ","));
}

std::string or_unknown(const std::string& text) {
  return text.empty() ? "<unknown>" : text;
}

std::string external_ip(const Json& service) {
  const std::string& type = service["spec"]["type"].as_string();
  std::vector<std::string> addresses;
  if (type == "ExternalName") return service["spec"]["externalName"].as_string();
  if (type == "LoadBalancer") {
    for (const Json& ingress : service["status"]["loadBalancer"]["ingress"].items()) {
      const std::string& ip = ingress["ip"].as_string();
      addresses.push_back(ip.empty() ? ingress["hostname"].as_string() : ip);
    }
  }
  for (const Json& ip : service["spec"]["externalIPs"].items()) addresses.push_back(ip.as_string());
  if (addresses.empty()) return type == "LoadBalancer" ? "<pending>" : "<none>";
  return base::join(addresses, ",");
}

}  // namespace

std::string age_cell(const Json& time, Instant now) {
  const auto instant = base::parse_time(time.as_string());
  return instant.ok() ? base::format_age(now - *instant) : "<unknown>";
}

std::string or_none(const std::string& text) {
  return text.empty() ? "<none>" : text;
}

Cells job_cells(const Json& job, Instant now) {
  const Json& spec = job["spec"];
  const int64_t succeeded = job["status"]["succeeded"].as_int();
  const int64_t parallelism = spec["parallelism"].as_int();
  std::string completions = fmt::format("{}/1", succeeded);
  if (spec["completions"].is_int()) {
    completions = fmt::format("{}/{}", succeeded, spec["completions"].as_int());
  } else if (parallelism > 1) {
    completions = fmt::format("{}/1 of {}", succeeded, parallelism);
  }
  const Json& containers = spec["template"]["spec"]["containers"];
  auto selector = LabelSelector::from_object(spec["selector"]);
  return {name_of(job),
          job_status(job),
          completions,
          job_duration(job, now),
          age_cell(created(job), now),
          join_field(containers, "name"),
          join_field(containers, "image"),
          or_none(selector.ok() ? selector->to_string() : "")};
}

Cells jobset_cells(const Json& jobset, Instant now) {
  const Json& status = jobset["status"];
  const auto text = [](const Json& value) {
    if (value.is_null() || value.is_string()) return value;
    return Json(value.dump());
  };
  const Json* completed = find_condition(jobset, "Completed");
  return {name_of(jobset),
          text(status["terminalState"]),
          text(status["restarts"]),
          completed ? (*completed)["status"] : Json(),
          text(jobset["spec"]["suspend"]),
          age_cell(created(jobset), now)};
}

Cells node_cells(const Json& node, Instant now) {
  const Json& info = node["status"]["nodeInfo"];
  const Json* ready = find_condition(node, "Ready");
  std::string status = !ready ? "Unknown" : is_condition_true(node, "Ready") ? "Ready" : "NotReady";
  if (node["spec"]["unschedulable"].as_bool()) status += ",SchedulingDisabled";
  std::string kernel = or_unknown(info["kernelVersion"].as_string());
  if (!info["architecture"].as_string().empty()) {
    kernel += " (" + info["architecture"].as_string() + ")";
  }
  return {name_of(node),
          status,
          node_roles(node),
          age_cell(created(node), now),
          info["kubeletVersion"].as_string(),
          address_of(node, "InternalIP"),
          address_of(node, "ExternalIP"),
          or_unknown(info["osImage"].as_string()),
          kernel,
          or_unknown(info["containerRuntimeVersion"].as_string())};
}

Cells service_cells(const Json& service, Instant now) {
  const Json& spec = service["spec"];
  std::vector<std::string> ports;
  for (const Json& port : spec["ports"].items()) {
    const int64_t node_port = port["nodePort"].as_int();
    ports.push_back(
        node_port > 0 ? fmt::format("{}:{}/{}", port["port"].as_int(), node_port,
                                    port["protocol"].as_string())
                      : fmt::format("{}/{}", port["port"].as_int(), port["protocol"].as_string()));
  }
  std::vector<std::string> selector;
  for (const Json::Member& label : spec["selector"].members()) {
    selector.push_back(label.name + "=" + label.value.as_string());
  }
  return {name_of(service),
          spec["type"].as_string(),
          or_none(spec["clusterIP"].as_string()),
          external_ip(service),
          or_none(base::join(ports, ",")),
          age_cell(created(service), now),
          or_none(base::join(selector, ","))};
}

Cells event_cells(const Json& shown, Instant now) {
  const Json event = convert(shown, *Registry::builtin().find("", "v1", "events"));
  const Json& series = event["series"];
  const auto either = [](const Json& first, const Json& second) -> const Json& {
    return first.as_string().empty() ? second : first;
  };
  const Json& first = either(event["firstTimestamp"], event["eventTime"]);
  const Json& last =
      series.is_object() ? series["lastObservedTime"] : either(event["lastTimestamp"], first);
  const int64_t count = series.is_object() ? series["count"].as_int() : event["count"].as_int(1);
  const Json& object = event["involvedObject"];
  std::string target = base::to_lower(object["kind"].as_string());
  if (!object["name"].as_string().empty()) target += "/" + object["name"].as_string();
  std::string source =
      either(event["source"]["component"], event["reportingComponent"]).as_string();
  const Json& instance = either(event["source"]["host"], event["reportingInstance"]);
  if (!instance.as_string().empty()) source += ", " + instance.as_string();
  return {age_cell(last, now),
          event["type"].as_string(),
          event["reason"].as_string(),
          target,
          object["fieldPath"].as_string(),
          source,
          base::trim(event["message"].as_string()),
          age_cell(first, now),
          count,
          name_of(event)};
}

Cells endpoint_slice_cells(const Json& slice, Instant now) {
  std::vector<std::string> ports, addresses;
  for (const Json& port : slice["ports"].items()) {
    ports.push_back(port["port"].is_int()      ? std::to_string(port["port"].as_int())
                    : port["name"].is_string() ? port["name"].as_string()
                                               : "*");
  }
  for (const Json& endpoint : slice["endpoints"].items()) {
    for (const Json& address : endpoint["addresses"].items())
      addresses.push_back(address.as_string());
  }
  return {name_of(slice), slice["addressType"].as_string(), list_with_more(ports),
          list_with_more(addresses), age_cell(created(slice), now)};
}

std::span<const Column> columns_of(const ResourceInfo& resource) {
  if (resource.custom != nullptr) return resource.custom->columns;
  const KindColumns* row = find_columns(resource.kind);
  return row ? row->columns : std::span<const Column>(kPlain);
}

Cells cells_of(const ResourceInfo& resource, const Json& object, Instant now) {
  if (resource.custom != nullptr) return custom::custom_cells(*resource.custom, object, now);
  const KindColumns* row = find_columns(resource.kind);
  return row ? row->cells(object, now) : plain_cells(object, now);
}

}  // namespace pelton::api
