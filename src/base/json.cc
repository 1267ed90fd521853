// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace pelton::base {
namespace {

const Json kNull;
const std::string kEmptyString;
const Json::Array kEmptyArray;
const Json::Object kEmptyObject;

template <typename Members>
auto lower_bound(Members& members, std::string_view name) {
  // Members mostly arrive in order: look at the end first.
  if (members.empty() || members.back().name < name) return members.end();
  return std::lower_bound(members.begin(), members.end(), name,
                          [](const Json::Member& m, std::string_view n) { return m.name < n; });
}

void append_double(std::string& out, double value) {
  if (!std::isfinite(value)) {
    out += "null";  // JSON has no other way to say it
    return;
  }
  std::string text = fmt::format("{}", value);  // the shortest that reads back the same
  if (text.find_first_of(".eE") == std::string::npos) text += ".0";
  out += text;
}

}  // namespace

Json Json::object(std::initializer_list<std::pair<std::string_view, Json>> members) {
  Json result;
  result.value_ = Object();
  for (const auto& [name, value] : members) result.set(name, value);
  return result;
}

const char* Json::type_name() const {
  static constexpr const char* kNames[] = {"null",   "bool",  "integer", "number",
                                           "string", "array", "object"};
  return kNames[value_.index()];
}

bool Json::as_bool(bool fallback) const {
  const bool* value = std::get_if<bool>(&value_);
  return value ? *value : fallback;
}

int64_t Json::as_int(int64_t fallback) const {
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return *value;
  if (const double* value = std::get_if<double>(&value_)) {
    if (*value == std::floor(*value) && std::abs(*value) < 9.0e18) {
      return static_cast<int64_t>(*value);
    }
  }
  return fallback;
}

double Json::as_double(double fallback) const {
  if (const double* value = std::get_if<double>(&value_)) return *value;
  if (const int64_t* value = std::get_if<int64_t>(&value_)) return static_cast<double>(*value);
  return fallback;
}

const std::string& Json::as_string() const {
  const std::string* value = std::get_if<std::string>(&value_);
  return value ? *value : kEmptyString;
}

const Json::Array& Json::items() const {
  const Array* value = std::get_if<Array>(&value_);
  return value ? *value : kEmptyArray;
}

const Json::Object& Json::members() const {
  const Object* value = std::get_if<Object>(&value_);
  return value ? *value : kEmptyObject;
}

size_t Json::size() const {
  return is_array() ? items().size() : members().size();
}

const Json* Json::find(std::string_view name) const {
  const Object* object = std::get_if<Object>(&value_);
  if (!object) return nullptr;
  auto it = lower_bound(*object, name);
  return it != object->end() && it->name == name ? &it->value : nullptr;
}

Json* Json::find_mutable(std::string_view name) {
  return const_cast<Json*>(find(name));
}

const Json& Json::operator[](std::string_view name) const {
  const Json* value = find(name);
  return value ? *value : kNull;
}

const Json& Json::operator[](size_t index) const {
  return index < items().size() ? items()[index] : kNull;
}

const Json& Json::at(std::string_view dotted_path) const {
  const Json* value = this;
  while (!dotted_path.empty()) {
    size_t dot = dotted_path.find('.');
    value = &(*value)[dotted_path.substr(0, dot)];
    dotted_path = dot == std::string_view::npos ? "" : dotted_path.substr(dot + 1);
  }
  return *value;
}

Json& Json::child(std::string_view name) {
  Object& object = mutable_members();
  auto it = lower_bound(object, name);
  if (it == object.end() || it->name != name) {
    it = object.insert(it, Member{std::string(name), Json()});
  }
  return it->value;
}

Json& Json::set(std::string_view name, Json value) {
  return child(name) = std::move(value);
}

