// SPDX-License-Identifier: Apache-2.0
#include "cli/goodput_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cli/goodput_text.h"
#include "cli/top_lines.h"

namespace pelton::cli {
namespace {

using base::Json;
using decide::goodput::JobMetrics;
using decide::goodput::Report;

constexpr size_t kColumns = 11;
using Row = std::array<std::string, kColumns>;

std::string optional_time(const std::optional<base::Duration>& time) {
  return time ? short_time(*time) : "-";
}

std::string state_of(const JobMetrics& job) {
  return job.state ? decide::goodput::job_state_name(*job.state) : "-";
}

Row row_of(const JobMetrics& job) {
  Row row;
  row.fill("-");
  row[0] = printable(job.namespace_name);
  row[1] = printable(job.name);
  row[2] = state_of(job);
  row[3] = fmt::format("{}/{}", job.ranks, job.full_ranks);
  if (!job.report) return row;
  const Report& report = *job.report;
  row[4] = fmt::format("{:.2f}%", 100 * report.goodput);
  row[5] = fmt::format("{:.2f}%", 100 * report.accelerator_goodput);
  row[6] = fmt::format("{:.2f}%", 100 * report.ettr);
  row[7] = std::to_string(report.interruption_count);
  row[8] = optional_time(report.mttr);
  row[9] = optional_time(report.mtbi);
  row[10] = short_time(report.wall());
  return row;
}

}  // namespace

std::string goodput_table(const std::vector<JobMetrics>& jobs, bool has_namespaces) {
  if (jobs.empty()) return "";
  std::vector<Row> rows = {{"NAMESPACE", "NAME", "STATE", "RANKS", "GOODPUT", "OF-ALL", "ETTR",
                            "INTERRUPTIONS", "MTTR", "MTBI", "AGE"}};
  for (const JobMetrics& job : jobs) rows.push_back(row_of(job));
  std::array<size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    for (size_t i = has_namespaces ? 0 : 1; i < kColumns; ++i) {
      const bool is_last = i + 1 == kColumns;
      text += is_last ? row[i] + "\n" : fmt::format("{:<{}}   ", row[i], widths[i]);
    }
  }
  return text;
}

Json goodput_list(const std::vector<JobMetrics>& jobs) {
  Json::Array items;
  for (const JobMetrics& job : jobs) {
    Json item = job.report ? decide::goodput::to_json(*job.report) : Json::object();
    item.set("name", job.name);
    item.set("namespace", job.namespace_name);
    item.set("state", state_of(job));
    items.push_back(std::move(item));
  }
  return Json::object({{"items", std::move(items)}});
}

}  // namespace pelton::cli
