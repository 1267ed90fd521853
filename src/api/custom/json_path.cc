// SPDX-License-Identifier: Apache-2.0
#include "api/custom/json_path.h"

#include "base/strings.h"

namespace pelton::api::custom {

using base::Json;
using base::Result;
using base::Status;

namespace {
Status bad_path(std::string_view text) {
  return base::invalid_argument("`" + std::string(text) +
                                "` is no path: want names after dots, [0], [*], ['name'] or "
                                "[?(@.name==\"value\")]");
}

/// Up to the next unescaped '.' or '['; a backslash takes the next character as it is.
std::string take_name(std::string_view text, size_t& at) {
  std::string name;
  while (at < text.size() && text[at] != '.' && text[at] != '[') {
    if (text[at] == '\\' && at + 1 < text.size()) ++at;
    name.push_back(text[at++]);
  }
  return name;
}

bool is_quoted(std::string_view text) {
  return text.size() >= 2 && (text.front() == '\'' || text.front() == '"') &&
         text.front() == text.back();
}

/// Where a bracket ends: not inside quotes.
size_t bracket_end(std::string_view text, size_t at) {
  char quote = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '\'' || c == '"') {
      quote = c;
    } else if (c == ']') {
      return at;
    }
  }
  return std::string_view::npos;
}

std::string scalar_text(const Json& value) {
  return value.is_string() ? value.as_string() : value.dump();
}
}  // namespace

Status JsonPath::parse_bracket(std::string_view inside) {
  Step step;
  if (inside == "*") {
    step.kind = Step::Kind::All;
  } else if (is_quoted(inside)) {
    step.name = inside.substr(1, inside.size() - 2);
  } else if (inside.starts_with("?(") && inside.ends_with(")")) {
    std::string_view condition = inside.substr(2, inside.size() - 3);
    size_t at = condition.find("==");
    step.is_equal = at != std::string_view::npos;
    if (!step.is_equal) at = condition.find("!=");
    if (at == std::string_view::npos) return bad_path(inside);
    const std::string left(base::trim(condition.substr(0, at)));
    const std::string right(base::trim(condition.substr(at + 2)));
    if (!left.starts_with("@.") || left.size() == 2) return bad_path(inside);
    step.kind = Step::Kind::Filter;
    step.name = left.substr(2);
    step.value = is_quoted(right) ? right.substr(1, right.size() - 2) : right;
  } else {
    const Result<int64_t> index = base::parse_int(inside);
    if (!index.ok()) return bad_path(inside);
    step.kind = Step::Kind::Index;
    step.index = *index;
  }
  steps_.push_back(std::move(step));
  return base::ok();
}

Result<JsonPath> JsonPath::parse(std::string_view text) {
  JsonPath path;
  size_t at = 0;
  if (text.empty() || (text[0] != '.' && text[0] != '[')) return bad_path(text);
  while (at < text.size()) {
    if (text[at] == '[') {
      const size_t end = bracket_end(text, at + 1);
      if (end == std::string_view::npos) return bad_path(text);
      PELTON_TRY(path.parse_bracket(text.substr(at + 1, end - at - 1)));
      at = end + 1;
      continue;
    }
    if (text[at] != '.') return bad_path(text);
    ++at;
    if (at < text.size() && text[at] == '[') continue;  // ".['name']"
    Step step;
    step.name = take_name(text, at);
    if (step.name.empty()) {
      if (at < text.size() || path.steps_.size() > 0) return bad_path(text);
      continue;  // "." is the object itself
    }
    if (step.name == "*") step.kind = Step::Kind::All;
    path.steps_.push_back(std::move(step));
  }
  return path;
}

std::vector<const Json*> JsonPath::find(const Json& object) const {
  std::vector<const Json*> found = {&object};
  for (const Step& step : steps_) {
    std::vector<const Json*> next;
    for (const Json* value : found) {
      if (step.kind == Step::Kind::Name) {
        if (const Json* member = value->find(step.name)) next.push_back(member);
      } else if (step.kind == Step::Kind::Index) {
        const auto size = static_cast<int64_t>(value->items().size());
        const int64_t index = step.index < 0 ? size + step.index : step.index;
        if (index >= 0 && index < size) next.push_back(&value->items()[static_cast<size_t>(index)]);
      } else {
        for (const Json& item : value->items()) {
          const Json& compared = item.at(step.name);
          const bool is_match = !compared.is_null() && scalar_text(compared) == step.value;
          if (step.kind == Step::Kind::All || is_match == step.is_equal) next.push_back(&item);
        }
        if (step.kind != Step::Kind::All) continue;
        for (const Json::Member& member : value->members()) next.push_back(&member.value);
      }
    }
    found = std::move(next);
  }
  return found;
}

std::vector<std::string> JsonPath::names() const {
  std::vector<std::string> out;
  for (const Step& step : steps_) {
    if (step.kind != Step::Kind::Name) return {};
    out.push_back(step.name);
  }
  return out;
}

std::string cell_text(const Json& value) {
  return scalar_text(value);
}

}  // namespace pelton::api::custom
