// SPDX-License-Identifier: Apache-2.0
#include "control/plan.h"

#include "control/gang_bind.h"
#include "decide/placement/observed.h"

namespace pelton::control {

using base::Json;

namespace {

struct Describe {
  std::string operator()(const Create& c) const {
    return "Create " + client::key_of(c.object).to_string();
  }
  std::string operator()(const Update& c) const {
    return "Update " + client::key_of(c.object).to_string();
  }
  std::string operator()(const UpdateStatus& c) const {
    return "UpdateStatus " + client::key_of(c.object).to_string();
  }
  std::string operator()(const Finalize& c) const {
    return "Finalize " + client::key_of(c.object).to_string();
  }
  std::string operator()(const Patch& c) const {
    return "Patch " + c.key.to_string() + (c.subresource.empty() ? "" : "/" + c.subresource);
  }
  std::string operator()(const Delete& c) const { return "Delete " + c.key.to_string(); }
  std::string operator()(const ConfirmAbsent& c) const {
    return "ConfirmAbsent " + c.key.to_string();
  }
  std::string operator()(const Bind& c) const {
    return "Bind Pod " + c.namespace_name + "/" + c.binding.pod_name + " to " + c.binding.node_name;
  }
  std::string operator()(const GangBind& c) const {
    return "GangBind " + c.namespace_name + "/" + c.gang_name + " (" +
           std::to_string(c.bindings.size()) + " pods)";
  }
  std::string operator()(const CreateMachine& c) const { return "CreateMachine " + c.node_name; }
  std::string operator()(const EmitEvent& c) const {
    return "EmitEvent " + c.reason + " about " + c.regarding["kind"].as_string() + " " +
           c.regarding["namespace"].as_string() + "/" + c.regarding["name"].as_string();
  }
};

}  // namespace

std::string describe(const Command& command) {
  return std::visit(Describe{}, command);
}

std::vector<Command> record_then_bind(const GangBind& gang) {
  std::vector<Command> commands;
  for (const PodBinding& binding : gang.bindings) {
    Patch note;
    note.key = {"Pod", gang.namespace_name, binding.pod_name};
    note.uid = binding.pod_uid;
    note.patch.make("metadata.annotations")
        .set(decide::placement::kPlannedNodeAnnotation, binding.node_name);
    commands.emplace_back(std::move(note));
  }
  for (const PodBinding& binding : gang.bindings) {
    commands.emplace_back(Bind{gang.namespace_name, binding});
  }
  return commands;
}

}  // namespace pelton::control
