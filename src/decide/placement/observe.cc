// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "api/object.h"
#include "api/quantity.h"
#include "base/strings.h"
#include "decide/placement/observe_rules.h"
#include "decide/placement/observed.h"

namespace pelton::decide::placement {

using base::Json;

namespace {

const std::string& node_of(const Json& pod) {
  return pod["spec"]["nodeName"].as_string();
}

void add(Amounts& to, const Amounts& amounts) {
  for (const auto& [resource, amount] : amounts) to[resource] += amount;
}

Node observe_node(const Json& object) {
  Node node;
  node.name = api::name_of(object);
  node.labels = api::labels_of(object);
  for (const Json& taint : object["spec"]["taints"].items()) {
    node.taints.push_back(
        {taint["key"].as_string(), taint["value"].as_string(), taint["effect"].as_string()});
  }
  node.is_unschedulable = object["spec"]["unschedulable"].as_bool();
  const Json* ready = api::find_condition(object, "Ready");
  node.is_ready = ready == nullptr || (*ready)["status"].as_string() == "True";
  node.allocatable = api::allocatable_of(object);
  return node;
}

/// A selector that cannot be read selects nothing; validation has refused it before.
api::LabelSelector expressions_from(const Json& expressions) {
  auto selector = api::LabelSelector::from_expressions(expressions);
  return selector.ok() ? std::move(*selector) : api::LabelSelector::nothing();
}

NodeTerm node_term_from(const Json& term) {
  const Json& labels = term["matchExpressions"];
  const Json& fields = term["matchFields"];
  return {expressions_from(labels), expressions_from(fields), labels.empty() && fields.empty()};
}

void observe_shape(const Json& pod, Shape& shape) {
  shape.requests = requests_of(pod);
  shape.node_selector = api::LabelSelector::from_map(pod["spec"]["nodeSelector"]);
  const Json& affinity = pod["spec"]["affinity"]["nodeAffinity"];
  const Json& required = affinity["requiredDuringSchedulingIgnoredDuringExecution"];
  shape.has_affinity = !required.is_null();
  for (const Json& term : required["nodeSelectorTerms"].items()) {
    shape.affinity.push_back(node_term_from(term));
  }
  for (const Json& preferred :
       affinity["preferredDuringSchedulingIgnoredDuringExecution"].items()) {
    shape.preferred_nodes.push_back(
        {node_term_from(preferred["preference"]), preferred["weight"].as_int()});
  }
  for (const Json& t : pod["spec"]["tolerations"].items()) {
    shape.tolerations.push_back({t["key"].as_string(), t["operator"].as_string(),
                                 t["value"].as_string(), t["effect"].as_string()});
  }
}

/// Everything of a pod that its Shape is made of but its rules, as text.
std::string shape_key(const Json& pod) {
  const Json& spec = pod["spec"];
  std::string key;
  for (const Json& container : spec["containers"].items()) container["resources"].dump_to(key);
  for (const Json& container : spec["initContainers"].items()) {
    container["resources"].dump_to(key);
    container["restartPolicy"].dump_to(key);
  }
  for (const char* field : {"resources", "overhead", "nodeSelector", "tolerations"}) {
    spec[field].dump_to(key);
  }
  spec["affinity"]["nodeAffinity"].dump_to(key);
  return key;
}

std::string controller_uid(const Json& pod) {
  const Json* controller = api::controller_of(pod);
  return controller == nullptr ? "" : (*controller)["uid"].as_string();
}

std::string gang_id_of(const Json& object) {
  const std::string& uid = api::label_of(object, kJobSetUidLabel);
  return uid.empty() ? "" : uid + "/" + api::label_of(object, kRestartAttemptLabel);
}

std::string group_of(const Json& pod) {
  std::string gang = gang_id_of(pod);
  return gang.empty() ? controller_uid(pod) : gang;
}

Pod observe_pending(const Json& object, size_t shape) {
  Pod pod;
  pod.namespace_name = api::namespace_of(object);
  pod.name = api::name_of(object);
  pod.uid = api::uid_of(object);
  pod.priority = object["spec"]["priority"].as_int();
  pod.created = api::creation_time_of(object);
  pod.shape = shape;
  pod.gang = gang_id_of(object);
  pod.job_uid = controller_uid(object);
  pod.group = group_of(object);
  pod.planned_node = api::annotation_of(object, kPlannedNodeAnnotation);
  pod.is_gated = !object["spec"]["schedulingGates"].empty();
  return pod;
}

int64_t expected_pods_of(const Json& job) {
  if (api::is_condition_true(job, "Complete") || api::is_condition_true(job, "Failed")) return 0;
  const int64_t parallelism = job["spec"]["parallelism"].as_int(1);
  const Json& completions = job["spec"]["completions"];
  if (!completions.is_int()) return parallelism;
  const int64_t left = completions.as_int() - job["status"]["succeeded"].as_int();
  return std::max<int64_t>(0, std::min(parallelism, left));
}

/// How many Jobs of which replicated jobs must be there: those that start at once, and those that
/// have begun to.
void admit(Gang& gang, const Json& jobset, const std::map<std::string, int64_t>& unsuspended) {
  const bool is_in_order =
      jobset["spec"]["startupPolicy"]["startupPolicyOrder"].as_string() == "InOrder";
  for (const Json& replicated : jobset["spec"]["replicatedJobs"].items()) {
    auto it = unsuspended.find(replicated["name"].as_string());
    const int64_t existing = it == unsuspended.end() ? 0 : it->second;
    const bool starts_at_once = !is_in_order && replicated["dependsOn"].empty();
    if (!starts_at_once && existing == 0) continue;
    gang.expected_jobs += replicated["replicas"].as_int(1);
    gang.existing_jobs += existing;
  }
}

Gang observe_gang(const Json& pod, const Objects& jobs, const Objects& jobsets) {
  Gang gang;
  gang.id = gang_id_of(pod);
  gang.namespace_name = api::namespace_of(pod);
  gang.name = api::label_of(pod, kJobSetNameLabel);
  std::map<std::string, int64_t> unsuspended;  // by replicated job
  for (const Json* job : jobs) {
    if (gang_id_of(*job) != gang.id || (*job)["spec"]["suspend"].as_bool()) continue;
    gang.jobs[api::uid_of(*job)] = {api::name_of(*job), expected_pods_of(*job), false};
    ++unsuspended[api::label_of(*job, kReplicatedJobLabel)];
  }
  gang.expected_jobs = gang.existing_jobs = 0;
  const std::string& uid = api::label_of(pod, kJobSetUidLabel);
  const auto jobset = std::find_if(jobsets.begin(), jobsets.end(),
                                   [&](const Json* o) { return api::uid_of(*o) == uid; });
  if (jobset == jobsets.end()) {
    gang.expected_jobs = gang.existing_jobs = static_cast<int64_t>(gang.jobs.size());
    return gang;
  }
  auto attempt = base::parse_int(api::label_of(pod, kRestartAttemptLabel));
  gang.is_outdated = attempt.ok() && *attempt < (**jobset)["status"]["restarts"].as_int();
  admit(gang, **jobset, unsuspended);
  return gang;
}

bool is_ours_to_bind(const Json& pod) {
  const std::string& scheduler = pod["spec"]["schedulerName"].as_string();
  return node_of(pod).empty() && !api::has_ended(pod) && !api::is_being_deleted(pod) &&
         (scheduler.empty() || scheduler == "default-scheduler");
}

}  // namespace

std::string Taint::to_string() const {
  return "{" + key + ": " + value + "}";
}

bool Toleration::tolerates(const Taint& taint) const {
  if (!effect.empty() && effect != taint.effect) return false;
  if (!key.empty() && key != taint.key) return false;
  if (op == "Exists") return true;
  return !key.empty() && value == taint.value;
}

bool is_accelerator(std::string_view resource) {
  return resource.find('/') != std::string_view::npos;
}

std::string format_amount(std::string_view resource, int64_t amount) {
  if (resource == "cpu") return api::Quantity::of_milli(amount).to_string();
  if (resource == "memory" || resource == "ephemeral-storage" ||
      resource.starts_with("hugepages-")) {
    return api::Quantity::of_bytes(amount).to_string();
  }
  return std::to_string(amount);
}

bool NodeTerm::matches(const Node& node) const {
  if (is_empty || !labels.matches(node.labels)) return false;
  return fields.matches_everything() ||
         fields.matches(Json::object({{"metadata.name", node.name}}));
}

namespace {

/// Pods become numbers: shapes of what they ask for, terms of what is said about them.
class PodReader {
 public:
  PodReader(const World& world, Observed& out)
      : world_(world), out_(out), rules_(world.namespaces) {
    for (size_t i = 0; i < out.nodes.size(); ++i) node_index_[out.nodes[i].name] = i;
  }

