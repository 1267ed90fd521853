// SPDX-License-Identifier: Apache-2.0
#include "decide/checkpoint/retry.h"

#include <algorithm>

namespace pelton::decide::checkpoint {
namespace {

using base::Duration;

constexpr Duration kFirst = Duration::milliseconds(100), kMost = Duration::seconds(8);
constexpr int kSlowerWhenAsked = 5;

}  // namespace

std::optional<Duration> decide_again(const Tried& tried, Duration patience) {
  const bool is_too_much = tried.status == 429 || tried.status == 503;
  // 409: two conditional writes of one key at the same moment, of which none has won yet.
  const bool is_transient = tried.status == 0 || tried.status == 408 || tried.status == 409 ||
                            is_too_much || (tried.status >= 500 && tried.status != 501) ||
                            tried.is_transient;
  if (!is_transient) return std::nullopt;
  const Duration grown = kFirst * (int64_t{1} << std::min(tried.tries - 1, 10));
  Duration delay = std::min(is_too_much ? grown * kSlowerWhenAsked : grown, kMost);
  // Half of it for certain, up to the whole by chance.
  const double part = 0.5 + 0.5 * static_cast<double>(tried.jitter % 1024) / 1024;
  delay = Duration::nanoseconds(static_cast<int64_t>(static_cast<double>(delay.ns()) * part));
  delay = std::max(delay, tried.asked);
  if (tried.elapsed + delay > patience) return std::nullopt;
  return delay;
}

}  // namespace pelton::decide::checkpoint
