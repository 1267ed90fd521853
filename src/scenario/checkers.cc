// SPDX-License-Identifier: Apache-2.0
#include "scenario/checkers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "api/quantity.h"
#include "base/strings.h"
#include "client/cache.h"

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
  const auto found = state_.find(event.key);
  const Stored* before = found == state_.end() ? nullptr : &found->second;
  history_.add({event.revision, before ? before->revision : 0, !is_put,
                base::hash64(parsed->dump()), event.key});
  if (is_kind(event.key, "pods")) on_pod(event, *parsed, before);
  if (is_put && is_kind(event.key, "jobs")) check_job(event.key, *parsed);
  if (is_put && before && is_kind(event.key, "nodes")) check_node_change(before->object, *parsed);
  if (!is_put) check_removal(event.key, *parsed);
  if (on_change_) {
    on_change_(event.key, before ? &before->object : nullptr, is_put ? &*parsed : nullptr);
  }
  if (before) key_of_uid_.erase(api::uid_of(before->object));
  if (is_put) {
    key_of_uid_[api::uid_of(*parsed)] = event.key;
    state_[event.key] = {event.revision, std::move(*parsed)};
  } else {
    state_.erase(event.key);
  }
}

void Checkers::on_pod(const store::Event& event, const Json& pod, const Stored* before) {
  const bool is_put = event.kind == store::Event::Kind::Put;
  const std::string& node = pod.at("spec.nodeName").as_string();
  const std::string gang = gang_of(pod);
  const bool is_bound_now =
      !node.empty() && (!before || before->object.at("spec.nodeName").as_string().empty());
  if (before) {
    if (is_put) check_pod_change(event.key, before->object, pod);
    pods_on_[before->object.at("spec.nodeName").as_string()].erase(event.key);
  }
  if (is_put && !node.empty()) {
    if (!has_ended(pod)) pods_on_[node].insert(event.key);
    ever_bound_[gang].insert(api::uid_of(pod));
  }
  const Json* jobset = gang_owner(gang);
  const bool is_gang = jobset && width_of(*jobset) > 1;  // one pod alone is bound as upstream does
  if (is_put && is_bound_now && is_gang && !state_.contains("/core/nodes//" + node)) {
    violate(fmt::format("{} was bound to {}, which does not exist (revision {})", event.key, node,
                        event.revision));
  }
  const Json* job = api::controller_of(pod);
  if (job && pod.at("status.phase").as_string() == "Succeeded") {
    ever_succeeded_[(*job)["uid"].as_string()].insert(api::uid_of(pod));
  }
  touched_nodes_.insert(node);
  touched_gangs_.insert(gang);
}

/// Pods go before their Job counts them: what it counts was seen before.
void Checkers::check_job(const std::string& key, const Json& job) {
  const auto succeeded = static_cast<int64_t>(ever_succeeded_[api::uid_of(job)].size());
  const int64_t counted = job.at("status.succeeded").as_int();
  if (counted > succeeded) {
    violate(fmt::format("{} counts {} succeeded pods, but only {} have succeeded (revision {})",
                        key, counted, succeeded, revision_));
  }
  const int64_t wanted = job.at("spec.completions").as_int();
  if (api::is_condition_true(job, "Complete") && succeeded < wanted) {
    violate(fmt::format("{} is complete with {} of {} pods succeeded (revision {})", key, succeeded,
                        wanted, revision_));
  }
}

void Checkers::check_node_change(const Json& before, const Json& after) {
  if (!is_calm_ || api::is_condition_true(after, "Ready")) return;
  if (!api::is_condition_true(before, "Ready")) return;
  violate(
      fmt::format("{} was called lost, and is well (revision {})", api::name_of(after), revision_));
}

void Checkers::on_long_dead(const std::string& node) {
  if (is_called_ready(node)) violate(node + " has been dead for long and is still called ready");
}

bool Checkers::is_called_ready(const std::string& node) const {
  const Json* object = this->object("/core/nodes//" + node);
  return object && api::is_condition_true(*object, "Ready");
}

