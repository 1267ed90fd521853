// SPDX-License-Identifier: Apache-2.0
#include "store/state.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/strings.h"

namespace pelton::store {

namespace {

size_t weight(const Change& change) {
  // The event's bytes are shared with the index while they are current: counted all the same, so
  // that the bound holds when they are not.
  return sizeof(Change) + change.event.key.size() +
         (change.event.bytes ? change.event.bytes->size() : 0);
}

struct Token {
  Revision revision = 0;
  std::string last_key;
};

std::string encode_token(const Token& token) {
  return base::base64_encode(fmt::format("v1:{}:{}", token.revision, token.last_key));
}

base::Result<Token> decode_token(std::string_view text) {
  const auto bad = [] {
    return base::Status(base::Code::InvalidArgument,
                        "the continue token is not one of this server");
  };
  auto plain = base::base64_decode(text);
  if (!plain.ok() || !has_prefix(*plain, "v1:")) return bad();
  const size_t colon = plain->find(':', 3);
  if (colon == std::string::npos) return bad();
  auto revision = base::parse_int(std::string_view(*plain).substr(3, colon - 3));
  if (!revision.ok() || *revision < 0) return bad();
  return Token{static_cast<Revision>(*revision), plain->substr(colon + 1)};
}

}  // namespace

base::Result<std::string> newest_token(std::string_view continue_token) {
  PELTON_ASSIGN(Token token, decode_token(continue_token));
  token.revision = 0;
  return encode_token(token);
}

State::State(const Options& options)
    : min_events_(options.history_events), max_bytes_(options.history_bytes) {
  if (options.history_age == base::Duration()) aged_ = std::numeric_limits<Revision>::max();
}

void State::load(Entry entry) {
  index_[std::move(entry.key)] = {std::move(entry.bytes), entry.created, entry.revision};
}

void State::loaded(Revision revision) {
  revision_ = oldest_ = revision;
}

base::Status State::apply(const LoggedOperation& op) {
  if (op.revision <= revision_) {
    return {base::Code::FailedPrecondition,
            fmt::format("revision {} comes after revision {}", op.revision, revision_)};
  }
  auto found = index_.find(op.key);
  Change change;
  change.event.key = op.key;
  change.event.revision = op.revision;
  if (found != index_.end()) {
    change.before = found->second;
    change.event.previous = found->second.bytes;
  }
  if (op.kind == Operation::Kind::Put) {
    const Revision created = found != index_.end() ? found->second.created : op.revision;
    index_[op.key] = {op.bytes, created, op.revision};
    change.event.bytes = op.bytes;
  } else {
    if (found == index_.end()) {
      return {base::Code::FailedPrecondition, "a delete of the absent key " + op.key};
    }
    change.event.kind = Event::Kind::Delete;
    change.event.bytes = op.bytes->empty() ? found->second.bytes : op.bytes;
    index_.erase(found);
  }
  revision_ = op.revision;
  history_bytes_ += weight(change);
  history_.push_back(std::move(change));
  trim();
  return base::ok();
}

void State::tick() {
  ticks_.push_back(revision_);
  if (ticks_.size() <= kAgeTicks) return;
  aged_ = std::max(aged_, ticks_.front());
  ticks_.pop_front();
  trim();
}

void State::trim() {
  const auto may_go = [this] {
    if (history_bytes_ > max_bytes_) return true;
    return history_.size() > min_events_ && history_.front().event.revision <= aged_;
  };
  while (!history_.empty() && may_go()) {
    oldest_ = history_.front().event.revision;
    history_bytes_ -= weight(history_.front());
    history_.pop_front();
  }
}

size_t State::position_after(Revision revision) const {
  auto it = std::partition_point(
      history_.begin(), history_.end(),
      [revision](const Change& change) { return change.event.revision <= revision; });
  return static_cast<size_t>(it - history_.begin());
}

size_t State::count(std::string_view prefix) const {
  size_t n = 0;
  for (auto it = index_.lower_bound(prefix); it != index_.end() && has_prefix(it->first, prefix);
       ++it) {
    ++n;
  }
  return n;
}

base::Result<ListPage> State::list(std::string_view prefix, const ListOptions& options) const {
  Token token{options.at == 0 ? revision_ : options.at, {}};
  if (!options.continue_token.empty()) {
    PELTON_ASSIGN(token, decode_token(options.continue_token));
    if (token.revision == 0) token.revision = revision_;  // a newest_token
  }
  if (token.revision > revision_) {
    return base::Status(
        base::Code::FailedPrecondition, "ResourceVersionTooLarge",
        fmt::format("Too large resource version: {}, current: {}", token.revision, revision_));
  }
  if (token.revision < oldest_) {
    return base::Status(
        base::Code::Gone, "Expired",
        fmt::format("too old resource version: {} ({}); list again", token.revision, oldest_));
  }
  // Undo, newest first, what came after; the last one to touch a key wins, which is the oldest.
  std::map<std::string_view, const std::optional<Value>*> undone;
  const size_t keep = position_after(token.revision);
  for (size_t i = history_.size(); i-- > keep;) {
    const Change& change = history_[i];
    if (has_prefix(change.event.key, prefix)) undone[change.event.key] = &change.before;
  }
  ListPage page;
  page.revision = token.revision;
  const auto add = [&](std::string_view key, const Value& value) {
    if (!token.last_key.empty() && key <= token.last_key) return;
    if (options.limit != 0 && page.entries.size() == options.limit) {
      ++page.remaining;
      return;
    }
    page.entries.push_back({std::string(key), value.bytes, value.created, value.revision});
  };
  const std::string_view start = std::max<std::string_view>(prefix, token.last_key);
  auto current = index_.lower_bound(start);
  auto undo = undone.lower_bound(start);
  for (;;) {
    const bool has_current = current != index_.end() && has_prefix(current->first, prefix);
    const bool has_undo = undo != undone.end();
    if (!has_current && !has_undo) break;
    if (has_undo && (!has_current || undo->first <= current->first)) {
      if (has_current && undo->first == current->first) ++current;
      if (undo->second->has_value()) add(undo->first, **undo->second);
      ++undo;
    } else {
      add(current->first, current->second);
      ++current;
    }
  }
  if (page.remaining > 0) {
    page.continue_token = encode_token({token.revision, page.entries.back().key});
  }
  return page;
}

}  // namespace pelton::store
