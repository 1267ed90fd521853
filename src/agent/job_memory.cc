// SPDX-License-Identifier: Apache-2.0
#include "agent/job_memory.h"

#include <utility>

#include "agent/memory_volumes.h"
#include "api/object.h"
#include "decide/recovery/policy.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr uint32_t kModeOpen = 0777;

bool is_over(const Json* policy, const std::string& job_uid) {
  const Json& entry = entry_of_job(policy, job_uid);
  if (entry.is_null()) return true;
  const std::string& phase = entry.at("generation.phase").as_string();
  return phase == "Finished" || phase == "Failed";
}

}  // namespace

const Json& entry_of_job(const Json* policy, const std::string& job_uid) {
  static const Json nothing;
  if (policy == nullptr) return nothing;
  for (const Json& entry : policy->at("status.jobSets").items()) {
    if (entry["uid"].as_string() == job_uid) return entry;
  }
  return nothing;
}

JobMemory::JobMemory(world::World world, ObjectWatches& objects, std::string node_directory,
                     int64_t quota_bytes)
    : world_(world),
      objects_(objects),
      node_directory_(std::move(node_directory)),
      quota_bytes_(quota_bytes) {}

std::string JobMemory::home(const std::string& job_uid) const {
  return node_directory_ + "/jobs/" + job_uid;
}

std::string JobMemory::directory(const std::string& job_uid) const {
  return home(job_uid) + "/memory";
}

void JobMemory::adopt() {
  const auto homes = world_.files.list(node_directory_ + "/jobs");
  if (!homes.ok()) return;
  for (const world::DirectoryEntry& each : *homes) {
    const auto text = world_.files.read(home(each.name) + "/job.json");
    const auto job = text.ok() ? Json::parse(*text) : base::Result<Json>(text.status());
    if (!job.ok()) {
      // Never recorded, so nothing was mounted.
      world_.files.remove_tree(home(each.name)).ignore("it is tried again at the next start");
      continue;
    }
    entry({.namespace_name = (*job)["namespace"].as_string(),
           .policy = (*job)["policy"].as_string(),
           .uid = each.name});
    open(each.name);
  }
}

JobMemory::Entry& JobMemory::entry(const SupervisedJob& job) {
  Entry& entry = entries_[job.uid];
  if (entry.watch) return entry;
  entry.job = job;
  entry.watch = objects_.watch({"RecoveryPolicy", job.namespace_name, job.policy},
                               [this, uid = job.uid](const Json* policy) {
                                 Entry& seen = entries_.at(uid);
                                 seen.is_over = is_over(policy, uid);
                                 seen.policy = policy == nullptr ? Json() : *policy;
                                 seen.is_known = true;
                                 for (auto& go_on : std::exchange(seen.waiting, {})) go_on();
                                 if (seen.is_open && follower_ != nullptr) {
                                   follower_->on_policy(uid, policy);
                                 }
                                 remove_if_due(uid);
                               });
  return entry;
}

JobMemory::Use JobMemory::use(const SupervisedJob& job) {
  Entry& found = entry(job);
  if (Use use = found.use.lock()) return use;
  // The last one who lets go looks whether anybody needs it still.
  Use use(new char, [this, uid = job.uid, alive = std::weak_ptr(alive_)](char* token) {
    delete token;
    if (alive.expired()) return;
    world_.timers.post([this, uid, alive] {
      if (!alive.expired()) remove_if_due(uid);
    });
  });
  found.use = use;
  return use;
}

bool JobMemory::is_allowed(const std::string& job_uid) const {
  const auto it = entries_.find(job_uid);
  if (it == entries_.end()) return true;
  const auto policy = decide::recovery::policy_of(it->second.policy["spec"]);
  return !policy.ok() || policy->tiers.contains(decide::recovery::Tier::Memory);
}

void JobMemory::prepare(const SupervisedJob& job, std::function<void(base::Status)> done) {
  Entry& found = entry(job);
  if (!found.is_known) {
    found.waiting.push_back([this, job, done = std::move(done)] { prepare(job, done); });
    return;
  }
  if (!is_allowed(job.uid)) return done(base::ok());
  const std::string where = home(job.uid);
  if (found.is_removing) {
    return done(base::unavailable("the memory of job " + job.uid + " is just being given back"));
  }
  const auto make = [&]() -> base::Status {
    PELTON_TRY(world_.files.make_directories(where + "/memory"));
    const Json record = Json::object({{"namespace", job.namespace_name}, {"policy", job.policy}});
    PELTON_TRY(world_.files.replace(where + "/job.json", record.dump()));
    return world_.files.set_mode(where + "/memory", kModeOpen);
  };
  base::Status made = make();
  if (!made.ok()) return done(std::move(made).with("the memory of job " + job.uid));
  mount_memory_volumes(world_.processes, {{directory(job.uid), quota_bytes_, true}},
                       [this, uid = job.uid, done = std::move(done),
                        alive = std::weak_ptr(alive_)](base::Status status) {
                         if (!alive.expired() && status.ok()) open(uid);
                         done(std::move(status));
                       });
}

void JobMemory::open(const std::string& job_uid) {
  const auto it = entries_.find(job_uid);
  if (it == entries_.end() || it->second.is_removing || follower_ == nullptr) return;
  it->second.is_open = true;
  follower_->on_open(job_uid, directory(job_uid));
  if (!it->second.policy.is_null()) follower_->on_policy(job_uid, &it->second.policy);
}

void JobMemory::remove_if_due(const std::string& job_uid) {
  const auto it = entries_.find(job_uid);
  if (it == entries_.end() || it->second.is_removing) return;
  if (!it->second.is_over || !it->second.use.expired()) return;
  it->second.is_removing = true;
  if (follower_ != nullptr) follower_->on_close(job_uid);
  unmount_memory_volumes(
      world_.processes, {directory(job_uid)},
      [this, job_uid, alive = std::weak_ptr(alive_)](base::Status status) {
        if (alive.expired()) return;
        if (status.ok()) status = world_.files.remove_tree(home(job_uid));
        if (!status.ok()) {
          world_.log.warning("job.memory", {{"job", job_uid}, {"error", status.to_string()}});
        }
        entries_.erase(job_uid);  // what could not be removed is found at the agent's next start
      });
}

}  // namespace pelton::agent
