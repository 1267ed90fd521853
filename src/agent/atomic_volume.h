// SPDX-License-Identifier: Apache-2.0
// The content of a configMap, secret, projected or downwardAPI volume, changed in one step.
//
// As a kubelet lays it out: the files stand in a directory whose name tells when it was made,
// `..data` is a link to it, and every name that a container looks at is a link through `..data`:
//
//   ..2026_11_25_07_50_00.9a3c…/color    ..data -> ..2026_…    color -> ..data/color
//
// An update makes a new directory and moves `..data` over to it, so that a program sees all files
// old or all new, and whoever waits for a change watches `..data`.
#pragma once
#include <string>
#include <vector>

#include "agent/pod_inputs.h"
#include "base/status.h"
#include "base/time.h"
#include "world/files.h"

namespace pelton::agent {

/// Makes the volume at `root` hold exactly `content`; gives whether that changed anything. May be
/// repeated, also after it was cut short. On an error the former content is still there.
base::Result<bool> write_atomic_volume(world::Files& files, const std::string& root,
                                       const std::vector<VolumeFile>& content, base::Instant now);

}  // namespace pelton::agent
