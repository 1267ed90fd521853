// SPDX-License-Identifier: Apache-2.0
#include "scenario/user.h"

#include <algorithm>
#include <iterator>

#include "api/object.h"
#include "api/registry.h"

namespace pelton::scenario {
namespace {

using base::Code;
using base::Duration;
using base::Json;

constexpr Duration kRetry = Duration::milliseconds(200);
constexpr const char* kEdited = "pelton.dev/edited";
const client::ObjectKey kOwnJob{"Job", "default", "scaled"};

bool has_ended(const Json& jobset) {
  return api::is_condition_true(jobset, "Completed") || api::is_condition_true(jobset, "Failed");
}

std::string store_key(const client::ObjectKey& key) {
  return client::find_resource(key.kind)->storage->store_key(key.namespace_name, key.name);
}

}  // namespace

User::User(const Spec& spec, const world::World& world, size_t caller, Checkers& checkers,
           base::Rng rng, std::vector<WorkloadItem> items)
    : spec_(spec),
      timers_(world.timers),
      checkers_(checkers),
      rng_(rng),
      items_(std::move(items)),
      transport_(world, caller),
      client_(transport_, timers_) {}

void User::start() {
  for (size_t i = 0; i < items_.size(); ++i) {
    timers_.after(items_[i].arrival, [this, i] { submit_policy(i); });
  }
}

void User::retry(std::function<void()> act) {
  timers_.after(kRetry, std::move(act));
}

void User::submit_policy(size_t index) {
  if (items_[index].policy.is_null()) return submit(index);
  client_.create(items_[index].policy, [this, index](const base::Result<Json>& answer) {
    if (answer.ok() || answer.error().code() == Code::AlreadyExists) return submit(index);
    if (answer.error().code() == Code::InvalidArgument) {
      return checkers_.on_server_failed("a policy was refused: " + answer.error().to_string());
    }
    retry([this, index] { submit_policy(index); });
  });
}

void User::submit(size_t index) {
  client_.create(items_[index].jobset, [this, index](const base::Result<Json>& answer) {
    if (answer.ok()) add_notes(*answer);
    if (answer.ok() || answer.error().code() == Code::AlreadyExists) {
      ++submitted_;
      return;
    }
    if (answer.error().code() == Code::InvalidArgument) {
      return checkers_.on_server_failed("a JobSet was refused: " + answer.error().to_string());
    }
    retry([this, index] { submit(index); });
  });
}

void User::add_notes(const Json& jobset) {
  const Json notes = Json::object(
      {{"apiVersion", "v1"},
       {"kind", "ConfigMap"},
       {"metadata",
        Json::object({{"name", api::name_of(jobset) + "-notes"},
                      {"namespace", api::namespace_of(jobset)},
                      {"annotations", Json::object({{kGarbageOnly, "true"}})},
                      {"ownerReferences", Json::array({api::make_controller_reference(jobset)})}})},
       {"data", Json::object({{"by", "user"}})}});
  client_.create(notes, [this, jobset](const base::Result<Json>& answer) {
    const bool is_unknown = !answer.ok() && answer.error().code() != Code::AlreadyExists;
    if (is_unknown) retry([this, jobset] { add_notes(jobset); });
  });
}

bool User::has_ended() const {
  if (submitted_ < items_.size()) return false;
  const auto jobsets = checkers_.objects("jobsets");
  return std::all_of(jobsets.begin(), jobsets.end(),
                     [](const Json* jobset) { return scenario::has_ended(*jobset); });
}

const Json* User::pick(const char* plural) {
  const auto present = checkers_.objects(plural);
  return present.empty() ? nullptr : present[rng_.below(present.size())];
}

void User::delete_node(const std::string& name) {
  client_.remove({"Node", "", name}, {}, [](const auto&) {});
}

void User::delete_pod() {
  if (const Json* pod = pick("pods")) client_.remove(client::key_of(*pod), {}, [](const auto&) {});
}

void User::delete_jobset() {
  const Json* jobset = pick("jobsets");
  if (!jobset) return;
  client::DeleteOptions options;
  options.propagation_policy = rng_.chance(0.5) ? "Background" : "Foreground";
  checkers_.on_user_delete(store_key(client::key_of(*jobset)));
  client_.remove(client::key_of(*jobset), options, [](const auto&) {});
}

/// The classic way to lose an update: read, change, write back.
void User::edit() {
  static constexpr const char* kPlurals[] = {"pods", "jobsets", "nodes", "jobs"};
  const Json* object = pick(kPlurals[rng_.below(std::size(kPlurals))]);
  if (!object) return;
  const auto write = [this](const base::Result<Json>& read) {
    if (!read.ok()) return;
    Json changed = *read;
    changed.make("metadata.annotations").set(kEdited, std::to_string(++edits_));
    client_.update(changed, [](const auto&) {});
  };
  client_.get(client::key_of(*object), [this, write](const base::Result<Json>& read) {
    // Thinking takes a while: long enough for others to write.
    timers_.after(Duration::milliseconds(rng_.between(0, 50)), [write, read] { write(read); });
  });
}

void User::set_suspended(const client::ObjectKey& key, bool is_suspended) {
  const Json patch = Json::object({{"spec", Json::object({{"suspend", is_suspended}})}});
  client_.patch(key, client::PatchType::Merge, patch, "",
                [this, key, is_suspended](const base::Result<Json>& answer) {
                  const bool is_over = answer.ok() || answer.error().code() == Code::NotFound ||
                                       answer.error().code() == Code::InvalidArgument;
                  // A JobSet must not stay suspended because an answer was lost.
                  if (!is_over)
                    retry([this, key, is_suspended] { set_suspended(key, is_suspended); });
                });
}

void User::suspend() {
  const Json* jobset = pick("jobsets");
  if (!jobset || scenario::has_ended(*jobset)) return;
  const client::ObjectKey key = client::key_of(*jobset);
  set_suspended(key, true);
  timers_.after(spec_.user.suspends->downtime.draw(rng_),
                [this, key] { set_suspended(key, false); });
}

void User::scale() {
  const int64_t parallelism = rng_.between(0, 6);
  if (!checkers_.object(store_key(kOwnJob))) {
    if (!items_.empty())
      client_.create(make_job(spec_, kOwnJob.name, parallelism), [](const auto&) {});
    return;
  }
  const Json patch = Json::object({{"spec", Json::object({{"parallelism", parallelism}})}});
  client_.patch(kOwnJob, client::PatchType::Merge, patch, "", [](const auto&) {});
}

}  // namespace pelton::scenario