void Checkers::check_removal(const std::string& key, const Json& object) {
  if (api::annotation_of(object, kGarbageOnly).empty() || user_deleted_.contains(key)) return;
  for (const Json& owner : object.at("metadata.ownerReferences").items()) {
    const auto present = key_of_uid_.find(owner["uid"].as_string());
    // An owner that is deleted in the foreground waits until what it owns is gone.
    if (present == key_of_uid_.end() || api::is_being_deleted(*this->object(present->second))) {
      continue;
    }
    violate(fmt::format("{} was removed as garbage while its owner {} lives (revision {})", key,
                        owner["name"].as_string(), revision_));
  }
}

void Checkers::check_pod_change(const std::string& key, const Json& before, const Json& after) {
  const std::string& node = before.at("spec.nodeName").as_string();
  const std::string& phase = before.at("status.phase").as_string();
  if (!node.empty() && after.at("spec.nodeName").as_string() != node) {
    violate(fmt::format("{} was moved from {} to '{}' (revision {})", key, node,
                        after.at("spec.nodeName").as_string(), revision_));
  }
  // The agent of a node that was given up may still come to tell how its pod really ended.
  const bool was_lost = before.at("status.reason").as_string() == "NodeLost";
  if (has_ended(before) && !was_lost && after.at("status.phase").as_string() != phase) {
    violate(fmt::format("{} was {} and is now {} (revision {})", key, phase,
                        after.at("status.phase").as_string(), revision_));
  }
}

void Checkers::on_turn_end() {
  for (const std::string& node : touched_nodes_) check_node(node);
  for (const std::string& gang : touched_gangs_) check_gang(gang);
  touched_nodes_.clear();
  touched_gangs_.clear();
  check_claims();
  if (std::exchange(is_reopened_, false)) check_reopened();
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
  if (gang.empty() || started_gangs_.contains(gang) || ever_bound_[gang].empty()) return;
  started_gangs_.insert(gang);
  const Json* jobset = gang_owner(gang);
  if (!jobset) return;
  const int64_t width = width_of(*jobset);
  const auto bound = static_cast<int64_t>(ever_bound_[gang].size());
  if (bound == width) return;
  violate(fmt::format("JobSet {} attempt {}: {} of {} pods were bound (revision {})",
                      api::name_of(*jobset), gang.substr(gang.find('#') + 1), bound, width,
                      revision_));
}

const Json* Checkers::gang_owner(const std::string& gang) const {
  auto it = key_of_uid_.find(gang.substr(0, gang.find('#')));
  return it == key_of_uid_.end() ? nullptr : object(it->second);
}

void Checkers::on_acknowledged(const std::string& key, uint64_t revision, uint64_t expected) {
  uint64_t& newest = acknowledged_[key];
  newest = std::max(newest, revision);
  if (expected != 0) claims_.push_back({key, revision, expected});
}

void Checkers::on_bound_acknowledged(const std::string& key, const std::string& uid) {
  bound_acknowledged_[key] = uid;
}

void Checkers::check_claims() {
  std::erase_if(claims_, [this](const Claim& claim) {
    if (claim.revision > revision_) return false;
    // Nothing changed, so it kept its version; or the newest of what was acknowledged is later.
    if (claim.revision == claim.expected) return true;
    const HistoricChange* change = history_.find(claim.revision);
    if (!change || change->key != claim.key) {
      violate(fmt::format("{} was acknowledged at revision {}, which never was", claim.key,
                          claim.revision));
    } else if (change->previous != claim.expected) {
      violate(fmt::format(
          "an update of {} as of revision {} became revision {}, but was applied to {}: what "
          "happened in between is lost",
          claim.key, claim.expected, claim.revision, change->previous));
    }
    return true;
  });
}

