// SPDX-License-Identifier: Apache-2.0
#include "base/time.h"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace pelton::base {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

struct Civil {
  int64_t year;
  unsigned month, day;
};

// Days since 1970-01-01 of a civil date, and back: eras of 400 years that begin in March, so that
// the leap day is the last of its year.
int64_t days_from_civil(Civil c) {
  const int64_t y = c.month <= 2 ? c.year - 1 : c.year;
  const int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (c.month > 2 ? c.month - 3 : c.month + 9) + 2) / 5 + c.day - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<int64_t>(doe) - 719468;
}

Civil civil_from_days(int64_t days) {
  days += 719468;
  const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
  const auto doe = static_cast<unsigned>(days - era * 146097);
  const unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  const unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
  const unsigned mp = (5 * doy + 2) / 153;
  const unsigned month = mp < 10 ? mp + 3 : mp - 9;
  return {static_cast<int64_t>(yoe) + era * 400 + (month <= 2 ? 1 : 0), month,
          doy - (153 * mp + 2) / 5 + 1};
}

struct Split {
  Civil date;
  int64_t second_of_day;
  int64_t ns;
};

Split split(Instant t) {
  int64_t seconds = t.unix_ns() / 1'000'000'000;
  int64_t ns = t.unix_ns() % 1'000'000'000;
  if (ns < 0) ns += 1'000'000'000, --seconds;
  int64_t days = seconds / kSecondsPerDay;
  int64_t rest = seconds % kSecondsPerDay;
  if (rest < 0) rest += kSecondsPerDay, --days;
  return {civil_from_days(days), rest, ns};
}

std::string format_prefix(const Split& s) {
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", s.date.year, s.date.month, s.date.day,
                     s.second_of_day / 3600, s.second_of_day / 60 % 60, s.second_of_day % 60);
}

/// Reads exactly `width` digits at `pos`.
bool read_digits(std::string_view text, size_t pos, size_t width, int& out) {
  if (text.size() < pos + width) return false;
  const char* begin = text.data() + pos;
  if (*begin < '0' || *begin > '9') return false;
  auto [end, error] = std::from_chars(begin, begin + width, out);
  return error == std::errc() && end == begin + width;
}

}  // namespace

std::string format_time(Instant t) {
  return format_prefix(split(t)) + "Z";
}

std::string format_micro_time(Instant t) {
  const Split s = split(t);
  return format_prefix(s) + fmt::format(".{:06}Z", s.ns / 1000);
}

Result<Instant> parse_time(std::string_view text) {
  const auto bad = [&] {
    return invalid_argument(
        fmt::format("\"{}\" is not a time as in 2006-01-02T15:04:05Z (RFC 3339)", text));
  };
  int year, month, day, hour, minute, second;
  if (!read_digits(text, 0, 4, year) || !read_digits(text, 5, 2, month) ||
      !read_digits(text, 8, 2, day) || !read_digits(text, 11, 2, hour) ||
      !read_digits(text, 14, 2, minute) || !read_digits(text, 17, 2, second)) {
    return bad();
  }
  if (text[4] != '-' || text[7] != '-' || (text[10] | 0x20) != 't' || text[13] != ':' ||
      text[16] != ':') {
    return bad();
  }
  static constexpr std::array<int, 13> kDays = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (month < 1 || month > 12 || day < 1 || day > kDays[static_cast<size_t>(month)] || hour > 23 ||
      minute > 59 || second > 60) {
    return bad();
  }
  size_t pos = 19;
  int64_t ns = 0;
  if (pos < text.size() && text[pos] == '.') {
    int64_t unit = 100'000'000;
    size_t first = ++pos;
    for (; pos < text.size() && text[pos] >= '0' && text[pos] <= '9'; ++pos, unit /= 10) {
      ns += unit * (text[pos] - '0');
    }
    if (pos == first) return bad();
  }
  int64_t offset = 0;
  if (pos < text.size() && (text[pos] | 0x20) == 'z') {
    ++pos;
  } else {
    int off_hour, off_minute;
    if (pos + 6 > text.size() || (text[pos] != '+' && text[pos] != '-') || text[pos + 3] != ':' ||
        !read_digits(text, pos + 1, 2, off_hour) || !read_digits(text, pos + 4, 2, off_minute)) {
      return bad();
    }
    offset = (off_hour * 3600 + off_minute * 60) * (text[pos] == '-' ? -1 : 1);
    pos += 6;
  }
  // Outside these years nanoseconds since 1970 no longer fit.
  if (pos != text.size() || year < 1678 || year > 2261) return bad();
  const int64_t days =
      days_from_civil({year, static_cast<unsigned>(month), static_cast<unsigned>(day)});
  const int64_t seconds =
      days * kSecondsPerDay + hour * 3600 + minute * 60 + std::min(second, 59) - offset;
  return Instant::from_unix_ns(seconds * 1'000'000'000 + ns);
}

std::string format_age(Duration d) {
  const int64_t s = d.ns() / 1'000'000'000;
  if (s < 0) return "0s";
  const auto two = [](int64_t a, const char* ua, int64_t b, const char* ub) {
    return b == 0 ? fmt::format("{}{}", a, ua) : fmt::format("{}{}{}{}", a, ua, b, ub);
  };
  // The steps of kubectl's AGE column: two units while the first is small.
  if (s < 120) return fmt::format("{}s", s);
  const int64_t m = s / 60;
  if (m < 10) return two(m, "m", s % 60, "s");
  if (m < 180) return fmt::format("{}m", m);
  const int64_t h = m / 60;
  if (h < 8) return two(h, "h", m % 60, "m");
  if (h < 48) return fmt::format("{}h", h);
  const int64_t days = h / 24;
  if (h < 192) return two(days, "d", h % 24, "h");
  if (days < 365 * 2) return fmt::format("{}d", days);
  if (days < 365 * 8) return two(days / 365, "y", days % 365, "d");
  return fmt::format("{}y", days / 365);
}

}  // namespace pelton::base