Json& Json::make(std::string_view dotted_path) {
  Json* value = this;
  while (!dotted_path.empty()) {
    size_t dot = dotted_path.find('.');
    value = &value->child(dotted_path.substr(0, dot));
    dotted_path = dot == std::string_view::npos ? "" : dotted_path.substr(dot + 1);
  }
  return *value;
}

bool Json::erase(std::string_view name) {
  Object* object = std::get_if<Object>(&value_);
  if (!object) return false;
  auto it = lower_bound(*object, name);
  if (it == object->end() || it->name != name) return false;
  object->erase(it);
  return true;
}

Json& Json::push_back(Json value) {
  return mutable_items().emplace_back(std::move(value));
}

Json::Array& Json::mutable_items() {
  if (is_null()) value_ = Array();
  PELTON_CHECK(is_array());
  return std::get<Array>(value_);
}

Json::Object& Json::mutable_members() {
  if (is_null()) value_ = Object();
  PELTON_CHECK(is_object());
  return std::get<Object>(value_);
}

bool Json::operator==(const Json& other) const {
  return value_ == other.value_;
}

namespace {
bool needs_escape(unsigned char c) {
  return c < 0x20 || c == '"' || c == '\\';
}

/// Whether one of eight bytes may need an escape: most of what is written does not. (A byte minus a
/// larger one borrows from its high bit, which no byte below 0x80 has of itself; the bytes of other
/// letters are never taken for clean ones.)
bool may_need_escape(const char* eight) {
  constexpr uint64_t kOnes = 0x0101010101010101, kHigh = kOnes * 0x80;
  uint64_t word = 0;
  std::memcpy(&word, eight, sizeof word);
  const uint64_t quote = (word ^ kOnes * '"') - kOnes;
  const uint64_t slash = (word ^ kOnes * '\\') - kOnes;
  return ((word | quote | slash | (word - kOnes * 0x20)) & kHigh) != 0;
}
}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  size_t clean = 0;  // start of the run that needs no escape
  for (size_t i = 0; i < text.size(); ++i) {
    while (text.size() - i >= 8 && !may_need_escape(text.data() + i)) i += 8;
    if (i == text.size()) break;
    const auto c = static_cast<unsigned char>(text[i]);
    if (!needs_escape(c)) continue;
    out.append(text, clean, i - clean);
    clean = i + 1;
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        out += fmt::format("\\u{:04x}", c);
    }
  }
  out.append(text, clean, text.size() - clean);
  out += '"';
}

void Json::dump_to(std::string& out) const {
  dump_indented(out, 0, 0);
}

std::string Json::dump(int indent) const {
  std::string out;
  dump_indented(out, indent, 0);
  return out;
}

void Json::dump_indented(std::string& out, int indent, int level) const {
  const auto line = [&](int to) {
    if (indent > 0) out += '\n', out.append(static_cast<size_t>(indent * to), ' ');
  };
  switch (type()) {
    case Type::Null:
      out += "null";
      return;
    case Type::Bool:
      out += as_bool() ? "true" : "false";
      return;
    case Type::Int:
      out += fmt::format_int(std::get<int64_t>(value_)).c_str();
      return;
    case Type::Double:
      append_double(out, std::get<double>(value_));
      return;
    case Type::String:
      append_json_string(out, as_string());
      return;
    case Type::Array: {
      out += '[';
      bool first = true;
      for (const Json& item : items()) {
        if (!std::exchange(first, false)) out += ',';
        line(level + 1);
        item.dump_indented(out, indent, level + 1);
      }
      if (!first) line(level);
      out += ']';
      return;
    }
    case Type::Object: {
      out += '{';
      bool first = true;
      for (const Member& member : members()) {
        if (!std::exchange(first, false)) out += ',';
        line(level + 1);
        append_json_string(out, member.name);
        out += indent > 0 ? ": " : ":";
        member.value.dump_indented(out, indent, level + 1);
      }
      if (!first) line(level);
      out += '}';
      return;
    }
  }
}

}  // namespace pelton::base
