// SPDX-License-Identifier: Apache-2.0
// Names of the running cluster's objects, for completion in the shell.
#pragma once
#include <string>

#include "cli/completion.h"

namespace pelton::cli {

/// The objects of one kind in the cluster of `data_dir`; of all namespaces where `namespace_name`
/// is empty. Both are read when a name is being typed, and have to live until then. A cluster that
/// is not there, or does not answer within a second, has no names.
Values live_names(std::string kind, const std::string& data_dir, const std::string& namespace_name);
/// The same of a kind without namespaces.
Values live_names(std::string kind, const std::string& data_dir);

}  // namespace pelton::cli
