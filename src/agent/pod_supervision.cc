// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_supervision.h"

#include <utility>

#include "agent/worker_events.h"
#include "decide/workload/jobset/children.h"

namespace pelton::agent {
namespace {

using base::Json;
namespace recovery = decide::recovery;

constexpr const char* kInside = "/run/pelton/agent";
constexpr const char* kMemoryInside = "/run/pelton/memory";

std::optional<SupervisedJob> job_of(const Json& pod) {
  SupervisedJob job{.namespace_name = api::namespace_of(pod),
                    .policy = api::label_of(pod, recovery::kPolicyLabel),
                    .uid = api::label_of(pod, decide::workload::kJobSetUid)};
  if (job.policy.empty() || job.uid.empty()) return std::nullopt;
  return job;
}

}  // namespace

PodSupervision::PodSupervision(world::World world, ObjectWatches& objects, JobMemory& memory,
                               EventRecorder& events, const PodPaths& paths, const Json& pod,
                               std::function<void()> changed)
    : world_(world),
      objects_(objects),
      memory_(memory),
      events_(events),
      pod_(pod),
      directory_(paths.directory + "/agent"),
      changed_(std::move(changed)),
      pod_uid_(api::uid_of(pod)),
      job_(job_of(pod)),
      channel_(world, directory_,
               [this](recovery::PodReport report) { on_report(std::move(report)); }) {
  if (job_) use_ = memory_.use(*job_);
}

void PodSupervision::on_report(recovery::PodReport report) {
  if (report_ == report) return;
  for (const WorkerEvent& event : events_between(report_.value_or(recovery::PodReport{}), report)) {
    events_.record(pod_, true, event.reason, event.message);
  }
  report_ = std::move(report);
  changed_();
}

void PodSupervision::open(std::function<void(base::Status)> done) {
  if (!job_) return done(base::ok());
  memory_.prepare(
      *job_, [this, done = std::move(done), alive = std::weak_ptr(alive_)](base::Status status) {
        if (alive.expired()) return;
        if (status.ok()) status = listen();
        done(std::move(status));
      });
}

void PodSupervision::adopt() {
  if (!job_) return;
  const base::Status status = listen();
  if (!status.ok()) {
    world_.log.error("supervisor.listen", {{"pod", pod_uid_}, {"error", status.to_string()}});
  }
}

base::Status PodSupervision::listen() {
  PELTON_TRY(channel_.open());
  if (!watch_) follow();
  return base::ok();
}

void PodSupervision::follow() {
  watch_ = objects_.watch(
      {"RecoveryPolicy", job_->namespace_name, job_->policy}, [this](const Json* policy) {
        const Json& entry = entry_of_job(policy, job_->uid);
        if (entry["generation"].is_null()) return;
        base::Result<recovery::Generation> generation =
            recovery::generation_of(entry["generation"]);
        if (generation.ok()) return channel_.tell(*generation);
        world_.log.error("policy.status", {{"policy", job_->namespace_name + "/" + job_->policy},
                                           {"error", generation.error().message()}});
      });
}

void PodSupervision::close() {
  watch_.reset();
  channel_.close();
  use_.reset();
}

void PodSupervision::add_to(std::vector<Mount>& mounts, Environment& env) const {
  if (!job_) return;
  mounts.push_back({.from = directory_, .to = kInside, .is_read_only = true});
  if (memory_.is_allowed(job_->uid)) {
    mounts.push_back({.from = memory_.directory(job_->uid), .to = kMemoryInside});
    set_variable(env, "PELTON_MEMORY_DIR", kMemoryInside);
  }
  set_variable(env, "PELTON_AGENT_SOCKET",
               std::string(kInside) + "/" + SupervisorChannel::kSocketName);
  set_variable(env, "PELTON_JOB_UID", job_->uid);
  set_variable(env, "PELTON_POD_UID", pod_uid_);
}

std::optional<api::Condition> PodSupervision::condition() const {
  if (!report_) return std::nullopt;
  const bool is_well = report_->stage != recovery::PodReport::Stage::Stopped &&
                       report_->stage != recovery::PodReport::Stage::Refused;
  return api::Condition{recovery::kWorkersCondition, is_well ? "True" : "False",
                        recovery::stage_name(report_->stage), recovery::to_json(*report_).dump()};
}

}  // namespace pelton::agent
