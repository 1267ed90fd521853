// SPDX-License-Identifier: Apache-2.0
#include "api/selector.h"

#include <fmt/format.h>

#include <algorithm>

#include "api/names.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using base::Result;
using base::Status;
using Operator = LabelSelector::Operator;
using Requirement = LabelSelector::Requirement;

Status bad_request(std::string message) {
  return {base::Code::InvalidArgument, "BadRequest", std::move(message)};
}

// Words and marks of the string form.
class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  /// The next token, "" at the end. Marks: ! , ( ) = == != > <
  std::string_view peek() {
    if (!has_token_) token_ = read(), has_token_ = true;
    return token_;
  }
  std::string_view next() {
    const std::string_view token = peek();
    has_token_ = false;
    return token;
  }
  bool accept(std::string_view token) {
    if (peek() != token) return false;
    next();
    return true;
  }
  static bool is_mark(std::string_view token) {
    return !token.empty() && std::string_view("!,()=<>").find(token[0]) != std::string_view::npos;
  }

 private:
  std::string_view read() {
    at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size());
    const std::string_view rest = text_.substr(at_);
    if (rest.empty()) return rest;
    size_t length = 1;
    if (is_mark(rest)) {
      if (rest.starts_with("==") || rest.starts_with("!=")) length = 2;
    } else {
      length = std::min(rest.find_first_of("!,()=<> \t\r\n"), rest.size());
    }
    at_ += length;
    return rest.substr(0, length);
  }

  std::string_view text_;
  std::string_view token_;
  size_t at_ = 0;
  bool has_token_ = false;
};

Status unexpected(std::string_view found, std::string_view expected) {
  return bad_request(fmt::format("found '{}', expected: {}", found, expected));
}

Status check_requirement(const Requirement& requirement) {
  if (std::string problem = check_qualified_name(requirement.key); !problem.empty()) {
    return bad_request(fmt::format("<nil>: Invalid value: \"{}\": {}", requirement.key, problem));
  }
  const bool is_number =
      requirement.op == Operator::GreaterThan || requirement.op == Operator::LessThan;
  for (const std::string& value : requirement.values) {
    if (is_number && !base::parse_int(value).ok()) {
      return bad_request(
          fmt::format("values[0][{}]: Invalid value: \"{}\": for 'Gt', 'Lt' "
                      "operators, the value must be an integer",
                      requirement.key, value));
    }
    if (std::string problem = check_label_value(value); !problem.empty()) {
      return bad_request(
          fmt::format("values[0][{}]: Invalid value: \"{}\": {}", requirement.key, value, problem));
    }
  }
  return base::ok();
}

// "(a,b)": the opening parenthesis is read.
Status parse_values(Lexer& lexer, std::vector<std::string>& values) {
  for (;;) {
    const std::string_view token = lexer.peek();
    if (token == "," || token == ")") {
      values.emplace_back();  // an empty value, as upstream
    } else if (token.empty() || Lexer::is_mark(token)) {
      return unexpected(token, "',', ')' or identifier");
    } else {
      values.emplace_back(lexer.next());
    }
    if (lexer.accept(")")) break;
    if (!lexer.accept(",")) return unexpected(lexer.peek(), "',' or ')'");
  }
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
  return base::ok();
}

Status parse_requirement(Lexer& lexer, Requirement& out) {
  const bool is_negated = lexer.accept("!");
  if (lexer.peek().empty() || Lexer::is_mark(lexer.peek())) {
    return unexpected(lexer.peek(),
                      is_negated ? "identifier" : "!, identifier, or 'end of string'");
  }
  out.key = lexer.next();
  const std::string_view op = lexer.peek();
  if (op.empty() || op == ",") {
    out.op = is_negated ? Operator::DoesNotExist : Operator::Exists;
    return base::ok();
  }
  if (is_negated) return unexpected(op, "',' or 'end of string'");
  lexer.next();
  if (op == "in" || op == "notin") {
    out.op = op == "in" ? Operator::In : Operator::NotIn;
    if (!lexer.accept("(")) return unexpected(lexer.peek(), "'('");
    return parse_values(lexer, out.values);
  }
  if (op == "=" || op == "==" || op == "!=") {
    out.op = op == "!=" ? Operator::NotIn : Operator::In;
  } else if (op == ">" || op == "<") {
    out.op = op == ">" ? Operator::GreaterThan : Operator::LessThan;
  } else {
    return unexpected(op, "in, notin, =, ==, !=, gt, lt");
  }
  const std::string_view value = lexer.peek();
  if (value.empty() || value == ",") {
    out.values.emplace_back();
    return base::ok();
  }
  if (Lexer::is_mark(value)) return unexpected(value, "identifier");
  out.values.emplace_back(lexer.next());
  return base::ok();
}

