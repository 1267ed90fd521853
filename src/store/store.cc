// SPDX-License-Identifier: Apache-2.0
#include "store/store.h"

#include <fmt/format.h>

#include <set>

#include "store/store_impl.h"

namespace pelton::store {

namespace {

constexpr size_t kMaxBatchBytes = size_t{8} << 20;

base::Status storage_unavailable(const base::Status& cause) {
  return base::unavailable("the store cannot write since its disk failed (" + cause.message() +
                           "); restart the server once the disk is well");
}

}  // namespace

std::string splice_revision(std::string_view bytes, std::optional<size_t> at, Revision revision) {
  if (!at) return std::string(bytes);
  const std::string digits = std::to_string(revision);
  std::string out;
  out.reserve(bytes.size() + digits.size());
  out.append(bytes.substr(0, *at)).append(digits).append(bytes.substr(*at));
  return out;
}

Store::Impl::Impl(world::Files& files, world::Timers& timers, base::Log& log, std::string directory,
                  Options options, Recovered recovered)
    : files(files),
      timers(timers),
      log(log),
      directory(std::move(directory)),
      options(std::move(options)),
      state(std::move(recovered.state)),
      watchers(state, timers, this->options),
      flush_timer(timers),
      snapshot_timer(timers),
      age_timer(timers) {
  if (this->options.history_age > base::Duration()) keep_ageing();
}

void Store::Impl::keep_ageing() {
  age_timer.start(options.history_age / State::kAgeTicks, [this] {
    state.tick();
    keep_ageing();
  });
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

void Store::commit(Transaction transaction, CommitDone done) {
  impl_->commit(std::move(transaction), std::move(done));
}

std::optional<Entry> Store::get(std::string_view key) const {
  const Index& index = impl_->state.index();
  auto found = index.find(key);
  if (found == index.end()) return std::nullopt;
  const Value& value = found->second;
  return Entry{found->first, value.bytes, value.created, value.revision};
}

base::Result<ListPage> Store::list(std::string_view prefix, const ListOptions& options) const {
  return impl_->state.list(prefix, options);
}
size_t Store::count(std::string_view prefix) const {
  return impl_->state.count(prefix);
}
base::Result<std::unique_ptr<Watch>> Store::watch(std::string_view prefix, Revision from,
                                                  WatchEvents events) {
  return impl_->watchers.add(prefix, from, std::move(events));
}
Revision Store::revision() const {
  return impl_->state.revision();
}
Revision Store::oldest_revision() const {
  return impl_->state.oldest();
}
base::Status Store::health() const {
  return impl_->failed;
}
void Store::snapshot(std::function<void(base::Status)> done) {
  impl_->start_snapshot(std::move(done));
}

void Store::Impl::commit(Transaction transaction, CommitDone done) {
  if (!failed.ok()) return answer_later(std::move(done), storage_unavailable(failed));
  if (base::Status bad = check_shape(transaction); !bad.ok()) {
    return answer_later(std::move(done), bad);
  }
  Pending pending;
  pending.failure = check(transaction);
  pending.done = std::move(done);
  if (pending.failure.ok() &&
      operations_under_way + transaction.operations.size() > kRevisionWindow) {
    pending.failure = {base::Code::ResourceExhausted, "TooManyRequests",
                       "too many writes are under way; try again"};
  }
  if (pending.failure.ok()) pending.operations = log_operations(std::move(transaction));
  // A refusal waits its turn too: it may rest on a write that is not durable yet.
  queue.push_back(std::move(pending));
  wake();
}

base::Status Store::Impl::check_shape(const Transaction& transaction) const {
  const auto bad = [](std::string message) { return base::invalid_argument(std::move(message)); };
  if (transaction.operations.empty()) return bad("a transaction without operations");
  std::set<std::string_view> keys;
  size_t size = 0;
  for (const Operation& op : transaction.operations) {
    if (op.key.empty()) return bad("an operation without a key");
    if (!keys.insert(op.key).second) return bad("the key " + op.key + " twice in a transaction");
    if (op.revision_at && *op.revision_at > op.bytes.size()) {
      return bad("the place of the revision is outside the bytes of " + op.key);
    }
    size += op.key.size() + op.bytes.size();
  }
  if (size > options.max_transaction_bytes) {
    return bad(fmt::format("a transaction of {} bytes; at most {} are possible", size,
                           options.max_transaction_bytes));
  }
  return base::ok();
}

base::Status Store::Impl::check(const Transaction& transaction) const {
  for (const Precondition& condition : transaction.preconditions) {
    PELTON_TRY(check_key(condition.key, condition.expected, false));
  }
  for (const Operation& op : transaction.operations) {
    PELTON_TRY(check_key(op.key, op.expected, op.kind == Operation::Kind::Delete));
  }
  return base::ok();
}

base::Status Store::Impl::check_key(const std::string& key, std::optional<Revision> expected,
                                    bool must_exist) const {
  const Revision newest = newest_revision(key);
  if (newest == 0 && (must_exist || expected.value_or(0) != 0)) {
    return base::not_found(key + " does not exist");
  }
  if (!expected || *expected == newest) return base::ok();
  if (*expected == 0) return {base::Code::AlreadyExists, key + " exists"};
  return {base::Code::Conflict,
          fmt::format("{} is at revision {}, not {}", key, newest, *expected)};
}

Revision Store::Impl::newest_revision(std::string_view key) const {
  if (auto found = under_way.find(key); found != under_way.end()) return found->second.value;
  auto found = state.index().find(key);
  return found == state.index().end() ? 0 : found->second.revision;
}

LoggedTransaction Store::Impl::log_operations(Transaction transaction) {
  LoggedTransaction out;
  out.reserve(transaction.operations.size());
  for (Operation& op : transaction.operations) {
    const Revision revision = next_revision++;
    out.push_back(
        {op.kind, revision, op.key,
         std::make_shared<const std::string>(splice_revision(op.bytes, op.revision_at, revision))});
    under_way[std::move(op.key)] = {op.kind == Operation::Kind::Put ? revision : 0, revision};
  }
  operations_under_way += out.size();
  return out;
}

void Store::Impl::answer_later(CommitDone done, base::Result<Revision> result) {
  timers.post(
      [still = std::weak_ptr<bool>(alive), done = std::move(done), result = std::move(result)] {
        if (!still.expired()) done(result);
      });
}

void Store::Impl::wake() {
  if (!flush_timer.is_pending() && !is_writing) flush_timer.start({}, [this] { flush(); });
}

void Store::Impl::flush() {
  if (is_writing || !failed.ok()) return;
  if (wants_snapshot && !snapshot) return start_snapshot({});
  if (queue.empty()) return;
  uint32_t transactions = 0;
  size_t taken = 0;
  size_t bytes = 0;
  for (; taken < queue.size() && bytes < kMaxBatchBytes; ++taken) {
    if (!queue[taken].operations.empty()) ++transactions;
    for (const LoggedOperation& op : queue[taken].operations) bytes += encoded_size(op);
  }
  batch.assign(std::make_move_iterator(queue.begin()),
               std::make_move_iterator(queue.begin() + static_cast<ptrdiff_t>(taken)));
  queue.erase(queue.begin(), queue.begin() + static_cast<ptrdiff_t>(taken));
  if (transactions == 0) {
    answer(std::exchange(batch, {}));
    return;
  }
  Encoder encoder(FrameKind::Transactions);
  encoder.reserve(bytes + transactions * sizeof(uint32_t) + sizeof transactions);
  encoder.u32(transactions);
  for (const Pending& pending : batch) {
    if (!pending.operations.empty()) encoder.operations(pending.operations);
  }
  const std::string frame = encode_frame(log_number, log_end, encoder.payload());
  const base::Status written = log_file->write_at(log_end, frame);
  if (written.code() == base::Code::ResourceExhausted) {
    // Not whole, so it can never be taken for written, and the next frame goes over it.
    const base::Status cut = log_file->truncate(log_end);
    return cut.ok() ? refuse_all(written) : fail(cut);
  }
  if (!written.ok()) return fail(written);
  is_writing = true;
  log_file->sync(
      [this, size = frame.size(), still = std::weak_ptr<bool>(alive)](const base::Status& status) {
        if (still.expired()) return;
        is_writing = false;
        if (!status.ok()) return fail(status);
        if (std::exchange(is_disk_full, false)) {
          log.info("store.disk_has_room", {{"directory", directory}});
        }
        log_end += size;
        log_bytes += size;
        apply_batch();
      });
}

void Store::Impl::apply_batch() {
  for (const Pending& pending : batch) {
    for (const LoggedOperation& op : pending.operations) {
      const base::Status applied = state.apply(op);
      PELTON_CHECK(applied.ok());
      auto found = under_way.find(op.key);
      if (found != under_way.end() && found->second.by == op.revision) under_way.erase(found);
    }
    operations_under_way -= pending.operations.size();
  }
  if (log_bytes >= options.snapshot_after_log_bytes) wants_snapshot = true;
  watchers.wake();
  answer(std::exchange(batch, {}));
}

void Store::Impl::answer(std::vector<Pending> answered) {
  // Callbacks may commit again (into the next batch) or destroy the store.
  const std::weak_ptr<bool> still = alive;
  for (Pending& pending : answered) {
    if (!pending.done) continue;
    if (!pending.failure.ok()) {
      pending.done(pending.failure);
    } else {
      pending.done(pending.operations.back().revision);
    }
    if (still.expired()) return;
  }
  if (!queue.empty() || wants_snapshot) wake();
}

void Store::Impl::refuse_all(const base::Status& status) {
  // Once: each refused write would take room on what may be the same disk.
  if (!std::exchange(is_disk_full, true)) {
    log.error("store.disk_full", {{"directory", directory}, {"error", status.message()}});
  }
  std::vector<Pending> refused = std::exchange(batch, {});
  for (Pending& pending : queue) refused.push_back(std::move(pending));
  queue.clear();
  under_way.clear();
  operations_under_way = 0;
  // Their revisions are skipped; a refusal may have rested on what did not happen.
  for (Pending& pending : refused) {
    if (pending.failure.ok()) {
      pending.failure = {base::Code::ResourceExhausted, "DiskFull",
                         "nothing was stored: " + status.message() +
                             "; make room on that disk: writes go on by themselves then"};
    } else {
      pending.failure = base::unavailable("try again: " + status.message());
    }
  }
  answer(std::move(refused));
}

void Store::Impl::fail(const base::Status& status) {
  failed = base::unavailable(directory + ": " + status.message());
  log.error("store.failed", {{"directory", directory}, {"error", status.to_string()}});
  std::vector<Pending> lost = std::exchange(batch, {});
  for (Pending& pending : lost) {
    pending.failure = {base::Code::OutcomeUnknown,
                       "the disk failed while this was being written: " + status.message()};
  }
  for (Pending& pending : queue) {
    pending.failure = storage_unavailable(failed);
    lost.push_back(std::move(pending));
  }
  queue.clear();
  watchers.end_all(storage_unavailable(failed));
  const std::weak_ptr<bool> still = alive;
  if (snapshot) finish_snapshot(failed);
  if (still.expired()) return;
  for (auto& waiter : std::exchange(snapshot_waiters, {})) {
    if (waiter) waiter(failed);
    if (still.expired()) return;
  }
  answer(std::move(lost));
}

}  // namespace pelton::store
