// SPDX-License-Identifier: Apache-2.0
#include "control/workload_plan.h"

#include <algorithm>
#include <utility>

namespace pelton::control {
namespace {

using decide::workload::Action;

Command to_command(Action action) {
  switch (action.verb) {
    case Action::Verb::Create:
      return Create{std::move(action.object)};
    case Action::Verb::Update:
      return Update{std::move(action.object)};
    case Action::Verb::UpdateStatus:
      return UpdateStatus{std::move(action.object)};
    case Action::Verb::Finalize:
      return Finalize{std::move(action.object)};
    case Action::Verb::Note:
      return EmitEvent{std::move(action.note.about), action.note.type == "Warning",
                       std::move(action.note.reason), std::move(action.note.message)};
    case Action::Verb::Delete:
      break;
  }
  Delete command;
  command.key = {action.target.gvk.kind, action.target.namespace_name, action.target.name};
  command.uid = action.target.uid;
  command.resource_version = action.resource_version;
  command.grace_period_seconds = action.grace_seconds;
  command.propagation_policy = action.propagation;
  return command;
}

}  // namespace

Plan to_plan(decide::workload::Decision decision) {
  Plan plan;
  append(plan, std::move(decision));
  return plan;
}

void append(Plan& plan, decide::workload::Decision decision) {
  for (Action& action : decision.actions) {
    if (plan.reason.empty()) plan.reason = action.why;
    plan.commands.push_back(to_command(std::move(action)));
  }
  if (plan.reason.empty()) plan.reason = decision.why;
  if (!decision.look_again) return;
  plan.requeue_after = plan.requeue_after ? std::min(*plan.requeue_after, *decision.look_again)
                                          : *decision.look_again;
}

}  // namespace pelton::control
