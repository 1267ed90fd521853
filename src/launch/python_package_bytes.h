// SPDX-License-Identifier: Apache-2.0
// The archive that the build makes of python/ (cmake/embed.cmake).
#pragma once
#include <cstddef>

namespace pelton::launch {

extern const unsigned char kPythonPackage[];
extern const size_t kPythonPackageBytes;

}  // namespace pelton::launch