Result<Requirement> from_expression(const Json& expression) {
  static constexpr std::pair<std::string_view, Operator> kOperators[] = {
      {"In", Operator::In},          {"NotIn", Operator::NotIn},
      {"Exists", Operator::Exists},  {"DoesNotExist", Operator::DoesNotExist},
      {"Gt", Operator::GreaterThan}, {"Lt", Operator::LessThan}};
  const std::string& name = expression["operator"].as_string();
  for (const auto& [text, op] : kOperators) {
    if (text != name) continue;
    Requirement requirement{expression["key"].as_string(), op, {}};
    for (const Json& value : expression["values"].items()) {
      requirement.values.push_back(value.as_string());
    }
    std::sort(requirement.values.begin(), requirement.values.end());
    const bool has_set = op == Operator::In || op == Operator::NotIn;
    const bool has_none = op == Operator::Exists || op == Operator::DoesNotExist;
    if (has_set && requirement.values.empty()) {
      return bad_request("for 'in', 'notin' operators, values set can't be empty");
    }
    if (has_none && !requirement.values.empty()) {
      return bad_request("values set must be empty for exists and does not exist");
    }
    if (!has_set && !has_none && requirement.values.size() != 1) {
      return bad_request("for 'Gt', 'Lt' operators, exactly one value is required");
    }
    PELTON_TRY(check_requirement(requirement));
    return requirement;
  }
  return bad_request(fmt::format("\"{}\" is not a valid label selector operator", name));
}

