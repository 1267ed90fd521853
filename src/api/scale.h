// SPDX-License-Identifier: Apache-2.0
// The scale subresource: any object with replicas seen as one autoscaling/v1 Scale, and a Scale
// written back. Which fields they are is given by paths, so that it serves every kind. Pure.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// Where an object keeps its replicas: names with dots before them, ".spec.replicas".
struct ScalePaths {
  std::string spec_replicas;
  std::string status_replicas;
  std::string selector;  ///< to a selector as text, or ""
};

/// The Scale of the object. Absent replicas count as 0.
base::Json scale_of(const base::Json& object, const ScalePaths& paths);

/// `object` with the replicas that the Scale asks for. BadRequest where it does not say how many or
/// is of another kind; Invalid where they are fewer than none.
base::Result<base::Json> with_scale(const base::Json& object, const base::Json& scale,
                                    const ScalePaths& paths);

}  // namespace pelton::api
