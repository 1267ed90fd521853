// SPDX-License-Identifier: Apache-2.0
#include "cli/top_lines.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/strings.h"
#include "decide/placement/observed.h"

namespace pelton::cli {
namespace {

using Row = std::vector<std::string>;

/// A table on its way to the screen: its first row is the heading.
struct Table {
  std::vector<Row> rows;
};

constexpr std::string_view kGap = "   ";
constexpr int64_t kMebibyte = 1 << 20;

std::string cpu_cell(int64_t milli) {
  return decide::placement::format_amount("cpu", milli);
}

std::string memory_cell(int64_t bytes) {
  return fmt::format("{}Mi", bytes / kMebibyte);
}

/// "12m/4", "-/4" where nothing is measured.
std::string used_cell(const std::optional<Usage>& usage, int64_t Usage::* member,
                      std::string (*form)(int64_t), int64_t total) {
  return (usage ? form((*usage).*member) : "-") + "/" + form(total);
}

int64_t amount_of(const api::Amounts& amounts, const char* resource) {
  const auto found = amounts.find(resource);
  return found == amounts.end() ? 0 : found->second;
}

std::string accelerator_cell(const NodeRow& row) {
  std::vector<std::string> parts;
  for (const auto& [resource, share] : row.accelerators) {
    parts.push_back(fmt::format("{} {}/{}", resource, share.used, share.total));
  }
  if (parts.empty()) return "-";
  return base::join(parts, ", ") + (row.has_virtual_accelerators ? " (virtual)" : "");
}

Table node_table(const TopView& view) {
  Table table{{{"NODE", "STATUS", "ACCELERATORS", "CPU", "MEMORY", "PODS"}}};
  for (const NodeRow& row : view.nodes) {
    table.rows.push_back(
        {row.name, row.status, accelerator_cell(row),
         used_cell(row.usage, &Usage::cpu_milli, cpu_cell, amount_of(row.allocatable, "cpu")),
         used_cell(row.usage, &Usage::memory_bytes, memory_cell,
                   amount_of(row.allocatable, "memory")),
         fmt::format("{}/{}", amount_of(row.requested, "pods"),
                     amount_of(row.allocatable, "pods"))});
  }
  return table;
}

/// Puts the namespace in front where all are shown, as kubectl does.
Row with_namespace(const TopView& view, const std::string& namespace_name, Row row) {
  if (view.namespace_name.empty()) row.insert(row.begin(), namespace_name);
  return row;
}

Table jobset_table(const TopView& view) {
  Table table{{with_namespace(view, "NAMESPACE", {"JOBSET", "STATE", "RESTARTS", "READY", "AGE"})}};
  for (const JobSetRow& row : view.jobsets) {
    table.rows.push_back(
        with_namespace(view, row.namespace_name,
                       {row.name, row.state, std::to_string(row.restarts),
                        fmt::format("{}/{}", row.workers.used, row.workers.total), row.age}));
  }
  return table;
}

Table pod_table(const TopView& view) {
  Table table{{with_namespace(
      view, "NAMESPACE", {"POD", "STATUS", "RESTARTS", "CPU", "MEMORY", "AGE", "NODE", "REASON"})}};
  for (const PodRow& row : view.pods) {
    table.rows.push_back(with_namespace(
        view, row.namespace_name,
        {row.name, row.status, row.restarts, row.usage ? cpu_cell(row.usage->cpu_milli) : "-",
         row.usage ? memory_cell(row.usage->memory_bytes) : "-", row.age,
         row.node.empty() ? "<none>" : row.node, row.reason}));
  }
  return table;
}

std::string clip(std::string text, size_t columns) {
  if (columns != 0 && text.size() > columns) text.resize(columns);
  return text;
}

/// Cells in columns; at most `most` lines, the last of which says what is left out.
void lay_out(Table table, size_t most, size_t columns, std::vector<Line>& lines) {
  std::vector<size_t> widths(table.rows.front().size());
  for (Row& row : table.rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = printable(row[i]);
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  const size_t shown = table.rows.size() <= most ? table.rows.size() : most - 1;
  for (size_t r = 0; r < shown; ++r) {
    std::string text;
    for (size_t i = 0; i < table.rows[r].size(); ++i) {
      const bool is_last = i + 1 == table.rows[r].size();
      text += is_last ? table.rows[r][i] : fmt::format("{:<{}}", table.rows[r][i], widths[i]);
      if (!is_last) text += kGap;
    }
    text.erase(text.find_last_not_of(' ') + 1);
    lines.push_back(
        {clip(std::move(text), columns), r == 0 ? Line::Style::Heading : Line::Style::Plain});
  }
  if (shown < table.rows.size()) {
    lines.push_back({clip(fmt::format("... {} more", table.rows.size() - shown), columns)});
  }
}

/// An empty line and at least a heading and one row each: where the height is too small for that,
/// empty tables go first, then those further up.
void drop_what_has_no_room(std::vector<Table>& tables, size_t height) {
  constexpr size_t kLeast = 3;
  while (!tables.empty() && tables.size() * kLeast > height) {
    const auto is_empty = [](const Table& table) { return table.rows.size() == 1; };
    const auto empty = std::find_if(tables.begin(), tables.end(), is_empty);
    tables.erase(empty == tables.end() ? tables.begin() : empty);
  }
}

/// How many lines each may have, the empty one before it not counted: small tables what they need,
/// the others equal parts of the rest.
std::vector<size_t> share_out(const std::vector<Table>& tables, size_t height) {
  std::vector<size_t> order(tables.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return tables[a].rows.size() < tables[b].rows.size();
  });
  std::vector<size_t> most(tables.size());
  size_t left = height - tables.size();
  for (size_t i = 0; i < order.size(); ++i) {
    most[order[i]] = std::min(tables[order[i]].rows.size(), left / (order.size() - i));
    left -= most[order[i]];
  }
  return most;
}

std::string summary(const TopView& view) {
  const auto ready = std::count_if(view.nodes.begin(), view.nodes.end(),
                                   [](const NodeRow& node) { return node.is_ready; });
  std::map<std::string, Share> accelerators;
  for (const NodeRow& node : view.nodes) {
    for (const auto& [resource, share] : node.accelerators) {
      accelerators[resource].used += share.used;
      accelerators[resource].total += share.total;
    }
  }
  std::map<std::string, int> phases;
  for (const PodRow& pod : view.pods) ++phases[pod.phase];
  std::string text = fmt::format("pelton top   {}   nodes {}/{} ready", base::format_time(view.now),
                                 ready, view.nodes.size());
  for (const auto& [resource, share] : accelerators) {
    text += fmt::format("   {} {}/{}", resource, share.used, share.total);
  }
  text += fmt::format("   pods {} running, {} pending", phases["Running"], phases["Pending"]);
  if (!view.namespace_name.empty()) text += " in " + view.namespace_name;
  return printable(text);
}

}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) continue;
    // One '?' per character of UTF-8, not per byte.
    if (byte >= 0x80) {
      if ((byte & 0xc0) != 0x80) out += '?';
      continue;
    }
    out += c;
  }
  return out;
}

std::vector<Line> lines_of(const TopView& view, const std::string& alarm, Size size) {
  std::vector<Line> lines = {{clip(summary(view), size.columns), Line::Style::Plain}};
  if (!alarm.empty()) lines.push_back({clip(printable(alarm), size.columns), Line::Style::Alarm});
  std::vector<Table> tables = {node_table(view), jobset_table(view), pod_table(view)};
  size_t height = std::numeric_limits<size_t>::max();
  if (size.rows != 0) height = size.rows > lines.size() ? size.rows - lines.size() : 0;
  drop_what_has_no_room(tables, height);
  const std::vector<size_t> most = share_out(tables, height);
  for (size_t i = 0; i < tables.size(); ++i) {
    lines.push_back({});
    lay_out(std::move(tables[i]), most[i], size.columns, lines);
  }
  if (size.rows != 0 && lines.size() > size.rows) lines.resize(size.rows);
  return lines;
}

}  // namespace pelton::cli