  void run() {
    for (const Json* pod : world_.pods) {
      if (!node_of(*pod).empty()) {
        if (!api::has_ended(*pod)) read_bound(*pod);
      } else if (is_ours_to_bind(*pod)) {
        read_pending(*pod);
      }
    }
    // Who matches what can be told only once all terms are known.
    if (rules_.has_terms()) {
      for (auto& [pod, resident] : bound_) read_resident(*pod, std::move(resident));
      for (size_t i = 0; i < pending_.size(); ++i) {
        out_.pending[i].matches = rules_.matches_of(*pending_[i]);
      }
    }
    out_.terms = rules_.take_terms();
  }

 private:
  void read_bound(const Json& pod) {
    auto it = node_index_.find(node_of(pod));
    if (it == node_index_.end()) return;
    Node& node = out_.nodes[it->second];
    add(node.used, requests_of(pod));
    if (std::string group = group_of(pod); !group.empty()) ++node.pods_by_group[group];
    Resident resident;
    resident.node = it->second;
    resident.apart = rules_.read_apart(pod);
    resident.is_leaving = api::is_being_deleted(pod);
    bound_.emplace_back(&pod, std::move(resident));
  }

  void read_resident(const Json& pod, Resident resident) {
    resident.matches = rules_.matches_of(pod);
    if (resident.matches.empty() && resident.apart.empty()) return;
    out_.residents.push_back(std::move(resident));
  }

