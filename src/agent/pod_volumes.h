// SPDX-License-Identifier: Apache-2.0
// The volumes of one pod on the machine: made, mounted into containers, kept up to date.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent_context.h"
#include "agent/pod_inputs.h"
#include "agent/pod_record.h"

namespace pelton::agent {

class PodVolumes {
 public:
  /// `record` must outlive it. Callbacks do not come after its end.
  PodVolumes(AgentContext& context, const PodPaths& paths, const PodRecord& record);

  /// Makes what is not there yet. May be repeated. `done` maybe from within; the error names the
  /// volume.
  void make(const PodInputs& inputs, std::function<void(base::Status)> done);

  /// From now on a change of a mounted ConfigMap or Secret is shown in the volume. What cannot be
  /// shown is told to `failed`, and the former content stays.
  void follow(std::function<void(const base::Status&)> failed);
  /// The pod's own metadata may have changed: the same, where a volume shows them.
  void refresh();

  /// Ends following, and gives the memory of volumes back. May be repeated.
  void release(std::function<void(base::Status)> done);

  /// Adds the container's volumeMounts, subPath resolved. NotFound: no such volume;
  /// InvalidArgument: a subPath that leads out of its volume.
  base::Status add_mounts(const base::Json& container, const Environment& env,
                          std::vector<Mount>& mounts);

 private:
  base::Status write(const PodInputs& inputs, std::vector<VolumePlan>& plans);
  void note_shown(const PodInputs& inputs);
  void show();

  AgentContext& context_;
  PodPaths paths_;
  const PodRecord& record_;
  std::function<void(const base::Status&)> failed_;  ///< set while following
  std::map<client::ObjectKey, uint64_t> shown_;      ///< revisions; 0: it was not there
  std::vector<ObjectWatches::Handle> watches_;
  bool is_showing_ = false, is_outdated_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// `sub_path` below the directory `root`, made with `mode` where it is not there. InvalidArgument
/// where it leads out of `root`, by "..", or by a link that a container has put there.
base::Result<std::string> resolve_sub_path(world::Files& files, const std::string& root,
                                           const std::string& sub_path, uint32_t mode);

}  // namespace pelton::agent
