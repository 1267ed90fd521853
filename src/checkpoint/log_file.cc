// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/log_file.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "decide/checkpoint/manifest.h"

namespace pelton::checkpoint {

using decide::checkpoint::record_name;
using decide::checkpoint::record_number;

/// One append, from its first look at the log to its end; owned by the callbacks it waits for.
struct LogFile::Append : std::enable_shared_from_this<LogFile::Append> {
  Append(LogFile log, Decide decide, Done done)
      : log_(std::move(log)), decide_(std::move(decide)), done_(std::move(done)) {}

  void start() {
    base::Result<LogState> state = log_.read();
    if (!state.ok() && state.error().code() == base::Code::NotFound) {
      const base::Status made = log_.files_.make_directories(log_.directory_);
      if (!made.ok()) return done_(made);
      state = log_.read();
    }
    if (!state.ok()) return done_(state.error());
    base::Result<Record> record = decide_(*state);
    if (!record.ok() && record.error().code() == base::Code::AlreadyExists) return make_durable();
    if (!record.ok()) return done_(record.error());
    write(state->last + 1, *record);
  }

  void write(int64_t number, const Record& record) {
    const std::string temporary =
        fmt::format("{}/.{}-{}.new", log_.directory_, log_.name_, ++*log_.count_);
    const std::string path = log_.directory_ + "/" + record_name(number);
    // A file of its own each time: one that has been linked is a record already.
    base::Status status =
        log_.files_.exists(temporary) ? log_.files_.remove(temporary) : base::ok();
    if (!status.ok()) return done_(status);
    auto file = log_.files_.open(temporary, world::OpenMode::CreateNew);
    if (!file.ok()) return done_(file.error());
    status = (*file)->write_at(0, decide::checkpoint::seal(decide::checkpoint::to_json(record)));
    if (!status.ok()) return done_(status);
    file_ = std::move(file).value();
    file_->sync([self = shared_from_this(), temporary, path](base::Status synced) {
      if (!synced.ok()) return self->done_(synced);
      base::Status linked = self->log_.files_.link(temporary, path);
      self->log_.files_.remove(temporary).ignore("a later append removes it");
      if (linked.code() == base::Code::AlreadyExists) return self->start();
      if (!linked.ok()) return self->done_(linked);
      self->make_durable();
    });
  }

  void make_durable() {
    log_.files_.sync_directory(log_.directory_, [self = shared_from_this()](base::Status synced) {
      if (!synced.ok()) return self->done_(synced);
      self->done_(self->log_.read());
    });
  }

 private:
  LogFile log_;
  Decide decide_;
  Done done_;
  std::unique_ptr<world::File> file_;
};

LogFile::LogFile(world::Files& files, std::string directory, std::string name)
    : files_(files), directory_(std::move(directory) + "/log"), name_(std::move(name)) {}

base::Result<LogFile::Record> LogFile::read_record(int64_t number) const {
  if (const auto it = known_->find(number); it != known_->end()) return it->second;
  const std::string path = directory_ + "/" + record_name(number);
  PELTON_ASSIGN(const std::string text, files_.read(path));
  PELTON_ASSIGN(const base::Json json, decide::checkpoint::unseal(text, path));
  base::Result<Record> record = decide::checkpoint::record_of(json);
  if (!record.ok()) return base::Status(record.error()).with(path);
  known_->emplace(number, *record);
  return record;
}

base::Result<LogFile::LogState> LogFile::read() const {
  PELTON_ASSIGN(const auto entries, files_.list(directory_));
  std::vector<int64_t> numbers;
  for (const auto& entry : entries) {
    if (const auto number = record_number(entry.name)) numbers.push_back(*number);
  }
  known_->erase(known_->begin(), known_->lower_bound(numbers.empty() ? 0 : numbers.front()));
  // From the newest back to the one that stands for all before it.
  std::vector<std::pair<int64_t, base::Result<Record>>> records;
  bool has_start = numbers.empty();
  for (size_t i = numbers.size(); i > 0 && !has_start; --i) {
    base::Result<Record> record = read_record(numbers[i - 1]);
    const bool is_damaged = record.status().code() == base::Code::NotFound ||
                            record.status().code() == base::Code::DataLoss ||
                            record.status().code() == base::Code::InvalidArgument;
    if (!record.ok() && !is_damaged) return record.error();
    has_start = numbers[i - 1] == 1 || (record.ok() && record->kind == Record::Kind::State);
    records.emplace_back(numbers[i - 1], std::move(record));
  }
  // Numbers begin at 1, but for names that a crash took before anybody used them; the first record
  // is a fence, because nothing else can be decided on an empty log.
  const bool begins = !records.empty() && records.back().second.ok() &&
                      records.back().second->kind == Record::Kind::Fence;
  if (!has_start && !begins) {
    return base::Status(
        base::Code::DataLoss,
        fmt::format("{}/{}: the log cannot be read from here on: copy the directory "
                    "from a backup, or begin with an empty one",
                    directory_, record_name(records.back().first)));
  }
  LogState state;
  for (size_t i = records.size(); i > 0; --i) {
    auto& [number, record] = records[i - 1];
    if (record.ok()) {
      state.add(number, *record);
    } else {
      state.add_unreadable(number);
    }
  }
  return state;
}

void LogFile::append(Decide decide, Done done) const {
  std::make_shared<Append>(*this, std::move(decide), std::move(done))->start();
}

void LogFile::begin(const decide::checkpoint::Attempt& attempt, Done done) const {
  append(
      [attempt](const LogState& state) -> base::Result<Record> {
        PELTON_ASSIGN(const auto epoch, decide::checkpoint::decide_begin(state, attempt));
        if (epoch) return base::Status(base::Code::AlreadyExists, "a peer has begun it");
        Record fence;
        fence.job = attempt.job;
        fence.run = attempt.run;
        fence.generation = attempt.generation;
        return fence;
      },
      std::move(done));
}

void LogFile::remove_up_to(int64_t number) const {
  const auto entries = files_.list(directory_);
  if (!entries.ok()) return;
  for (const auto& entry : *entries) {
    const auto each = record_number(entry.name);
    if (each && *each <= number) {
      files_.remove(directory_ + "/" + entry.name).ignore("the next State record tries again");
    }
  }
}

}  // namespace pelton::checkpoint