std::string escape_field_value(std::string_view value) {
  std::string out;
  for (char c : value) {
    if (c == '\\' || c == ',' || c == '=') out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

bool Requirement::matches(const Json& labels) const {
  const Json* label = labels.find(key);
  switch (op) {
    case Operator::Exists:
      return label != nullptr;
    case Operator::DoesNotExist:
      return label == nullptr;
    case Operator::In:
      return label && std::binary_search(values.begin(), values.end(), label->as_string());
    case Operator::NotIn:
      return !label || !std::binary_search(values.begin(), values.end(), label->as_string());
    case Operator::GreaterThan:
    case Operator::LessThan: {
      if (!label || values.empty()) return false;
      const auto have = base::parse_int(label->as_string());
      const auto bound = base::parse_int(values[0]);
      if (!have.ok() || !bound.ok()) return false;
      return op == Operator::GreaterThan ? *have > *bound : *have < *bound;
    }
  }
  return false;
}

LabelSelector LabelSelector::nothing() {
  LabelSelector selector;
  selector.is_nothing_ = true;
  return selector;
}

Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  LabelSelector selector;
  Lexer lexer(text);
  while (!lexer.peek().empty()) {
    Requirement requirement;
    Status status = parse_requirement(lexer, requirement);
    if (status.ok()) status = check_requirement(requirement);
    if (!status.ok()) {
      return Status(base::Code::InvalidArgument, "BadRequest",
                    "unable to parse requirement: " + status.message());
    }
    selector.add(std::move(requirement));
    if (lexer.peek().empty()) break;
    if (!lexer.accept(",")) return unexpected(lexer.peek(), "',' or 'end of string'");
    if (lexer.peek().empty()) return unexpected("", "identifier after ','");
  }
  return selector;
}

Result<LabelSelector> LabelSelector::from_object(const Json& selector) {
  if (selector.is_null()) return nothing();
  LabelSelector result = from_map(selector["matchLabels"]);
  PELTON_ASSIGN(const LabelSelector rest, from_expressions(selector["matchExpressions"]));
  for (const Requirement& requirement : rest.requirements()) result.add(requirement);
  return result;
}

LabelSelector LabelSelector::from_map(const Json& labels) {
  LabelSelector result;
  for (const Json::Member& member : labels.members()) {
    result.add({member.name, Operator::In, {member.value.as_string()}});
  }
  return result;
}

Result<LabelSelector> LabelSelector::from_expressions(const Json& expressions) {
  LabelSelector result;
  for (const Json& expression : expressions.items()) {
    PELTON_ASSIGN(Requirement requirement, from_expression(expression));
    result.add(std::move(requirement));
  }
  return result;
}

bool LabelSelector::matches(const Json& labels) const {
  return !is_nothing_ && std::all_of(requirements_.begin(), requirements_.end(),
                                     [&](const Requirement& r) { return r.matches(labels); });
}

void LabelSelector::add(Requirement requirement) {
  requirements_.push_back(std::move(requirement));
}

std::string LabelSelector::to_string() const {
  std::vector<std::string> parts;
  for (const Requirement& r : requirements_) {
    const bool is_single = r.values.size() == 1;
    switch (r.op) {
      case Operator::Exists:
        parts.push_back(r.key);
        break;
      case Operator::DoesNotExist:
        parts.push_back("!" + r.key);
        break;
      case Operator::In:
        parts.push_back(is_single ? r.key + "=" + r.values[0]
                                  : r.key + " in (" + base::join(r.values, ",") + ")");
        break;
      case Operator::NotIn:
        parts.push_back(is_single ? r.key + "!=" + r.values[0]
                                  : r.key + " notin (" + base::join(r.values, ",") + ")");
        break;
      case Operator::GreaterThan:
        parts.push_back(r.key + ">" + base::join(r.values, ","));
        break;
      case Operator::LessThan:
        parts.push_back(r.key + "<" + base::join(r.values, ","));
        break;
    }
  }
  return base::join(parts, ",");
}

namespace {

// One term "path=value"; commas and equals signs of the value are escaped by '\'.
Status parse_field_term(std::string_view term, FieldSelector::Requirement& out) {
  const size_t at = term.find('=');
  if (at == std::string_view::npos || at == 0) {
    return bad_request(fmt::format("invalid selector: '{}'; can't understand '{}'", term, term));
  }
  out.is_equal = term[at - 1] != '!';
  out.path = base::trim(term.substr(0, out.is_equal ? at : at - 1));
  std::string_view value = term.substr(at + 1);
  if (out.is_equal && value.starts_with('=')) value.remove_prefix(1);
  for (size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '\\' && i + 1 < value.size()) ++i;
    out.value += value[i];
  }
  return base::ok();
}

bool is_selectable(std::string_view path, const ResourceInfo& resource) {
  if (path == "metadata.name" || (path == "metadata.namespace" && resource.is_namespaced)) {
    return true;
  }
  const auto& fields = resource.selectable_fields;
  return std::find(fields.begin(), fields.end(), path) != fields.end();
}

// Fields whose selector name is not where the value stands.
std::string value_of(const Json& object, const std::string& path) {
  if (path == "source") return object["source"]["component"].as_string();
  if (path == "status.successful") return std::to_string(object["status"]["succeeded"].as_int());
  const Json& value = object.at(path);
  if (value.is_bool()) return value.as_bool() ? "true" : "false";
  if (value.is_int()) return std::to_string(value.as_int());
  const bool is_flag = path == "spec.unschedulable" || path == "spec.hostNetwork";
  if (value.is_null() && is_flag) return "false";
  return value.as_string();
}

}  // namespace

Result<FieldSelector> FieldSelector::parse(std::string_view text, const ResourceInfo& resource) {
  FieldSelector selector;
  size_t begin = 0;
  while (begin < text.size()) {
    size_t end = begin;
    while (end < text.size() && text[end] != ',') end += text[end] == '\\' ? 2 : 1;
    end = std::min(end, text.size());
    const std::string_view term = text.substr(begin, end - begin);
    begin = end + 1;
    if (term.empty()) continue;
    Requirement requirement;
    PELTON_TRY(parse_field_term(term, requirement));
    if (!is_selectable(requirement.path, resource)) {
      return bad_request("field label not supported: " + requirement.path);
    }
    selector.requirements_.push_back(std::move(requirement));
  }
  return selector;
}

bool FieldSelector::matches(const Json& object) const {
  return std::all_of(requirements_.begin(), requirements_.end(), [&](const Requirement& r) {
    return (value_of(object, r.path) == r.value) == r.is_equal;
  });
}

std::string_view FieldSelector::required_value(std::string_view path) const {
  for (const Requirement& r : requirements_) {
    if (r.is_equal && r.path == path) return r.value;
  }
  return {};
}

std::string FieldSelector::to_string() const {
  std::vector<std::string> parts;
  for (const Requirement& r : requirements_) {
    parts.push_back(r.path + (r.is_equal ? "=" : "!=") + escape_field_value(r.value));
  }
  return base::join(parts, ",");
}

}  // namespace pelton::api
