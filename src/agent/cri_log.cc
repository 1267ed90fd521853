// SPDX-License-Identifier: Apache-2.0
#include "agent/cri_log.h"

#include <algorithm>

#include "base/strings.h"

namespace pelton::agent {
namespace {

constexpr size_t kMaxRecordBytes = 16 * 1024;

void append_record(std::string& out, std::string_view stream, std::string_view text,
                   bool is_partial, base::Instant now) {
  out += format_nano_time(now);
  out += ' ';
  out += stream;
  out += is_partial ? " P " : " F ";
  out += text;
  out += '\n';
}

struct Record {
  std::string_view time;
  bool is_partial = false;
  std::string_view text;
};

/// A record without its newline. What is none (a file cut by a crash) reads as a whole line.
Record parse_record(std::string_view line) {
  const size_t time_end = line.find(' ');
  const size_t stream_end =
      time_end == std::string_view::npos ? time_end : line.find(' ', time_end + 1);
  const size_t tag_end =
      stream_end == std::string_view::npos ? stream_end : line.find(' ', stream_end + 1);
  if (tag_end == std::string_view::npos) return {"", false, line};
  return {line.substr(0, time_end), line[stream_end + 1] == 'P', line.substr(tag_end + 1)};
}

}  // namespace

std::string format_nano_time(base::Instant t) {
  std::string seconds = base::format_time(t);  // floors to the second
  const base::Instant whole = base::parse_time(seconds).value();
  std::string fraction = std::to_string((t - whole).ns());
  seconds.pop_back();
  return seconds + '.' + std::string(9 - fraction.size(), '0') + fraction + 'Z';
}

std::string CriLogWriter::write(std::string_view bytes, base::Instant now) {
  std::string out;
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const size_t room = kMaxRecordBytes - pending_.size();
    const size_t take = std::min(newline, room);
    pending_ += bytes.substr(0, take);
    if (take == newline) {
      append_record(out, stream_, pending_, false, now);
      bytes.remove_prefix(newline + 1);
    } else if (pending_.size() == kMaxRecordBytes) {
      append_record(out, stream_, pending_, true, now);
      bytes.remove_prefix(take);
    } else {
      return out;
    }
    pending_.clear();
  }
  return out;
}

std::string CriLogWriter::finish(base::Instant now) {
  std::string out;
  if (!pending_.empty()) append_record(out, stream_, pending_, false, now);
  pending_.clear();
  return out;
}

base::Result<LogOptions> parse_log_options(
    base::Instant now,
    const std::function<std::optional<std::string>(std::string_view name)>& query) {
  LogOptions options;
  const auto number = [&](const char* name) -> base::Result<std::optional<int64_t>> {
    const auto text = query(name);
    if (!text || text->empty()) return std::optional<int64_t>();
    const auto parsed = base::parse_int(*text);
    if (!parsed.ok() || *parsed < 0) {
      return base::invalid_argument(std::string(name) + ": must be a whole number from 0, is \"" +
                                    *text + "\"");
    }
    return std::optional(*parsed);
  };
  const std::string timestamps = query("timestamps").value_or("");
  options.has_timestamps = timestamps == "true" || timestamps == "1";
  PELTON_ASSIGN(options.tail_lines, number("tailLines"));
  PELTON_ASSIGN(options.limit_bytes, number("limitBytes"));
  PELTON_ASSIGN(const auto since_seconds, number("sinceSeconds"));
  if (since_seconds) options.since = now - base::Duration::seconds(*since_seconds);
  const auto since_time = query("sinceTime");
  if (since_time && !since_time->empty()) {
    PELTON_ASSIGN(options.since, base::parse_time(*since_time));
  }
  return options;
}

std::string CriLogReader::read(std::string_view bytes) {
  std::string out;
  pending_ += bytes;
  size_t begin = 0;
  for (size_t end; (end = pending_.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const Record record = parse_record(std::string_view(pending_).substr(begin, end - begin));
    if (options_.since) {
      const auto time = base::parse_time(record.time);
      if (time.ok() && *time < *options_.since) continue;
    }
    if (options_.has_timestamps && !is_in_line_) {
      out += record.time;
      out += ' ';
    }
    out += record.text;
    if (!record.is_partial) out += '\n';
    is_in_line_ = record.is_partial;
  }
  pending_.erase(0, begin);
  if (options_.limit_bytes) {
    const auto left = static_cast<size_t>(std::max<int64_t>(*options_.limit_bytes, 0));
    if (out.size() > left) out.resize(left);
    *options_.limit_bytes -= static_cast<int64_t>(out.size());
  }
  return out;
}

size_t tail_offset(std::string_view log, int64_t lines) {
  if (lines <= 0) return log.size();
  size_t start = log.size();  // of the record that is being looked at
  int64_t found = 0;
  size_t offset = log.size();
  while (start > 0) {
    const size_t end = start - 1;  // its newline, or the last byte of an unfinished one
    const size_t before = end == 0 ? std::string_view::npos : log.rfind('\n', end - 1);
    start = before == std::string_view::npos ? 0 : before + 1;
    const Record record = parse_record(log.substr(start, end - start));
    if (!record.is_partial && ++found > lines) break;
    offset = start;
  }
  return offset;
}

}  // namespace pelton::agent
