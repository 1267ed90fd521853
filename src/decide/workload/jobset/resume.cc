// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/jobset/resume.h"

#include <algorithm>

namespace pelton::decide::workload {
namespace {

using base::Json;

void merge_map(Json& owner, std::string_view name, const Json& from) {
  if (from.empty()) return;
  Json& target = owner.child(name);
  for (const auto& member : from.members()) target.set(member.name, member.value);
}

void unite_list(Json& owner, std::string_view name, const Json& from) {
  if (from.empty()) return;
  Json& target = owner.child(name);
  for (const Json& item : from.items()) {
    const auto& have = target.items();
    if (std::find(have.begin(), have.end(), item) == have.end()) target.push_back(item);
  }
}

}  // namespace

void resume_job(const Json& job, const Json& pod_template, Decision& out) {
  Json next = job;
  if (job["status"].contains("startTime")) {
    next.child("status").erase("startTime");
    out.update_status(std::move(next), "a resumed Job starts anew");
    return;
  }
  next.child("spec").set("suspend", false);
  Json& metadata = next.make("spec.template.metadata");
  merge_map(metadata, "labels", pod_template["metadata"]["labels"]);
  merge_map(metadata, "annotations", pod_template["metadata"]["annotations"]);
  Json& spec = next.make("spec.template.spec");
  merge_map(spec, "nodeSelector", pod_template["spec"]["nodeSelector"]);
  unite_list(spec, "tolerations", pod_template["spec"]["tolerations"]);
  unite_list(spec, "schedulingGates", pod_template["spec"]["schedulingGates"]);
  out.update(std::move(next), "the JobSet is no longer suspended");
}

}  // namespace pelton::decide::workload
