// SPDX-License-Identifier: Apache-2.0
#include "agent/log_files.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr std::string_view kPrefix = "log.";

int64_t newest(const std::vector<int64_t>& numbers) {
  return numbers.empty() ? 0 : numbers.back();
}

std::string numbered(const ContainerPaths& paths, int64_t number) {
  return paths.log() + "." + std::to_string(number);
}

}  // namespace

std::vector<int64_t> rotated_logs(world::Files& files, const ContainerPaths& paths) {
  std::vector<int64_t> numbers;
  const auto entries = files.list(paths.directory);
  if (!entries.ok()) return numbers;
  for (const auto& entry : *entries) {
    if (!entry.name.starts_with(kPrefix)) continue;
    const auto number = base::parse_int(entry.name.substr(kPrefix.size()));
    if (number.ok()) numbers.push_back(*number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

base::Status LogAppender::open() {
  PELTON_ASSIGN(file_, files_.open(paths_.log(), world::OpenMode::ReadWrite));
  PELTON_ASSIGN(size_, file_->size());
  return base::ok();
}

base::Status LogAppender::append(std::string_view records) {
  if (size_ > 0 && size_ + records.size() > limits_.max_bytes) PELTON_TRY(rotate());
  PELTON_TRY(file_->write_at(size_, records));
  size_ += records.size();
  return base::ok();
}

base::Status LogAppender::rotate() {
  const auto numbers = rotated_logs(files_, paths_);
  PELTON_TRY(files_.rename(paths_.log(), numbered(paths_, newest(numbers) + 1)));
  PELTON_TRY(open());
  const auto kept = static_cast<size_t>(std::max(limits_.max_files - 2, 0));  // beside these two
  for (size_t i = 0; i + kept < numbers.size(); ++i) {
    files_.remove(numbered(paths_, numbers[i])).ignore("it goes with the next rotation");
  }
  return base::ok();
}

bool LogFollower::open() {
  return open_after(-1);
}

/// The file that comes after log.`number`, or `log` for -1. While it is looked for, the log may be
/// rotated again: what was opened is only kept where nothing has changed meanwhile.
bool LogFollower::open_after(int64_t number) {
  for (;;) {
    const auto before = rotated_logs(files_, paths_);
    const auto next = std::upper_bound(before.begin(), before.end(), number);
    const bool is_newest = number < 0 || next == before.end();
    auto file =
        files_.open(is_newest ? paths_.log() : numbered(paths_, *next), world::OpenMode::Read);
    if (rotated_logs(files_, paths_) != before) continue;
    if (!file.ok()) return false;
    file_ = std::move(file).value();
    offset_ = 0;
    number_ = is_newest ? newest(before) + 1 : *next;
    return true;
  }
}

base::Result<std::string> LogFollower::read(size_t size) {
  for (;;) {
    // Asked before reading: what was rotated away by now is complete.
    const bool is_complete = newest(rotated_logs(files_, paths_)) >= number_;
    PELTON_ASSIGN(std::string bytes, file_->read_at(offset_, size));
    offset_ += bytes.size();
    if (!bytes.empty() || !is_complete) return bytes;
    if (!open_after(number_)) return bytes;
  }
}

}  // namespace pelton::agent
