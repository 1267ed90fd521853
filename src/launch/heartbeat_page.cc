// SPDX-License-Identifier: Apache-2.0
#include "launch/heartbeat_page.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace pelton::launch {
namespace {

constexpr size_t kWrittenAt = 32;
constexpr size_t kAnswerAt = 56;
constexpr int64_t kNsPerMs = 1'000'000;

template <typename T>
T value_at(std::string_view page, size_t offset) {
  T value;
  std::memcpy(&value, page.data() + offset, sizeof value);
  return value;
}

template <typename T>
void put(std::string& page, size_t offset, T value) {
  std::memcpy(page.data() + offset, &value, sizeof value);
}

/// The count, such that what is read afterwards is at least as new as it says.
uint64_t written_in(std::string_view page) {
  const auto written = value_at<uint64_t>(page, kWrittenAt);
  std::atomic_thread_fence(std::memory_order_acquire);
  return written;
}

}  // namespace

std::string make_page(int64_t generation, int rank) {
  std::string page(kPageSize, '\0');
  std::copy(kPageMagic.begin(), kPageMagic.end(), page.begin());
  put(page, 8, kPageVersion);
  put(page, 12, kPageCapacity);
  put(page, 16, generation);
  put(page, 24, static_cast<int32_t>(rank));
  return page;
}

std::string save_request(base::Instant by) {
  std::string word(sizeof(int64_t), '\0');
  put(word, 0, by.unix_ns() / kNsPerMs);
  return word;
}

std::string may_agree() {
  std::string word(sizeof(int64_t), '\0');
  put(word, 0, int64_t{1});
  return word;
}

SaveAnswer save_answer_in(std::string_view page) {
  const int64_t answer = page.size() < kPageHeader ? 0 : value_at<int64_t>(page, kAnswerAt);
  return {.is_looking = answer > 0, .saved_step = answer >= 2 ? answer - 2 : -1};
}

std::optional<base::Instant> save_request_in(std::string_view page) {
  const int64_t by = page.size() < kPageHeader ? 0 : value_at<int64_t>(page, kPageAsks);
  if (by <= 0 || by > INT64_MAX / kNsPerMs) return std::nullopt;
  return base::Instant::from_unix_ns(by * kNsPerMs);
}

Tick tick_in(std::string_view page) {
  if (page.size() < kPageSize) return {};
  return {.at_ns = value_at<int64_t>(page, kPageTicks),
          .collects_garbage = value_at<int64_t>(page, kPageTicks + 8) != 0};
}

int writer_of(std::string_view page) {
  return page.size() < kPageHeader ? 0 : value_at<int32_t>(page, 28);
}

base::Status PageReader::check(std::string_view page, int64_t generation, int rank) {
  if (page.size() < kPageSize || page.substr(0, kPageMagic.size()) != kPageMagic ||
      value_at<uint32_t>(page, 8) != kPageVersion ||
      value_at<uint32_t>(page, 12) != kPageCapacity) {
    return base::invalid_argument("not a heartbeat page of version " +
                                  std::to_string(kPageVersion));
  }
  if (value_at<int64_t>(page, 16) != generation || value_at<int32_t>(page, 24) != rank) {
    return base::invalid_argument("the heartbeat page of another generation or rank");
  }
  return base::ok();
}

void PageReader::read(std::string_view page, std::vector<Beat>& beats) {
  if (page.size() < kPageSize) return;
  const uint64_t written = written_in(page);
  if (written <= next_) return;  // nothing new; or nonsense: a count never falls
  const uint64_t begin = std::max(next_, written - std::min<uint64_t>(written, kPageCapacity));
  const size_t first = beats.size();
  uint64_t kept_from = begin;
  for (uint64_t i = begin; i < written; ++i) {
    const size_t slot = kPageHeader + kPageRecord * static_cast<size_t>(i % kPageCapacity);
    const Beat beat{.at_ns = value_at<int64_t>(page, slot + 8),
                    .step = value_at<int64_t>(page, slot + 16),
                    .phase = Phase{value_at<uint32_t>(page, slot + 24)}};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (value_at<uint64_t>(page, slot) != i + 1) {  // overwritten, or torn: so is all before it
      beats.resize(first);
      kept_from = i + 1;
      continue;
    }
    beats.push_back(beat);
  }
  // The record after the last counted one may be half written, over the oldest.
  const uint64_t again = std::max(written_in(page), written);
  const uint64_t safe_from = again < kPageCapacity ? 0 : again - kPageCapacity + 1;
  if (safe_from > kept_from) {
    const uint64_t drop = std::min<uint64_t>(safe_from - kept_from, beats.size() - first);
    beats.erase(beats.begin() + static_cast<std::ptrdiff_t>(first),
                beats.begin() + static_cast<std::ptrdiff_t>(first + drop));
  }
  lost_ += written - next_ - (beats.size() - first);
  next_ = written;
}

}  // namespace pelton::launch
