// SPDX-License-Identifier: Apache-2.0
// A pod's part in a job that recovers by a RecoveryPolicy: the channel to its supervisor, the
// generation that the policy's status holds, and the memory tier of the job.
//
// Of pods with the label pelton.dev/recovery-policy; for others it does nothing.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/event_recorder.h"
#include "agent/job_memory.h"
#include "agent/pod_inputs.h"
#include "agent/pod_record.h"
#include "agent/sandbox_command.h"
#include "agent/supervisor_channel.h"
#include "api/object.h"
#include "base/json.h"

namespace pelton::agent {

class PodSupervision {
 public:
  /// All must outlive it. `changed`: the condition is another.
  PodSupervision(world::World world, ObjectWatches& objects, JobMemory& memory,
                 EventRecorder& events, const PodPaths& paths, const base::Json& pod,
                 std::function<void()> changed);

  /// Makes memory and socket, and follows the policy from now on. May be repeated.
  void open(std::function<void(base::Status)> done);
  /// For a pod that an earlier agent opened.
  void adopt();
  /// Ends everything but the job's memory.
  void close();

  /// What the pod's containers are given. After open().
  void add_to(std::vector<Mount>& mounts, Environment& env) const;
  /// What the supervisor said last; absent: nothing yet.
  std::optional<api::Condition> condition() const;

 private:
  base::Status listen();
  void follow();
  void on_report(decide::recovery::PodReport report);

  world::World world_;
  ObjectWatches& objects_;
  JobMemory& memory_;
  EventRecorder& events_;
  const base::Json& pod_;
  std::string directory_;
  std::function<void()> changed_;
  std::string pod_uid_;
  std::optional<SupervisedJob> job_;  ///< absent: it has no policy
  JobMemory::Use use_;
  SupervisorChannel channel_;
  ObjectWatches::Handle watch_;
  std::optional<decide::recovery::PodReport> report_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
