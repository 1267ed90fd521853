// SPDX-License-Identifier: Apache-2.0
// `pelton container-shim DIRECTORY` (hidden): the process between an agent and one container.
#pragma once

namespace pelton::cli {

/// argv[0] is "container-shim". Returns 0 when the container's end is recorded, else 1.
int run_container_shim(int argc, char** argv);

}  // namespace pelton::cli
