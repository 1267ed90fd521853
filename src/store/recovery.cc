// SPDX-License-Identifier: Apache-2.0
#include "store/recovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/strings.h"

namespace pelton::store {

namespace {

/// The number in "PREFIX-%08x", or 0.
uint64_t number_in(const std::string& name, std::string_view prefix) {
  if (!has_prefix(name, prefix) || name.size() != prefix.size() + 8) return 0;
  uint64_t number = 0;
  for (const char c : name.substr(prefix.size())) {
    const size_t digit = std::string_view("0123456789abcdef").find(c);
    if (digit == std::string_view::npos) return 0;
    number = number * 16 + digit;
  }
  return number;
}

struct Names {
  std::set<uint64_t> logs, snapshots;
  std::vector<std::string> leftovers;  ///< temporary files
};

base::Result<Names> read_names(world::Files& files, const std::string& directory) {
  Names names;
  PELTON_ASSIGN(auto entries, files.list(directory));
  for (const auto& entry : entries) {
    if (const uint64_t log = number_in(entry.name, "log-")) names.logs.insert(log);
    if (const uint64_t snapshot = number_in(entry.name, "snapshot-")) {
      names.snapshots.insert(snapshot);
    }
    if (has_prefix(entry.name, "snapshot-") && entry.name.ends_with(".new")) {
      names.leftovers.push_back(directory + "/" + entry.name);
    }
  }
  return names;
}

base::Status refusal(const std::string& path, Revision last_good, const std::string& what,
                     const std::string& other_way) {
  return {base::Code::DataLoss, "StoreDamaged",
          fmt::format("{}: {}; the last good revision is {}. The store does not start, since "
                      "acknowledged objects would be missing, and has changed nothing. Restore "
                      "its directory from a copy{}",
                      path, what, last_good, other_way)};
}

/// Of what begins a chain of logs: without it those behind it mean nothing.
base::Status beginning_lost(const std::string& path, const std::string& what) {
  return refusal(path, 0, what, ": nothing else holds what it held");
}

/// Of a log: what stands before the damage is whole.
base::Status log_damage(const std::string& path, uint64_t offset, Revision last_good,
                        const std::string& what) {
  const std::string cut =
      offset > 0 ? fmt::format("run 'truncate -s {} {}' and remove the logs of higher numbers",
                               offset, path)
                 : fmt::format("remove {} and the logs of higher numbers", path);
  return refusal(path, last_good, fmt::format("{} at offset {}", what, offset),
                 fmt::format("; or, to go on from revision {} without what came after it, keep "
                             "a copy, then {}",
                             last_good, cut));
}

base::Status load_snapshot(world::Files& files, const std::string& path, uint64_t number,
                           State& state) {
  PELTON_ASSIGN(const std::string bytes, files.read(path));
  const Scan scan = scan_frames(bytes, number);
  uint64_t entries = 0;
  for (const Frame& frame : scan.frames) {
    Decoder decoder(frame.payload);
    const auto kind = static_cast<FrameKind>(decoder.u8());
    if (kind == FrameKind::SnapshotPart) {
      const uint32_t count = decoder.u32();
      for (uint32_t i = 0; i < count && !decoder.is_bad(); ++i, ++entries) {
        state.load(decoder.entry());
      }
    } else if (kind == FrameKind::SnapshotEnd) {
      const Revision revision = decoder.u64();
      if (decoder.u64() != entries || decoder.is_bad()) break;
      state.loaded(revision);
      return base::ok();
    }
    if (decoder.is_bad()) break;
  }
  // It was synced before it got its name.
  return beginning_lost(path,
                        fmt::format("the snapshot is damaged or not whole at offset {}", scan.end));
}

base::Status replay_transactions(Decoder& decoder, State& state) {
  const uint32_t transactions = decoder.u32();
  for (uint32_t i = 0; i < transactions && !decoder.is_bad(); ++i) {
    const LoggedTransaction transaction = decoder.operations();
    if (decoder.is_bad()) break;
    for (const LoggedOperation& op : transaction) PELTON_TRY(state.apply(op));
  }
  if (decoder.is_bad() || !decoder.is_at_end()) {
    return base::internal_error("the record does not parse");
  }
  return base::ok();
}

base::Status replay_log(world::Files& files, const std::string& directory, uint64_t number,
                        bool is_last, Recovered& out) {
  const std::string path = log_path(directory, number);
  PELTON_ASSIGN(const std::string bytes, files.read(path));
  const Scan scan = scan_frames(bytes, number);
  const bool is_behind_snapshot = out.last_log == 0 && number > 1;
  if (is_behind_snapshot && scan.frames.empty()) {
    // It was durable before its snapshot got a name.
    return beginning_lost(path, "the log is damaged at offset 0");
  }
  for (const Frame& frame : scan.frames) {
    Decoder decoder(frame.payload);
    const auto kind = static_cast<FrameKind>(decoder.u8());
    base::Status status;
    if (kind == FrameKind::LogStart) {
      out.state.advance(decoder.u64());
    } else if (kind == FrameKind::Transactions) {
      status = replay_transactions(decoder, out.state);
    } else {
      status = base::internal_error("the record is of an unknown kind (made by a newer version?)");
    }
    if (!status.ok()) {
      return log_damage(path, frame.offset, out.state.revision(), status.message());
    }
  }
  if (scan.good_behind > 0) {
    return log_damage(
        path, scan.end, out.state.revision(),
        fmt::format("with good records from offset {} on, one is damaged", scan.good_behind));
  }
  if (scan.end < bytes.size() && !is_last) {
    return log_damage(path, scan.end, out.state.revision(), "a record is damaged");
  }
  if (scan.frames.empty() && !is_last) {
    return log_damage(path, 0, out.state.revision(), "the log is empty");
  }
  out.log_bytes += scan.end;
  ++out.logs;
  out.last_log = number;
  out.last_log_end = scan.end;
  out.last_frame.clear();
  if (!scan.frames.empty()) {
    const Frame& last = scan.frames.back();
    out.last_frame_offset = last.offset;
    out.last_frame = bytes.substr(last.offset, last.size);
  }
  return base::ok();
}

}  // namespace

std::string log_path(const std::string& directory, uint64_t number) {
  return fmt::format("{}/log-{:08x}", directory, number);
}

std::string snapshot_path(const std::string& directory, uint64_t number) {
  return fmt::format("{}/snapshot-{:08x}", directory, number);
}

base::Result<Recovered> recover(world::Files& files, const std::string& directory,
                                const Options& options) {
  PELTON_ASSIGN(const Names names, read_names(files, directory));
  Recovered out;
  out.state = State(options);
  out.obsolete = names.leftovers;
  uint64_t first = 1;
  if (!names.snapshots.empty()) {
    first = *names.snapshots.rbegin();
    PELTON_TRY(load_snapshot(files, snapshot_path(directory, first), first, out.state));
  }
  const uint64_t oldest = names.logs.empty() ? 0 : *names.logs.begin();
  if (names.snapshots.empty() && oldest > 1) {
    return beginning_lost(snapshot_path(directory, oldest),
                          "this snapshot, on which the log of its number rests, is missing");
  }
  for (const uint64_t snapshot : names.snapshots) {
    if (snapshot < first) out.obsolete.push_back(snapshot_path(directory, snapshot));
  }
  uint64_t expected = first;
  for (const uint64_t log : names.logs) {
    if (log < first) {
      out.obsolete.push_back(log_path(directory, log));
      continue;
    }
    if (log != expected) break;
    const bool is_last = log == *names.logs.rbegin();
    PELTON_TRY(replay_log(files, directory, log, is_last, out));
    ++expected;
  }
  const uint64_t newest = names.logs.empty() ? 0 : *names.logs.rbegin();
  const bool needs_log = !names.snapshots.empty() || newest >= first;
  if (needs_log && expected <= std::max(newest, first)) {
    const std::string path = log_path(directory, expected);
    if (expected == first) {
      return beginning_lost(path, "this log, which the snapshot of its number needs, is missing");
    }
    return log_damage(path, 0, out.state.revision(), "this log is missing");
  }
  return out;
}

}  // namespace pelton::store
