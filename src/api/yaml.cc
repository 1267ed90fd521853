// SPDX-License-Identifier: Apache-2.0
// The one file that includes yaml-cpp.
#include "api/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>

#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;

constexpr size_t kDepthMax = 200;
// An alias of aliases may stand for billions of values: so many are read per byte of text.
constexpr size_t kNodesPerByte = 10;
constexpr size_t kNodesMin = 10'000;

Status yaml_error(int line, std::string_view what) {
  // YAML counts lines from 0, people from 1; -1 is unknown.
  return {
      base::Code::InvalidArgument, "BadRequest",
      line >= 0 ? fmt::format("yaml: line {}: {}", line + 1, what) : fmt::format("yaml: {}", what)};
}

bool is_any_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Digits in a base, underscores allowed between them; as Go's ParseInt with base 0.
bool parse_yaml_int(std::string_view text, Json& out) {
  std::string digits;
  for (char c : text) {
    if (c != '_') digits += c;
  }
  std::string_view rest = digits;
  const bool is_negative = rest.starts_with('-');
  if (is_negative || rest.starts_with('+')) rest.remove_prefix(1);
  int base = 10;
  const auto take = [&](std::initializer_list<std::string_view> prefixes, int prefix_base) {
    for (std::string_view prefix : prefixes) {
      if (base == 10 && rest.starts_with(prefix) && rest.size() > prefix.size()) {
        rest.remove_prefix(prefix.size());
        base = prefix_base;
      }
    }
  };
  take({"0x", "0X"}, 16);
  take({"0o", "0O"}, 8);
  take({"0b", "0B"}, 2);
  take({"0"}, 8);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value, base);
  if (error != std::errc() || end != rest.data() + rest.size() || rest.empty()) return false;
  const uint64_t limit = static_cast<uint64_t>(INT64_MAX) + (is_negative ? 1 : 0);
  if (value > limit) {
    out = Json(is_negative ? -static_cast<double>(value) : static_cast<double>(value));
  } else {
    out = Json(is_negative ? static_cast<int64_t>(0 - value) : static_cast<int64_t>(value));
  }
  return true;
}

// [-+]?[0-9]*.?[0-9]+([eE][-+][0-9]+)?
bool parse_yaml_float(std::string_view text, Json& out) {
  size_t i = 0;
  const auto skip_digits = [&] {
    const size_t first = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - first;
  };
  if (i < text.size() && (text[i] == '-' || text[i] == '+')) ++i;
  const size_t whole = skip_digits();
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (skip_digits() == 0 && whole == 0) return false;
  } else if (whole == 0) {
    return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i >= text.size() || (text[i] != '-' && text[i] != '+')) return false;
    ++i;
    if (skip_digits() == 0) return false;
  }
  if (i != text.size()) return false;
  if (text.starts_with('+')) text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return false;
  // JSON as Go writes it has no 1.0: a whole number reads back as an integer.
  const bool is_whole = value == std::floor(value) && std::abs(value) < 1e15;
  out = is_whole ? Json(static_cast<int64_t>(value)) : Json(value);
  return true;
}

