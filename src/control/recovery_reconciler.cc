// SPDX-License-Identifier: Apache-2.0
#include "control/recovery_reconciler.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "api/object.h"
#include "decide/recovery/decide_recovery.h"
#include "decide/recovery/protection.h"

namespace pelton::control {

using base::Json;
namespace recovery = decide::recovery;

namespace {

/// On a JobSet: whether its RecoveryPolicy can do for it what it says.
constexpr const char* kCondition = "pelton.dev/Recovery";

std::vector<const Json*> jobsets_of(const Key& key, const CacheView& view) {
  std::vector<const Json*> jobsets;
  for (const Json* jobset : view.list_labelled("JobSet", recovery::kPolicyLabel, key.name)) {
    if (api::namespace_of(*jobset) == key.namespace_name) jobsets.push_back(jobset);
  }
  return jobsets;
}

/// Tells it on the JobSet. A JobSet of which nothing bad has ever been said bears no condition.
void tell(const Json& jobset, bool is_good, const std::string& reason, const std::string& message,
          base::Instant now, Plan& plan) {
  if (is_good && api::find_condition(jobset, kCondition) == nullptr) return;
  Json next = jobset;
  if (!api::set_condition(next, {kCondition, is_good ? "True" : "False", reason, message}, now)) {
    return;
  }
  plan.commands.emplace_back(UpdateStatus{std::move(next)});
  plan.commands.emplace_back(
      EmitEvent{api::make_object_reference(jobset), !is_good, reason, message});
}

/// One reconcile of one policy.
class Pass {
 public:
  Pass(const Json& policy, const CacheView& view, std::map<std::string, RecoveryMemo>& memos,
       base::Instant now)
      : policy_(policy), view_(view), memos_(memos), now_(now) {
    memories_ = recovery::node_memories_of(policy["status"]["nodes"]);
  }

  Plan run(const recovery::Policy& spec, const std::vector<const Json*>& jobsets) {
    const Json& was = policy_["status"];
    std::vector<std::optional<Json>> entries;  // absent: as it was
    for (const Json* jobset : jobsets) entries.push_back(decide(spec, *jobset));
    const bool have_changed = are_others(jobsets, was["jobSets"]) ||
                              std::any_of(entries.begin(), entries.end(),
                                          [](const auto& entry) { return entry.has_value(); });
    Json nodes = recovery::to_json(memories_);
    const bool are_nodes_due = !memories_.empty() || was.contains("nodes");
    Plan plan;
    if (have_changed || (are_nodes_due && nodes != was["nodes"]) ||
        was["observedGeneration"] != Json(api::generation_of(policy_))) {
      Json next = policy_;
      Json& status = next.child("status");
      if (have_changed) status.set("jobSets", joined(std::move(entries), jobsets));
      if (are_nodes_due) status.set("nodes", std::move(nodes));
      status.set("observedGeneration", api::generation_of(policy_));
      plan.commands.emplace_back(UpdateStatus{std::move(next)});
    }
    std::move(after_.begin(), after_.end(), std::back_inserter(plan.commands));
    std::move(told_.commands.begin(), told_.commands.end(), std::back_inserter(plan.commands));
    plan.requeue_after = look_again_;
    plan.reason = why_;
    return plan;
  }

 private:
  /// Whether the status tells of others than these, or in another order.
  static bool are_others(const std::vector<const Json*>& jobsets, const Json& entries) {
    return !std::equal(jobsets.begin(), jobsets.end(), entries.items().begin(),
                       entries.items().end(), [](const Json* jobset, const Json& entry) {
                         return api::uid_of(*jobset) == entry["uid"].as_string();
                       });
  }

  Json::Array joined(std::vector<std::optional<Json>> entries,
                     const std::vector<const Json*>& jobsets) const {
    Json::Array all;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (entries[i]) {
        all.push_back(*std::move(entries[i]));
        continue;
      }
      for (const Json& entry : policy_["status"]["jobSets"].items()) {
        if (entry["uid"].as_string() == api::uid_of(*jobsets[i])) all.push_back(entry);
      }
    }
    return all;
  }

