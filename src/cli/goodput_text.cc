// SPDX-License-Identifier: Apache-2.0
#include "cli/goodput_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/top_lines.h"

namespace pelton::cli {
namespace {

using base::Duration;
using base::Instant;
using decide::goodput::Category;
using decide::goodput::Interruption;
using decide::goodput::kCategories;
using decide::goodput::Report;
using decide::goodput::Segment;

/// In the ribbon, one letter per category, in the order of the enumeration.
constexpr std::string_view kLetters = "WGEwrsedIpC#R.";
constexpr size_t kInterruptionsShown = 10;

double percent_of(Duration part, Duration whole) {
  return whole > Duration() ? 100 * static_cast<double>(part.ns()) / static_cast<double>(whole.ns())
                            : 0;
}

std::string head_of(const GoodputSubject& subject, const Report& report) {
  const std::string name = subject.namespace_name.empty()
                               ? subject.name
                               : fmt::format("jobset {}/{}", subject.namespace_name, subject.name);
  return fmt::format("{}: goodput {:.2f} %, {} {}, since {}\n\n", printable(name),
                     100 * report.goodput, report.is_over ? "over after" : "running for",
                     short_time(report.wall()), base::format_time(report.from));
}

/// Causes by time: "SIGKILL 8.1 s, Stopped 1.2 s".
std::string causes_of(const std::map<std::string, Duration>& causes) {
  std::vector<std::pair<std::string, Duration>> sorted;
  for (const auto& [cause, time] : causes) {
    if (!cause.empty()) sorted.emplace_back(cause, time);
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(sorted.size(), 4); ++i) {
    text +=
        fmt::format("{}{} {}", i == 0 ? "" : ", ", sorted[i].first, short_time(sorted[i].second));
  }
  return text;
}

std::string breakdown_of(const Report& report, size_t columns) {
  std::vector<Category> categories;
  for (const auto& [category, causes] : report.breakdown) categories.push_back(category);
  std::stable_sort(categories.begin(), categories.end(),
                   [&](Category a, Category b) { return report.time_of(a) > report.time_of(b); });
  constexpr size_t kFixed = 26 + 9 + 10 + 4;
  const size_t bar = std::clamp<size_t>(columns > kFixed ? (columns - kFixed) / 2 : 10, 10, 40);
  std::string text;
  for (const Category category : categories) {
    const Duration time = report.time_of(category);
    const double percent = percent_of(time, report.wall());
    const auto filled = static_cast<size_t>(std::ceil(percent / 100 * static_cast<double>(bar)));
    const std::string line =
        fmt::format("  {:<25}{:>8} {:>7.2f} %  {:<{}}  {}", category_label(category),
                    short_time(time), percent, std::string(std::min(filled, bar), '#'), bar,
                    printable(causes_of(report.breakdown.at(category))));
    text +=
        line.substr(0, std::max(columns, kFixed + bar)).substr(0, line.find_last_not_of(' ') + 1) +
        "\n";
  }
  return text;
}

std::string optional_time(const std::optional<Duration>& time) {
  return time ? short_time(*time) : "-";
}

std::string numbers_of(const Report& report) {
  std::string text = fmt::format(
      "\n  accelerator goodput {:.2f} %   ETTR {:.2f} %   scheduling goodput {:.2f} %\n"
      "  interruptions {}   MTTR {}   MTBI {}   uptime {}\n",
      100 * report.accelerator_goodput, 100 * report.ettr, 100 * report.scheduling_goodput,
      report.interruption_count, optional_time(report.mttr), optional_time(report.mtbi),
      short_time(report.uptime));
  if (report.interruptions.empty()) return text;
  text += fmt::format("\n  {:<22}{:<20}{:<6}{:<16}{}\n", "INTERRUPTED", "CAUSE", "RANK", "NODE",
                      "RECOVERED AFTER");
  const size_t all = report.interruptions.size();
  const size_t first = all - std::min(all, kInterruptionsShown);
  for (size_t i = first; i < all; ++i) {
    const Interruption& each = report.interruptions[i];
    text += fmt::format("  {:<22}{:<20}{:<6}{:<16}{}\n", base::format_time(each.at),
                        each.cause.empty() ? "-" : printable(each.cause),
                        each.rank < 0 ? "-" : std::to_string(each.rank),
                        each.node.empty() ? "-" : printable(each.node),
                        each.recovery ? short_time(*each.recovery) : "not yet");
  }
  if (first > 0) text += fmt::format("  and {} before; -o json lists them\n", first);
  return text;
}

/// One letter per stretch of time: the category that had most of it.
std::string ribbon_of(const Report& report, size_t columns) {
  std::string ribbon;
  size_t next = 0;
  const int64_t wall = report.wall().ns();
  for (size_t column = 0; column < columns; ++column) {
    const auto edge = [&](size_t i) {
      return report.from + Duration::nanoseconds(static_cast<int64_t>(
                               static_cast<double>(wall) * static_cast<double>(i) /
                               static_cast<double>(columns)));
    };
    const Instant from = edge(column), to = edge(column + 1);
    std::array<int64_t, kCategories> time{};
    while (next < report.segments.size() && report.segments[next].to <= from) ++next;
    for (size_t i = next; i < report.segments.size() && report.segments[i].from < to; ++i) {
      const Segment& segment = report.segments[i];
      time[static_cast<size_t>(segment.category)] +=
          (std::min(to, segment.to) - std::max(from, segment.from)).ns();
    }
    ribbon +=
        kLetters[static_cast<size_t>(std::max_element(time.begin(), time.end()) - time.begin())];
  }
  return ribbon;
}

std::string timeline_of(const Report& report, size_t columns) {
  if (report.wall() <= Duration()) return "";
  const size_t width = std::min<size_t>(columns - 10, 110);
  const std::string ribbon = ribbon_of(report, width);
  std::string text = fmt::format("\n  ideal  {}\n  real   {}\n", std::string(width, '#'), ribbon);
  text += fmt::format("         one column is {}:",
                      short_time(report.wall() / static_cast<int64_t>(width)));
  for (size_t i = 0; i < kCategories; ++i) {
    if (ribbon.find(kLetters[i]) == std::string::npos) continue;
    text += fmt::format(" {} {}", kLetters[i], category_label(static_cast<Category>(i)));
  }
  text += fmt::format("\n         behind the ideal line by {}\n",
                      short_time(report.wall() - report.productive));
  return text;
}

}  // namespace

std::string short_time(Duration time) {
  const double seconds = time.to_seconds();
  const auto whole = static_cast<int64_t>(seconds);
  if (seconds < 0.9995) return fmt::format("{:.0f} ms", seconds * 1000);
  if (seconds < 99.95) return fmt::format("{:.1f} s", seconds);
  if (whole < 3600) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  if (whole < 86'400) return fmt::format("{}h{:02}m", whole / 3600, whole % 3600 / 60);
  return fmt::format("{}d{:02}h", whole / 86'400, whole % 86'400 / 3600);
}

std::string goodput_text(const GoodputSubject& subject, const Report& report, size_t columns) {
  columns = std::max<size_t>(columns, 60);
  return head_of(subject, report) + breakdown_of(report, columns) + numbers_of(report) +
         timeline_of(report, columns);
}

}  // namespace pelton::cli
