// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/decision.h"

#include <algorithm>

namespace pelton::decide::workload {
namespace {

Action make_action(Action::Verb verb, base::Json object, std::string why) {
  Action action;
  action.verb = verb;
  action.object = std::move(object);
  action.why = std::move(why);
  return action;
}

}  // namespace

Action& Decision::create(base::Json object, std::string why) {
  return actions.emplace_back(make_action(Action::Verb::Create, std::move(object), std::move(why)));
}

Action& Decision::update(base::Json object, std::string why) {
  return actions.emplace_back(make_action(Action::Verb::Update, std::move(object), std::move(why)));
}

Action& Decision::update_status(base::Json object, std::string why) {
  return actions.emplace_back(
      make_action(Action::Verb::UpdateStatus, std::move(object), std::move(why)));
}

Action& Decision::remove(const base::Json& object, std::string why) {
  Action action = make_action(Action::Verb::Delete, nullptr, std::move(why));
  action.target = api::ref_of(object);
  return actions.emplace_back(std::move(action));
}

void Decision::look_again_in(base::Duration delay) {
  delay = std::max(delay, base::Duration());
  look_again = look_again ? std::min(*look_again, delay) : delay;
}

void Decision::note(const base::Json& about, std::string type, std::string reason,
                    std::string message) {
  Action action;
  action.verb = Action::Verb::Note;
  action.note = {api::make_object_reference(about), std::move(type), std::move(reason),
                 std::move(message)};
  actions.push_back(std::move(action));
}

}  // namespace pelton::decide::workload
