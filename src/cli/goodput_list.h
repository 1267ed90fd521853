// SPDX-License-Identifier: Apache-2.0
// The goodput of several JobSets: a table for people and a list for programs. Pure.
#pragma once
#include <string>
#include <vector>

#include "base/json.h"
#include "decide/goodput/job_metrics.h"

namespace pelton::cli {

/// One line per job, in the order given; ASCII only. Empty where there are none.
std::string goodput_table(const std::vector<decide::goodput::JobMetrics>& jobs,
                          bool has_namespaces);

/// {"items": […]}, each as `pelton goodput jobset/NAME -o json` says it, with name, namespace and
/// state; a job that has not begun has nothing but these.
base::Json goodput_list(const std::vector<decide::goodput::JobMetrics>& jobs);

}  // namespace pelton::cli
