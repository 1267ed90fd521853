// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/data_directory.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "launch/python_package.h"
#include "os/os_world.h"

namespace pelton::cli {

int run_python_path(int argc, char** argv) {
  std::string directory = default_data_directory();
  Options options("pelton python-path",
                  "Writes the Python package that this executable carries, and prints what to put "
                  "on PYTHONPATH.\n`pelton run` does that for its workers by itself.",
                  "  PYTHONPATH=$(pelton python-path) python -c 'import pelton'\n");
  options.text("--directory", directory, "where to write it", Values::directories());
  if (auto code = options.parse(argc, argv)) return *code;
  auto os = os::make_world();
  if (!os.ok()) {
    fmt::print(stderr, "pelton python-path: {}\n", os.status().message());
    return 1;
  }
  world::Files& files = (*os)->world().files;
  base::Status made = files.make_directories(directory);
  auto path = made.ok() ? launch::write_python_package(files, directory) : made;
  if (path.ok()) path = files.real_path(*path);
  if (!path.ok()) {
    fmt::print(stderr, "pelton python-path: --directory {}: {}\n", directory,
               path.status().message());
    return 1;
  }
  fmt::print("{}\n", *path);
  return 0;
}

}  // namespace pelton::cli
