// SPDX-License-Identifier: Apache-2.0
#include "scenario/checkers.h"

#include <fmt/format.h>

#include "api/object.h"
#include "api/quantity.h"
#include "base/strings.h"

namespace pelton::scenario {
namespace {

using base::Json;

bool is_kind(const std::string& key, std::string_view plural) {
  const auto parts = base::split(key, '/');  // "", group, plural, namespace, name
  return parts.size() == 5 && parts[2] == plural;
}

/// JobSet uid and attempt of a pod; "" where it is in no gang.
std::string gang_of(const Json& pod) {
  const std::string& uid = api::label_of(pod, "jobset.sigs.k8s.io/jobset-uid");
  if (uid.empty()) return "";
  return uid + "#" + api::label_of(pod, "jobset.sigs.k8s.io/restart-attempt");
}

bool has_ended(const Json& pod) {
  const std::string& phase = pod.at("status.phase").as_string();
  return phase == "Succeeded" || phase == "Failed";
}

bool is_accelerator(std::string_view resource) {
  return resource.find('/') != std::string_view::npos;
}

int64_t amount(const Json& json) {
  auto count = base::parse_int(json.as_string());
  return count.ok() ? *count : json.as_int();
}

/// Pods of all replicated jobs of a JobSet.
int64_t width_of(const Json& jobset) {
  int64_t width = 0;
  for (const Json& job : jobset.at("spec.replicatedJobs").items()) {
    width += job["replicas"].as_int(1) * job.at("template.spec.parallelism").as_int(1);
  }
  return width;
}

}  // namespace

void Checkers::on_event(const store::Event& event) {
  if (event.revision <= revision_) {
    violate(fmt::format("revision {} came after revision {}", event.revision, revision_));
  }
  revision_ = event.revision;
  auto parsed = Json::parse(*event.bytes);
  if (!parsed.ok()) return violate(fmt::format("{} holds no JSON", event.key));
  const bool is_put = event.kind == store::Event::Kind::Put;
  if (is_kind(event.key, "pods")) {
    const Stored* before = state_.contains(event.key) ? &state_.at(event.key) : nullptr;
    if (before) {
      if (is_put) check_pod_change(event.key, before->object, *parsed);
      pods_on_[before->object.at("spec.nodeName").as_string()].erase(event.key);
      bound_of_[gang_of(before->object)].erase(event.key);
    }
    const std::string& node = parsed->at("spec.nodeName").as_string();
    if (is_put && !node.empty()) {
      if (!has_ended(*parsed)) pods_on_[node].insert(event.key);
      bound_of_[gang_of(*parsed)].insert(event.key);
    }
    touched_nodes_.insert(node);
    touched_gangs_.insert(gang_of(*parsed));
  }
  if (is_put) {
    state_[event.key] = {event.revision, std::move(*parsed)};
  } else {
    state_.erase(event.key);
  }
}

void Checkers::check_pod_change(const std::string& key, const Json& before, const Json& after) {
  const std::string& node = before.at("spec.nodeName").as_string();
  const std::string& phase = before.at("status.phase").as_string();
  if (!node.empty() && after.at("spec.nodeName").as_string() != node) {
    violate(fmt::format("{} was moved from {} to '{}' (revision {})", key, node,
                        after.at("spec.nodeName").as_string(), revision_));
  }
  if (has_ended(before) && after.at("status.phase").as_string() != phase) {
    violate(fmt::format("{} was {} and is now {} (revision {})", key, phase,
                        after.at("status.phase").as_string(), revision_));
  }
}

void Checkers::on_turn_end() {
  for (const std::string& node : touched_nodes_) check_node(node);
  for (const std::string& gang : touched_gangs_) check_gang(gang);
  touched_nodes_.clear();
  touched_gangs_.clear();
}

void Checkers::check_node(const std::string& node) {
  auto found = state_.find("/core/nodes//" + node);
  if (node.empty() || found == state_.end()) return;
  std::map<std::string, int64_t> asked;
  for (const std::string& key : pods_on_[node]) {
    for (const Json& container : state_.at(key).object.at("spec.containers").items()) {
      for (const auto& [name, count] : container.at("resources.limits").members()) {
        if (is_accelerator(name)) asked[name] += amount(count);
      }
    }
  }
  for (const auto& [name, count] : asked) {
    const int64_t has = amount(found->second.object.at("status.allocatable")[name]);
    if (count > has) {
      violate(fmt::format("{} has {} of {} but its pods have {} (revision {})", node, has, name,
                          count, revision_));
    }
  }
}

void Checkers::check_gang(const std::string& gang) {
  if (gang.empty() || started_gangs_.contains(gang) || bound_of_[gang].empty()) return;
  started_gangs_.insert(gang);
  const std::string uid = gang.substr(0, gang.find('#'));
  for (const auto& [key, stored] : state_) {
    if (!is_kind(key, "jobsets") || api::uid_of(stored.object) != uid) continue;
    const int64_t width = width_of(stored.object);
    const auto bound = static_cast<int64_t>(bound_of_[gang].size());
    if (bound != width) {
      violate(fmt::format("JobSet {} attempt {}: {} of {} pods were bound (revision {})",
                          api::name_of(stored.object), gang.substr(gang.find('#') + 1), bound,
                          width, revision_));
    }
  }
}

void Checkers::on_acknowledged(const std::string& key, uint64_t revision) {
  uint64_t& newest = acknowledged_[key];
  newest = std::max(newest, revision);
}

void Checkers::on_reopened(const std::vector<store::Entry>& entries, uint64_t revision) {
  if (revision < revision_) {
    violate(
        fmt::format("the store came back at revision {}, but had shown {}", revision, revision_));
  }
  std::map<std::string, Stored> found;
  for (const store::Entry& entry : entries) {
    auto parsed = Json::parse(*entry.bytes);
    found[entry.key] = {entry.revision, parsed.ok() ? *parsed : Json()};
  }
  for (const auto& [key, answered] : acknowledged_) {
    auto it = found.find(key);
    if (it == found.end() ? !delete_asked_.contains(key) : it->second.revision < answered) {
      violate(
          fmt::format("{} was acknowledged at revision {} and came back {}", key, answered,
                      it == found.end() ? "absent" : fmt::format("at {}", it->second.revision)));
    }
  }
  for (const auto& [key, stored] : state_) {
    auto it = found.find(key);
    if (it != found.end() && it->second.revision < stored.revision) {
      violate(fmt::format("{} was shown at revision {} and came back at {}", key, stored.revision,
                          it->second.revision));
    }
  }
  // The new server's view replaces ours, as if each difference were an event.
  state_ = std::move(found);
  revision_ = revision;
  pods_on_.clear();
  bound_of_.clear();
  for (const auto& [key, stored] : state_) {
    const std::string& node = stored.object.at("spec.nodeName").as_string();
    if (!is_kind(key, "pods") || node.empty()) continue;
    if (!has_ended(stored.object)) pods_on_[node].insert(key);
    bound_of_[gang_of(stored.object)].insert(key);
    touched_nodes_.insert(node);
    touched_gangs_.insert(gang_of(stored.object));
  }
  on_turn_end();
}

std::vector<const Json*> Checkers::objects(const std::string& plural) const {
  std::vector<const Json*> result;
  for (const auto& [key, stored] : state_) {
    if (is_kind(key, plural)) result.push_back(&stored.object);
  }
  return result;
}

void Checkers::on_end() {
  for (const Json* jobset : objects("jobsets")) {
    if (api::is_condition_true(*jobset, "Completed") || api::is_condition_true(*jobset, "Failed")) {
      continue;
    }
    // Not ended: then one of its pods must say what it waits for.
    bool says_why = false;
    for (const Json* pod : objects("pods")) {
      if (api::label_of(*pod, "jobset.sigs.k8s.io/jobset-uid") != api::uid_of(*jobset)) continue;
      const Json* scheduled = api::find_condition(*pod, "PodScheduled");
      says_why |= scheduled && (*scheduled)["status"].as_string() == "False" &&
                  !(*scheduled)["message"].as_string().empty();
    }
    if (!says_why) {
      violate(fmt::format("JobSet {} neither ended nor says why: {}", api::name_of(*jobset),
                          (*jobset)["status"].dump()));
    }
  }
}

}  // namespace pelton::scenario
