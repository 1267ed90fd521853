// SPDX-License-Identifier: Apache-2.0
#include "launch/python_package.h"

#include <string_view>

#include "launch/python_package_bytes.h"

namespace pelton::launch {

base::Result<std::string> write_python_package(world::Files& files, const std::string& directory) {
  const std::string path = directory + "/pelton-python.zip";
  const std::string_view bytes(reinterpret_cast<const char*>(kPythonPackage), kPythonPackageBytes);
  if (base::Status status = files.replace(path, bytes); !status.ok()) return status;
  if (base::Status status = files.set_mode(path, 0644); !status.ok()) return status;
  return path;
}

}  // namespace pelton::launch