  /// The JobSet's entry in the status; absent: as it was.
  std::optional<Json> decide(const recovery::Policy& spec, const Json& jobset) {
    const recovery::Observed observed =
        observe_recovery(policy_, spec, memories_, jobset, view_, memos_[api::uid_of(jobset)]);
    const int64_t number = observed.record.generation.number;
    const auto phase = observed.record.generation.phase;
    recovery::Decision decision = recovery::decide_recovery(observed, now_);
    memories_ = decision.memories;
    set_conditions(jobset, observed, decision);
    for (const recovery::Replacement& each : decision.deletions) replace(jobset, each);
    for (const std::string& node : decision.quarantines) quarantine(node);
    if (decision.look_again) {
      look_again_ =
          look_again_ ? std::min(*look_again_, *decision.look_again) : *decision.look_again;
    }
    const recovery::Generation& generation = decision.record.generation;
    if (generation.number != number || generation.phase != phase) announce(jobset, decision);
    if (!decision.waits_for.empty()) why_ = decision.waits_for;
    Json entry = recovery::to_json(decision.record);
    for (const Json& was : policy_["status"]["jobSets"].items()) {
      if (was["uid"].as_string() == api::uid_of(jobset) && was == entry) return std::nullopt;
    }
    return entry;
  }

  /// Which rungs are off, in the record and on the JobSet.
  void set_conditions(const Json& jobset, const recovery::Observed& observed,
                      recovery::Decision& decision) {
    std::string off;
    for (const auto& [rung, why] : observed.off) {
      off +=
          fmt::format("{}{} is off: {}", off.empty() ? "" : "; ", recovery::rung_name(rung), why);
    }
    // After a failure; who closes the record of a JobSet that has ended weighs no alternatives.
    const bool is_stopped = decision.record.last.rung == recovery::Rung::Stop &&
                            !decision.record.last.alternatives.empty();
    const bool is_good = off.empty() && !decision.is_impossible && !is_stopped;
    const std::string reason = is_stopped               ? "NoRungLeft"
                               : decision.is_impossible ? "TooFewPods"
                               : is_good                ? "AllRungs"
                                                        : "RungsOff";
    // With the words of the rank that failed: of a checkpoint that it may not use, say.
    const std::string message = is_stopped               ? decision.record.last.reason
                                : decision.is_impossible ? decision.waits_for
                                : is_good                ? "every rung of the policy is there"
                                                         : off;
    Json holder = Json::object(
        {{"status", Json::object({{"conditions", Json(decision.record.conditions)}})}});
    api::set_condition(holder, {"RungsAvailable", is_good ? "True" : "False", reason, message},
                       now_);
    set_protection(recovery::protection_of(observed, decision.record.generation),
                   decision.record.generation.number != observed.record.generation.number, holder);
    decision.record.conditions = holder["status"]["conditions"].items();
    tell(jobset, is_good, reason, message, now_, told_);
  }

  /// A job that has never had a checkpoint in memory bears no such condition.
  void set_protection(const recovery::ProtectionNow& now, bool has_begun, Json& holder) const {
    if (now.is_unknown && !has_begun) return;
    if (const auto& protection = now.protection) {
      api::set_condition(
          holder,
          {recovery::kProtectedCondition, protection->is_protected ? "True" : "False",
           protection->reason, protection->message},
          now_);
    } else if (api::find_condition(holder, recovery::kProtectedCondition) != nullptr) {
      api::set_condition(holder,
                         {recovery::kProtectedCondition, "False", "NothingInMemory",
                          "the present generation has no checkpoint in memory yet"},
                         now_);
    }
  }

  void announce(const Json& jobset, const recovery::Decision& decision) {
    const recovery::JobRecord& record = decision.record;
    using enum recovery::Rung;
    const bool is_bad =
        record.last.rung != Start && record.last.rung != Finish && record.last.rung != Grow;
    after_.emplace_back(EmitEvent{
        api::make_object_reference(jobset), is_bad, recovery::rung_name(record.last.rung),
        fmt::format("generation {}, {} of {} ranks: {}", record.generation.number,
                    record.generation.world_size(), record.full_world_size, record.last.reason)});
  }

