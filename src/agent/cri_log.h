// SPDX-License-Identifier: Apache-2.0
// The log file of a container, in the format of the Container Runtime Interface. Pure.
//
// One record per line: "2026-01-02T03:04:05.000000006Z stdout F text". F: the record ends with a
// line's end; P: the text goes on in the next record. Tools that read a kubelet's logs read these.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/time.h"

namespace pelton::agent {

/// "2026-01-02T03:04:05.000000006Z".
std::string format_nano_time(base::Instant t);

/// Makes records from output as it comes, in pieces of any size.
class CriLogWriter {
 public:
  /// Of one stream: "stdout" or "stderr".
  explicit CriLogWriter(std::string stream = "stdout") : stream_(std::move(stream)) {}
  /// Records for all lines that `bytes` completes. A line over 16 KiB is cut into P records.
  std::string write(std::string_view bytes, base::Instant now);
  /// The record for an unfinished last line; "" where there is none.
  std::string finish(base::Instant now);

 private:
  std::string stream_, pending_;
};

struct LogOptions {
  bool has_timestamps = false;
  std::optional<int64_t> tail_lines;
  std::optional<int64_t> limit_bytes;
  std::optional<base::Instant> since;
};

/// Reads `?timestamps&tailLines&limitBytes&sinceSeconds&sinceTime`. InvalidArgument names the
/// parameter.
base::Result<LogOptions> parse_log_options(
    base::Instant now,
    const std::function<std::optional<std::string>(std::string_view name)>& query);

/// Turns records into what `kubectl logs` shows, in pieces of any size.
class CriLogReader {
 public:
  explicit CriLogReader(const LogOptions& options) : options_(options) {}
  /// The text of all records that `bytes` completes.
  std::string read(std::string_view bytes);
  /// limit_bytes are out: nothing more will come.
  bool is_exhausted() const { return options_.limit_bytes && *options_.limit_bytes <= 0; }

 private:
  LogOptions options_;
  std::string pending_;
  bool is_in_line_ = false;  ///< the last record was a P
};

/// Where in `log` the last `lines` lines begin (a line may be several records).
size_t tail_offset(std::string_view log, int64_t lines);

}  // namespace pelton::agent