void Checkers::on_reopened(const std::vector<store::Entry>& entries, uint64_t revision) {
  if (revision < revision_) {
    violate(
        fmt::format("the store came back at revision {}, but had shown {}", revision, revision_));
  }
  std::map<std::string, const store::Entry*> found;
  for (const store::Entry& entry : entries) found[entry.key] = &entry;
  const auto revision_of = [&](const std::string& key) {
    auto it = found.find(key);
    return it == found.end() ? 0 : it->second->revision;
  };
  for (const auto& [key, answered] : acknowledged_) {
    const uint64_t stored = revision_of(key);
    if (stored == 0 ? !delete_asked_.contains(key) : stored < answered) {
      violate(fmt::format("{} was acknowledged at revision {} and came back {}", key, answered,
                          stored == 0 ? "absent" : fmt::format("at {}", stored)));
    }
  }
  for (const auto& [key, stored] : state_) {
    if (revision_of(key) != 0 && revision_of(key) < stored.revision) {
      violate(fmt::format("{} was shown at revision {} and came back at {}", key, stored.revision,
                          revision_of(key)));
    }
  }
  for (const auto& [key, uid] : bound_acknowledged_) {
    if (revision_of(key) == 0) continue;
    auto pod = Json::parse(*found[key]->bytes);
    if (pod.ok() && api::uid_of(*pod) == uid && pod->at("spec.nodeName").as_string().empty()) {
      violate(key + " was acknowledged as bound and came back unbound");
    }
  }
  reopened_.clear();
  for (const auto& [key, entry] : found) reopened_[key] = entry->revision;
  is_reopened_ = true;
}

/// The events since the last one seen lead from what was seen to what came back.
void Checkers::check_reopened() {
  std::map<std::string, uint64_t> seen;
  for (const auto& [key, stored] : state_) seen[key] = stored.revision;
  for (const auto& [key, revision] : std::exchange(reopened_, {})) {
    auto it = seen.find(key);
    if (it == seen.end() || it->second < revision) {
      violate(
          fmt::format("{} came back at revision {}, of which no watcher is told", key, revision));
    }
    if (it != seen.end()) seen.erase(it);
  }
  for (const auto& [key, revision] : seen) {
    violate(fmt::format("{} was shown at revision {}, came back absent, and no watcher is told",
                        key, revision));
  }
}

const Json* Checkers::object(const std::string& key) const {
  auto it = state_.find(key);
  return it == state_.end() ? nullptr : &it->second.object;
}

std::string Checkers::find_orphan() const {
  for (const auto& [key, stored] : state_) {
    const auto& owners = stored.object.at("metadata.ownerReferences").items();
    const bool is_owned = std::any_of(owners.begin(), owners.end(), [this](const Json& owner) {
      return key_of_uid_.contains(owner["uid"].as_string());
    });
    if (!owners.empty() && !is_owned) return key + " is left, and its owner is gone";
  }
  return "";
}

std::string Checkers::unrest(const client::Cache& seen) const {
  std::map<std::string, uint64_t> stored;  // "Kind namespace/name" -> revision
  for (const auto& [key, object] : state_) {
    stored[client::key_of(object.object).to_string()] = object.revision;
  }
  for (const std::string& kind : seen.kinds()) {
    for (const Json* object : seen.list(kind)) {
      const std::string name = client::key_of(*object).to_string();
      auto it = stored.find(name);
      const uint64_t revision = client::revision_of(*object);
      if (it == stored.end()) return name + " is gone, and the controllers still see it";
      if (it->second != revision) {
        return fmt::format("{} is at revision {}, and the controllers see it at {}", name,
                           it->second, revision);
      }
      stored.erase(it);
    }
    for (const auto& [name, revision] : stored) {
      if (name.starts_with(kind + " ")) {
        return fmt::format("{} is at revision {}, and the controllers do not see it", name,
                           revision);
      }
    }
  }
  return find_orphan();
}

std::string Checkers::unrest_on(const std::string& node, const client::Cache& seen) const {
  size_t stored = 0;
  for (const auto& [key, pod] : state_) {
    if (!is_kind(key, "pods") || pod.object.at("spec.nodeName").as_string() != node) continue;
    ++stored;
    const Json* known = seen.get("Pod", api::namespace_of(pod.object), api::name_of(pod.object));
    if (!known || client::revision_of(*known) != pod.revision) {
      return fmt::format("{} is at revision {}, and {} sees it at {}", key, pod.revision, node,
                         known ? client::revision_of(*known) : 0);
    }
  }
  const size_t known = seen.list("Pod").size();
  if (known == stored) return "";
  return fmt::format("{} has {} pods and sees {}", node, stored, known);
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
