// SPDX-License-Identifier: Apache-2.0
// Makes what a pod's containers share, and the order for one container: the acting half of
// pod_inputs.h and sandbox_command.h.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agent/agent_context.h"
#include "agent/container_record.h"
#include "agent/pod_inputs.h"
#include "agent/pod_record.h"
#include "agent/pod_supervision.h"
#include "agent/pod_volumes.h"

namespace pelton::agent {

class PodSandbox {
 public:
  /// `record` must outlive it. `supervision_changed`: its condition is another. Callbacks do not
  /// come after its end.
  PodSandbox(AgentContext& context, const PodPaths& paths, const PodRecord& record,
             std::function<void()> supervision_changed);

  /// Volumes, what a supervisor needs, the files of /etc, then the pod's namespaces with its
  /// address. May be repeated. An error says in its reason() what a kubelet would call it:
  /// FailedMount, FailedCreatePodSandBox.
  void prepare(std::function<void(base::Status)> done);
  void tear_down(std::function<void(base::Status)> done);
  PodVolumes& volumes() { return volumes_; }
  PodSupervision& supervision() { return supervision_; }
  const PodSupervision& supervision() const { return supervision_; }
  /// Whether the namespaces are there, whoever made them.
  bool has_namespaces() const;

  /// What the container's shim is to run. An error's reason() is why the container waits:
  /// ErrImagePull, CreateContainerConfigError, RunContainerError.
  void make_order(const base::Json& container, int attempt,
                  std::function<void(base::Result<ShimOrder>)> done);

 private:
  void fetch_inputs(std::function<void(base::Result<PodInputs>)> done);
  void attach(std::function<void(base::Status)> done);
  base::Status make_etc();
  base::Result<ShimOrder> order_of(const base::Json& container, int attempt, const ImageRule& image,
                                   const RootTree& root, const PodInputs& inputs);
  base::Status add_image(const ImageRule& image, SandboxSpec& spec, Environment& env);
  base::Status add_termination_message(const base::Json& container, int attempt, SandboxSpec& spec);
  void add_identity(SandboxSpec& spec, const base::Json& container);

  AgentContext& context_;
  PodPaths paths_;
  const PodRecord& record_;
  PodVolumes volumes_;
  PodSupervision supervision_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
