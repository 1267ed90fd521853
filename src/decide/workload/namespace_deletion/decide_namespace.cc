// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/namespace_deletion/decide_namespace.h"

#include <fmt/format.h>

#include "api/object.h"

namespace pelton::decide::workload {
namespace {

using base::Json;

constexpr std::string_view kFinalizer = "kubernetes";

bool holds_finalizer(const Json& object) {
  for (const Json& item : object["spec"]["finalizers"].items()) {
    if (item.as_string() == kFinalizer) return true;
  }
  return false;
}

Json finalized(Json object) {
  Json kept = Json::array();
  for (const Json& item : object["spec"]["finalizers"].items()) {
    if (item.as_string() != kFinalizer) kept.push_back(item);
  }
  object.child("spec").set("finalizers", std::move(kept));
  return object;
}

}  // namespace

Decision decide_namespace(const NamespaceObserved& observed) {
  Decision out;
  const Json& object = *observed.object;
  if (!api::is_being_deleted(object) || !holds_finalizer(object)) return out;
  for (const Json* content : observed.contents) {
    if (api::is_being_deleted(*content)) continue;
    out.remove(*content, "its namespace is being deleted").propagation = "Background";
  }
  if (!observed.contents.empty()) {
    out.why = fmt::format("waits until {} objects in it are gone", observed.contents.size());
  } else if (!observed.is_complete) {
    out.why = "waits until the views are newer than its deletion";
    out.look_again_in(base::Duration::milliseconds(500));
  } else {
    Action action;
    action.verb = Action::Verb::Finalize;
    action.object = finalized(object);
    action.why = "nothing is left in it";
    out.actions.push_back(std::move(action));
  }
  return out;
}

}  // namespace pelton::decide::workload
