// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/agree.h"

namespace pelton::checkpoint {

base::Result<std::string> agree(world::Files& files, const std::string& path,
                                const std::string& who, const std::string& mine) {
  const size_t slash = path.rfind('/');
  const std::string directory = path.substr(0, slash);
  PELTON_TRY(files.make_directories(directory));
  if (!files.exists(path)) {
    const std::string temporary = directory + "/." + path.substr(slash + 1) + "-" + who;
    if (files.exists(temporary)) PELTON_TRY(files.remove(temporary));
    PELTON_ASSIGN(const auto file, files.open(temporary, world::OpenMode::CreateNew));
    PELTON_TRY(file->write_at(0, mine));
    const base::Status linked = files.link(temporary, path);
    files.remove(temporary).ignore("it holds a line");
    if (!linked.ok() && linked.code() != base::Code::AlreadyExists) return linked;
  }
  return files.read(path);
}

}  // namespace pelton::checkpoint