  /// As a disruption, which the Job's podFailurePolicy ignores. By force: it is declared failed,
  /// since nobody there can say so; its generation is over.
  void replace(const Json& jobset, const recovery::Replacement& each) {
    const Json* pod = view_.get("Pod", api::namespace_of(jobset), each.pod);
    if (pod == nullptr || api::uid_of(*pod) != each.pod_uid) return;
    Json next = *pod;
    const std::string message = "replaced by the RecoveryPolicy: " + each.why;
    api::set_condition(next, {"DisruptionTarget", "True", "ReplacedByRecovery", message}, now_);
    if (each.force) {
      Json& status = next.child("status");
      status.set("phase", "Failed");
      status.set("reason", "NodeLost");
      status.set("message", message);
    }
    if (next != *pod) after_.emplace_back(UpdateStatus{std::move(next)});
    Delete command;
    command.key = {"Pod", api::namespace_of(jobset), each.pod};
    command.uid = each.pod_uid;
    if (each.force) command.grace_period_seconds = 0;
    after_.emplace_back(std::move(command));
  }

  void quarantine(const std::string& name) {
    const Json* node = view_.get("Node", "", name);
    if (node == nullptr) return;
    Json next = *node;
    next.child("spec").child("taints").push_back(Json::object({{"key", recovery::kQuarantineTaint},
                                                               {"value", memories_[name].cause},
                                                               {"effect", "NoSchedule"}}));
    after_.emplace_back(Update{std::move(next)});
    after_.emplace_back(EmitEvent{
        api::make_object_reference(*node), true, "Quarantined",
        fmt::format("{} failures within a day, the last by {}: takes no pods until its taint {} is "
                    "taken off",
                    memories_[name].failures.size(), memories_[name].cause,
                    recovery::kQuarantineTaint)});
  }

  const Json& policy_;
  const CacheView& view_;
  std::map<std::string, RecoveryMemo>& memos_;
  const base::Instant now_;
  recovery::NodeMemories memories_;
  std::vector<Command> after_;  ///< once the status is written
  Plan told_;
  std::optional<base::Duration> look_again_;
  std::string why_;
};

}  // namespace

Keys RecoveryReconciler::keys_of(const Json& object, const CacheView& view) const {
  const std::string& kind = object["kind"].as_string();
  if (kind == "RecoveryPolicy") return {own_key(object)};
  if (kind == "JobSet" || kind == "Pod") {
    const std::string& policy = api::label_of(object, recovery::kPolicyLabel);
    if (policy.empty()) return {};
    return {{api::namespace_of(object), policy}};
  }
  std::set<Key> keys;
  for (const Json* pod : view.list_pods_on(api::name_of(object))) {
    const std::string& policy = api::label_of(*pod, recovery::kPolicyLabel);
    if (!policy.empty()) keys.insert({api::namespace_of(*pod), policy});
  }
  // A quarantined node may bear no pod any more.
  for (const Json* policy : view.list("RecoveryPolicy")) {
    for (const Json& node : (*policy)["status"]["nodes"].items()) {
      if (node["name"].as_string() == api::name_of(object)) keys.insert(own_key(*policy));
    }
  }
  return {keys.begin(), keys.end()};
}

Plan RecoveryReconciler::reconcile(const Key& key, const CacheView& view, base::Instant now) const {
  const std::vector<const Json*> jobsets = jobsets_of(key, view);
  const Json* policy = view.get("RecoveryPolicy", key.namespace_name, key.name);
  Plan plan;
  if (policy == nullptr) {
    memos_.erase(key);
    for (const Json* jobset : jobsets) {
      tell(*jobset, false, "PolicyNotFound",
           fmt::format("there is no RecoveryPolicy {}: create it, or take the label {} off",
                       key.to_string(), recovery::kPolicyLabel),
           now, plan);
    }
    return plan;
  }
  if (api::is_being_deleted(*policy)) return plan;
  const base::Result<recovery::Policy> spec = recovery::policy_of((*policy)["spec"]);
  if (!spec.ok()) {
    for (const Json* jobset : jobsets) {
      tell(*jobset, false, "InvalidPolicy",
           fmt::format("RecoveryPolicy {}: {}", key.to_string(), spec.error().message()), now,
           plan);
    }
    return plan;
  }
  Memos& memos = memos_[key];
  std::erase_if(memos, [&](const auto& each) {
    return std::none_of(jobsets.begin(), jobsets.end(),
                        [&](const Json* jobset) { return api::uid_of(*jobset) == each.first; });
  });
  return Pass(*policy, view, memos, now).run(*spec, jobsets);
}

}  // namespace pelton::control
