// SPDX-License-Identifier: Apache-2.0
// What a pod's containers may use together. Pure.
#pragma once
#include <cstdint>
#include <string>

#include "base/json.h"

namespace pelton::agent {

struct PodLimit {
  int64_t amount = 0;        ///< of the containers that state a limit; cpu in thousandths
  bool is_complete = false;  ///< every container states one: together they cannot take more
};
/// `resource`: "cpu" or "memory". The larger of what runs together (sidecars included) and what
/// starting up takes at most.
PodLimit pod_limit(const base::Json& pod, const std::string& resource);

/// A limit or request of one container; 0 where it states none. cpu in thousandths.
int64_t container_amount(const base::Json& container, const char* limits_or_requests,
                         const std::string& resource);

}  // namespace pelton::agent
