// SPDX-License-Identifier: Apache-2.0
#include "agent/atomic_volume.h"

#include <fmt/format.h>

#include <set>

#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr uint32_t kModeDirectory = 0755;
constexpr const char* kData = "..data";
constexpr const char* kNewData = "..data_tmp";

/// Tells one content from another, so that an unchanged one is found without reading it.
std::string digest_of(const std::vector<VolumeFile>& content) {
  uint64_t digest = 0;
  for (const VolumeFile& file : content) {
    digest = base::hash64(file.path, digest);
    digest = base::hash64(file.bytes, digest);
    digest = base::hash64(std::to_string(file.mode), digest);
  }
  return fmt::format("{:016x}", digest);
}

/// "..2026_11_25_07_50_00.DIGEST"
std::string directory_name(base::Instant now, const std::string& digest) {
  std::string stamp = base::format_time(now);
  stamp.pop_back();  // the Z
  for (char& c : stamp) {
    if (c == '-' || c == ':' || c == 'T') c = '_';
  }
  return ".." + stamp + "." + digest;
}

std::string first_part(const std::string& path) {
  return path.substr(0, path.find('/'));
}

/// The directory that is shown now; "" where there is none yet.
std::string current_directory(world::Files& files, const std::string& root) {
  const auto path = files.real_path(root + "/" + kData);
  return path.ok() ? path->substr(path->rfind('/') + 1) : "";
}

base::Status write_directory(world::Files& files, const std::string& directory,
                             const std::vector<VolumeFile>& content) {
  PELTON_TRY(files.remove_tree(directory));
  PELTON_TRY(files.make_directories(directory));
  PELTON_TRY(files.set_mode(directory, kModeDirectory));
  for (const VolumeFile& file : content) {
    for (size_t at = file.path.find('/'); at != std::string::npos;
         at = file.path.find('/', at + 1)) {
      const std::string above = directory + "/" + file.path.substr(0, at);
      PELTON_TRY(files.make_directories(above));
      PELTON_TRY(files.set_mode(above, kModeDirectory));
    }
    PELTON_TRY(files.replace(directory + "/" + file.path, file.bytes));
    PELTON_TRY(files.set_mode(directory + "/" + file.path, file.mode));
  }
  return base::ok();
}

/// Every name of the content has its link and every other name goes, older content included.
base::Status settle_names(world::Files& files, const std::string& root,
                          const std::vector<VolumeFile>& content, const std::string& current) {
  std::set<std::string> wanted;
  for (const VolumeFile& file : content) wanted.insert(first_part(file.path));
  PELTON_ASSIGN(const auto entries, files.list(root));
  std::set<std::string> present;
  for (const auto& entry : entries) {
    present.insert(entry.name);
    if (wanted.contains(entry.name) || entry.name == kData || entry.name == current) continue;
    PELTON_TRY(files.remove_tree(root + "/" + entry.name));
  }
  for (const std::string& name : wanted) {
    if (present.contains(name)) continue;
    PELTON_TRY(files.make_link(std::string(kData) + "/" + name, root + "/" + name));
  }
  return base::ok();
}

}  // namespace

base::Result<bool> write_atomic_volume(world::Files& files, const std::string& root,
                                       const std::vector<VolumeFile>& content, base::Instant now) {
  PELTON_TRY(files.make_directories(root));
  PELTON_TRY(files.set_mode(root, kModeDirectory));
  const std::string digest = digest_of(content);
  std::string current = current_directory(files, root);
  const bool is_changed = !current.ends_with("." + digest);
  if (is_changed) {
    const std::string fresh = directory_name(now, digest);
    PELTON_TRY(write_directory(files, root + "/" + fresh, content));
    PELTON_TRY(files.remove_tree(root + "/" + kNewData));
    PELTON_TRY(files.make_link(fresh, root + "/" + kNewData));
    PELTON_TRY(files.rename(root + "/" + kNewData, root + "/" + kData));
    current = fresh;
  }
  PELTON_TRY(settle_names(files, root, content, current));
  return is_changed;
}

}  // namespace pelton::agent
