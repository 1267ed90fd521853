// SPDX-License-Identifier: Apache-2.0
#include "decide/placement/unschedulable.h"

#include "api/object.h"

namespace pelton::decide::placement {

bool is_unschedulable(const base::Json& pod) {
  if (!pod["spec"]["nodeName"].as_string().empty()) return false;
  const base::Json* scheduled = api::find_condition(pod, "PodScheduled");
  return scheduled != nullptr && (*scheduled)["status"].as_string() == "False" &&
         (*scheduled)["reason"].as_string() == "Unschedulable";
}

}  // namespace pelton::decide::placement
