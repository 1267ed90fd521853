// SPDX-License-Identifier: Apache-2.0
// What this process was given: its environment, and where it runs. For the commands in cli/.
#pragma once
#include <map>
#include <string>

namespace pelton::os {

/// All variables of the environment; the first wins where a name stands twice.
std::map<std::string, std::string> environment();
/// The host's name, in a pod the pod's.
std::string hostname();
/// CPUs that this process may run on; at least 1.
int cpu_count();

}  // namespace pelton::os
