// SPDX-License-Identifier: Apache-2.0
// The one file that includes yaml-cpp.
#include "api/yaml.h"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;

constexpr int kDepthMax = 200;
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

class Converter {
 public:
  explicit Converter(size_t text_bytes)
      : nodes_max_(std::max(kNodesMin, text_bytes * kNodesPerByte)) {}

  Result<Json> convert(const YAML::Node& node, int depth = 0) {
    const int line = node.Mark().line;
    if (depth > kDepthMax) return yaml_error(line, "exceeded max depth");
    if (++nodes_ > nodes_max_) return yaml_error(line, "document contains excessive aliasing");
    switch (node.Type()) {
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (const YAML::Node& item : node) {
          PELTON_ASSIGN(Json value, convert(item, depth + 1));
          list.push_back(std::move(value));
        }
        return list;
      }
      case YAML::NodeType::Map:
        return convert_map(node, depth);
      case YAML::NodeType::Scalar: {
        const std::string& tag = node.Tag();
        const bool is_text =
            tag == "!" || tag == "tag:yaml.org,2002:str" || tag == "tag:yaml.org,2002:binary";
        return is_text ? Json(node.Scalar()) : plain_scalar(node.Scalar());
      }
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        break;
    }
    return Json();
  }

 private:
  Result<Json> convert_map(const YAML::Node& node, int depth) {
    Json object = Json::object();
    Json merged = Json::object();  // from "<<": behind what the map says itself
    for (const auto& pair : node) {
      PELTON_ASSIGN(const Json key, convert(pair.first, depth + 1));
      if (pair.first.IsScalar() && pair.first.Scalar() == "<<" && pair.first.Tag() != "!") {
        PELTON_ASSIGN(const Json value, convert(pair.second, depth + 1));
        PELTON_TRY(merge(merged, value, pair.second.Mark().line));
        continue;
      }
      if (key.is_array() || key.is_object()) {
        return yaml_error(pair.first.Mark().line, "a key must be a scalar");
      }
      PELTON_ASSIGN(Json value, convert(pair.second, depth + 1));
      object.set(key.is_string() ? key.as_string() : key.dump(), std::move(value));
    }
    for (const Json::Member& member : merged.members()) {
      if (!object.contains(member.name)) object.set(member.name, member.value);
    }
    return object;
  }

  static Status merge(Json& merged, const Json& value, int line) {
    if (value.is_object()) {
      for (const Json::Member& member : value.members()) {
        if (!merged.contains(member.name)) merged.set(member.name, member.value);
      }
      return base::ok();
    }
    if (!value.is_array()) return yaml_error(line, "map merge requires map or sequence of maps");
    for (const Json& item : value.items()) {
      if (!item.is_object()) return yaml_error(line, "map merge requires map or sequence of maps");
      PELTON_TRY(merge(merged, item, line));
    }
    return base::ok();
  }

  size_t nodes_max_;
  size_t nodes_ = 0;
};

// Whether a string must be quoted so that it reads back as this string.
bool needs_quotes(const std::string& text) {
  if (text.empty() || !plain_scalar(text).is_string()) return true;
  if (text == "<<" || text == "---" || text == "...") return true;
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
      emit_string(out, member.name);
      out += ':';
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

Result<std::vector<Json>> parse_yaml_documents(std::string_view text) {
  std::vector<Json> documents;
  // JSON is YAML too; reading it as JSON is quicker and strict.
  if (base::trim(text).starts_with('{')) {
    if (auto json = Json::parse(text); json.ok()) {
      documents.push_back(std::move(*json));
      return documents;
    }
  }
  try {
    for (const YAML::Node& node : YAML::LoadAll(std::string(text))) {
      PELTON_ASSIGN(Json value, Converter(text.size()).convert(node));
      if (!value.is_null()) documents.push_back(std::move(value));
    }
  } catch (const YAML::Exception& error) {
    return yaml_error(error.mark.line, error.msg);
  }
  return documents;
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