Json plain_scalar(const std::string& text) {
  if (is_any_of(text, {"", "~", "null", "Null", "NULL"})) return Json();
  if (is_any_of(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    return Json(true);
  }
  if (is_any_of(text,
                {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return Json(false);
  }
  Json number;
  const bool may_be_number =
      text[0] == '-' || text[0] == '+' || text[0] == '.' || (text[0] >= '0' && text[0] <= '9');
  if (may_be_number && (parse_yaml_int(text, number) || parse_yaml_float(text, number))) {
    return number;
  }
  return Json(text);
}

// Builds values from the parser's events. After the first error it ignores what comes.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(size_t text_bytes)
      : nodes_max_(std::max(kNodesMin, text_bytes * kNodesPerByte)) {}

  const Status& status() const { return status_; }
  int start_position() const { return start_position_; }
  /// `line 3: key "x" already set in map`, in the order of their ends.
  const std::vector<std::string>& duplicates() const { return duplicates_; }
  /// The finished document; null where it was empty.
  Json take() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    start_position_ = mark.pos;
    stack_.clear();
    anchors_.clear();
    root_ = Json();
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(mark, Json(), 1, false, anchor);
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& text) override {
    const bool is_text =
        tag == "!" || tag == "tag:yaml.org,2002:str" || tag == "tag:yaml.org,2002:binary";
    add(mark, is_text ? Json(text) : plain_scalar(text), 1, !is_text && text == "<<", anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (!status_.ok()) return;
    if (anchor >= anchors_.size() || !anchors_[anchor].is_finished) {
      fail(mark, "an anchor's value contains itself");
      return;
    }
    // By value: adding may move the anchors.
    const Anchor known = anchors_[anchor];
    add(mark, known.value, known.nodes, false, YAML::NullAnchor);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, Json::array(), anchor);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, Json::object(), anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    YAML::Mark mark;
    Json value;
    Json merged;  ///< from "<<": behind what the map says itself
    std::string key;
    bool has_key = false;
    bool is_merge = false;
    size_t nodes = 1;
    YAML::anchor_t anchor = YAML::NullAnchor;
  };
  struct Anchor {
    Json value;
    size_t nodes = 0;
    bool is_finished = false;
  };

  void fail(const YAML::Mark& mark, std::string_view what) {
    if (status_.ok()) status_ = yaml_error(mark.line, what);
  }

  void open(const YAML::Mark& mark, Json value, YAML::anchor_t anchor) {
    if (!status_.ok()) return;
    if (stack_.size() >= kDepthMax) return fail(mark, "exceeded max depth");
    if (!stack_.empty() && stack_.back().value.is_object() && !stack_.back().has_key) {
      return fail(mark, "a key must be a scalar");
    }
    stack_.push_back({mark, std::move(value), Json::object(), "", false, false, 1, anchor});
  }

  void close() {
    if (!status_.ok() || stack_.empty()) return;
    Frame frame = std::move(stack_.back());
    stack_.pop_back();
    for (const Json::Member& member : frame.merged.members()) {
      if (!frame.value.contains(member.name)) frame.value.set(member.name, member.value);
    }
    // Its parts are counted; the frame itself is not yet.
    add(frame.mark, std::move(frame.value), frame.nodes, false, frame.anchor, 1);
  }

  // Puts a value where it belongs: the document, the open list, or a key or value of the open map.
  void add(const YAML::Mark& mark, Json value, size_t nodes, bool is_merge_key,
           YAML::anchor_t anchor, size_t uncounted = SIZE_MAX) {
    if (!status_.ok()) return;
    nodes_ += std::min(nodes, uncounted);
    if (nodes_ > nodes_max_) return fail(mark, "document contains excessive aliasing");
    if (anchor != YAML::NullAnchor) {
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
      anchors_[anchor] = {value, nodes, true};
    }
    if (stack_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& frame = stack_.back();
    frame.nodes += nodes;
    if (frame.value.is_array()) {
      frame.value.push_back(std::move(value));
    } else if (!frame.has_key) {
      if (value.is_array() || value.is_object()) return fail(mark, "a key must be a scalar");
      frame.key = value.is_string() ? value.as_string() : value.dump();
      frame.has_key = true;
      frame.is_merge = is_merge_key;
    } else {
      frame.has_key = false;
      if (frame.is_merge) return merge(mark, frame.merged, value);
      if (frame.value.contains(frame.key)) {
        duplicates_.push_back(fmt::format("line {}: key {} already set in map", mark.line + 1,
                                          Json(frame.key).dump()));
      }
      frame.value.set(frame.key, std::move(value));
    }
  }

  void merge(const YAML::Mark& mark, Json& merged, const Json& value) {
    if (value.is_array()) {
      for (const Json& item : value.items()) {
        if (!item.is_object()) return fail(mark, "map merge requires map or sequence of maps");
        merge(mark, merged, item);
      }
      return;
    }
    if (!value.is_object()) return fail(mark, "map merge requires map or sequence of maps");
    for (const Json::Member& member : value.members()) {
      if (!merged.contains(member.name)) merged.set(member.name, member.value);
    }
  }

  Status status_;
  Json root_;
  std::vector<std::string> duplicates_;
  std::vector<Frame> stack_;
  std::vector<Anchor> anchors_;
  size_t nodes_max_;
  size_t nodes_ = 0;
  int start_position_ = -1;
};

// Whether a string must be quoted so that it reads back as this string.
bool needs_quotes(const std::string& text) {
  if (text.empty() || !plain_scalar(text).is_string()) return true;
  // At the beginning of a line three dots end the document, whatever stands behind them.
  if (text == "<<" || text.starts_with("...")) return true;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@` \t").find(text.front()) != std::string::npos) {
    const bool is_word = (text.front() == '-' || text.front() == '?' || text.front() == ':') &&
                         text.size() > 1 && text[1] > ' ' && text[1] != '-';
    if (!is_word) return true;
  }
  if (text.back() == ' ' || text.back() == ':' || text.back() == '\t') return true;
  if (text.find(": ") != std::string::npos || text.find(" #") != std::string::npos) return true;
  return std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < ' ' || static_cast<unsigned char>(c) >= 0x7f;
  });
}

void emit_string(std::string& out, const std::string& text) {
  if (needs_quotes(text)) {
    base::append_json_string(out, text);
  } else {
    out += text;
  }
}

// The value of a key or a dash, beginning on the same line; ends the line.
void emit(std::string& out, const Json& value, size_t indent, bool is_in_list) {
  if (value.is_object() && !value.empty()) {
    bool is_first = is_in_list;  // the first key stands behind the dash
    for (const Json::Member& member : value.members()) {
      if (!is_first) out.append(indent, ' ');
      is_first = false;
      std::string key;
      emit_string(key, member.name);
      // A key of over 1024 characters must be said to be one (YAML 1.2, 8.2.2).
      if (key.size() > 1000) key = "? " + key + "\n" + std::string(indent, ' ');
      out += key + ":";
      const bool is_block = !member.value.empty();
      out += is_block ? "\n" : " ";
      emit(out, member.value, member.value.is_array() ? indent : indent + 2, false);
    }
    return;
  }
  if (value.is_array() && !value.empty()) {
    bool is_first = is_in_list;
    for (const Json& item : value.items()) {
      if (!is_first) out.append(indent, ' ');
      is_first = false;
      out += "- ";
      emit(out, item, indent + 2, true);
    }
    return;
  }
  if (value.is_string()) {
    emit_string(out, value.as_string());
  } else {
    value.dump_to(out);
  }
  out += '\n';
}

}  // namespace

namespace {

Result<std::vector<Json>> build_documents(std::string_view text, Builder& builder) {
  std::vector<Json> documents;
  std::istringstream stream{std::string(text)};
  try {
    YAML::Parser parser(stream);
    int last_position = -1;
    while (parser.HandleNextDocument(builder)) {
      PELTON_TRY(builder.status());
      // On some marks in a wrong place the parser stands still, giving empty documents for ever.
      if (builder.start_position() == last_position) {
        return yaml_error(-1, "a document begins with what cannot begin one");
      }
      last_position = builder.start_position();
      Json value = builder.take();
      if (!value.is_null()) documents.push_back(std::move(value));
    }
  } catch (const YAML::Exception& error) {
    return yaml_error(error.mark.line, error.msg);
  }
  return documents;
}

}  // namespace

Result<std::vector<Json>> parse_yaml_documents(std::string_view text) {
  // JSON is YAML too; reading it as JSON is quicker and strict.
  if (base::trim(text).starts_with('{')) {
    if (auto json = Json::parse(text); json.ok()) return std::vector<Json>{std::move(*json)};
  }
  Builder builder(text.size());
  return build_documents(text, builder);
}

std::vector<std::string> find_duplicate_keys(std::string_view text) {
  Builder builder(text.size());
  if (!build_documents(text, builder).ok()) return {};
  return builder.duplicates();
}

Result<Json> parse_yaml(std::string_view text) {
  PELTON_ASSIGN(std::vector<Json> documents, parse_yaml_documents(text));
  if (documents.empty()) return Json();
  if (documents.size() > 1) return yaml_error(-1, "expected one document, found several");
  return std::move(documents.front());
}

std::string to_yaml(const Json& value) {
  std::string out;
  emit(out, value, 0, false);
  return out;
}

}  // namespace pelton::api
