// SPDX-License-Identifier: Apache-2.0
// Points in time and spans of time, with the unit in the type.
//
// An Instant comes from world::Clock or from an API object; nothing in base/ reads a clock.
// Resolution is a nanosecond, range about +-292 years around 1970.
#pragma once
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/status.h"

namespace pelton::base {

/// A signed span of time.
class Duration {
 public:
  constexpr Duration() = default;
  static constexpr Duration nanoseconds(int64_t n) { return Duration(n); }
  static constexpr Duration microseconds(int64_t n) { return Duration(n * 1'000); }
  static constexpr Duration milliseconds(int64_t n) { return Duration(n * 1'000'000); }
  static constexpr Duration seconds(int64_t n) { return Duration(n * 1'000'000'000); }
  static constexpr Duration minutes(int64_t n) { return seconds(n * 60); }
  static constexpr Duration hours(int64_t n) { return seconds(n * 3600); }
  static constexpr Duration max() { return Duration(INT64_MAX); }

  constexpr int64_t ns() const { return ns_; }
  constexpr int64_t ms() const { return ns_ / 1'000'000; }
  constexpr double to_seconds() const { return static_cast<double>(ns_) * 1e-9; }

  friend constexpr auto operator<=>(Duration, Duration) = default;
  friend constexpr Duration operator+(Duration a, Duration b) { return Duration(a.ns_ + b.ns_); }
  friend constexpr Duration operator-(Duration a, Duration b) { return Duration(a.ns_ - b.ns_); }
  friend constexpr Duration operator*(Duration a, int64_t k) { return Duration(a.ns_ * k); }
  friend constexpr Duration operator/(Duration a, int64_t k) { return Duration(a.ns_ / k); }

 private:
  constexpr explicit Duration(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z (UTC, no leap seconds).
class Instant {
 public:
  constexpr Instant() = default;
  static constexpr Instant from_unix_ns(int64_t ns) { return Instant(ns); }
  static constexpr Instant from_unix_seconds(int64_t s) { return Instant(s * 1'000'000'000); }
  static constexpr Instant max() { return Instant(INT64_MAX); }

  constexpr int64_t unix_ns() const { return ns_; }
  constexpr int64_t unix_seconds() const { return ns_ / 1'000'000'000; }

  friend constexpr auto operator<=>(Instant, Instant) = default;
  friend constexpr Instant operator+(Instant t, Duration d) { return Instant(t.ns_ + d.ns()); }
  friend constexpr Instant operator-(Instant t, Duration d) { return Instant(t.ns_ - d.ns()); }
  friend constexpr Duration operator-(Instant a, Instant b) {
    return Duration::nanoseconds(a.ns_ - b.ns_);
  }

 private:
  constexpr explicit Instant(int64_t ns) : ns_(ns) {}
  int64_t ns_ = 0;
};

/// "2026-01-02T03:04:05Z": metav1.Time, fractions dropped.
std::string format_time(Instant t);
/// "2026-01-02T03:04:05.000006Z": metav1.MicroTime.
std::string format_micro_time(Instant t);
/// Reads RFC 3339 with any fraction and offset. InvalidArgument says what is wrong.
Result<Instant> parse_time(std::string_view text);
/// As kubectl shows ages: "5s", "2m30s", "3h", "4d5h".
std::string format_age(Duration d);

}  // namespace pelton::base
