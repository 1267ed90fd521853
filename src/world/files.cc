// SPDX-License-Identifier: Apache-2.0
#include "world/files.h"

#include <algorithm>

namespace pelton::world {

base::Result<size_t> File::read_into(uint64_t offset, char* to, size_t size) {
  PELTON_ASSIGN(const std::string bytes, read_at(offset, size));
  std::copy(bytes.begin(), bytes.end(), to);
  return bytes.size();
}

base::Result<std::string> Files::read(const std::string& path) {
  PELTON_ASSIGN(auto file, open(path, OpenMode::Read));
  std::string bytes;
  for (;;) {
    PELTON_ASSIGN(std::string part, file->read_at(bytes.size(), size_t{1} << 20));
    if (part.empty()) return bytes;  // files of /proc have no size: read until the end
    bytes += part;
  }
}

base::Status Files::replace(const std::string& path, std::string_view bytes) {
  const std::string temporary = path + ".new";
  {
    PELTON_ASSIGN(auto file, open(temporary, OpenMode::ReadWrite));
    PELTON_TRY(file->truncate(0));
    PELTON_TRY(file->write_at(0, bytes));
  }
  return rename(temporary, path);
}

}  // namespace pelton::world