  void read_pending(const Json& pod) {
    Shape shape;
    rules_.read(pod, shape);
    const auto [index, is_new] =
        shape_index_.emplace(shape_key(pod) + rules_key(shape), out_.shapes.size());
    if (is_new) {
      observe_shape(pod, shape);
      out_.shapes.push_back(std::move(shape));
    }
    out_.pending.push_back(observe_pending(pod, index->second));
    pending_.push_back(&pod);
    const Pod& pending = out_.pending.back();
    if (!pending.gang.empty() && !out_.gangs.contains(pending.gang)) {
      out_.gangs[pending.gang] = observe_gang(pod, world_.jobs, world_.jobsets);
    }
  }

  const World& world_;
  Observed& out_;
  RuleReader rules_;
  std::map<std::string, size_t> node_index_;
  std::map<std::string, size_t> shape_index_;
  std::vector<std::pair<const Json*, Resident>> bound_;
  std::vector<const Json*> pending_;
};

}  // namespace

Observed observe(const World& world) {
  Observed observed;
  for (const Json* node : world.nodes) observed.nodes.push_back(observe_node(*node));
  std::sort(observed.nodes.begin(), observed.nodes.end(),
            [](const Node& a, const Node& b) { return a.name < b.name; });
  PodReader(world, observed).run();
  std::sort(observed.pending.begin(), observed.pending.end(), [](const Pod& a, const Pod& b) {
    return std::tie(a.namespace_name, a.name) < std::tie(b.namespace_name, b.name);
  });
  for (const Json* pod : world.pods) {
    if (node_of(*pod).empty()) continue;
    auto gang = observed.gangs.find(gang_id_of(*pod));
    if (gang == observed.gangs.end()) continue;
    auto job = gang->second.jobs.find(controller_uid(*pod));
    if (job != gang->second.jobs.end()) job->second.is_started = true;
  }
  return observed;
}

}  // namespace pelton::decide::placement
