// SPDX-License-Identifier: Apache-2.0
#include "api/names.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace pelton::api {
namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_alnum(char c) {
  return is_lower(c) || is_digit(c) || (c >= 'A' && c <= 'Z');
}
bool is_lower_alnum(char c) {
  return is_lower(c) || is_digit(c);
}

std::string too_long(size_t limit) {
  return fmt::format("must be no more than {} bytes", limit);
}

// One DNS label without its length: [a-z0-9]([-a-z0-9]*[a-z0-9])?
bool is_label_shape(std::string_view text) {
  return !text.empty() && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_lower_alnum(c) || c == '-'; });
}

// ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]
bool is_name_shape(std::string_view text) {
  return !text.empty() && is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

constexpr char kLabel[] =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and "
    "must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
constexpr char kSubdomain[] =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used "
    "for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
constexpr char kLabel1035[] =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
    "alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', "
    "regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
constexpr char kQualified[] =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an "
    "alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for "
    "validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
constexpr char kLabelValue[] =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or "
    "'.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  "
    "or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

// The alphabet of generated names: no vowels and nothing that reads as another.
constexpr std::string_view kSuffixAlphabet = "bcdfghjklmnpqrstvwxz2456789";

bool is_ipv4(std::string_view text) {
  const auto parts = base::split(text, '.');
  return parts.size() == 4 && std::all_of(parts.begin(), parts.end(), [](std::string_view part) {
           if (part.empty() || part.size() > 3 || (part.size() > 1 && part[0] == '0')) return false;
           if (!std::all_of(part.begin(), part.end(), is_digit)) return false;
           return *base::parse_int(part) <= 255;
         });
}

bool is_ipv6(std::string_view text) {
  size_t groups = 0;
  bool has_gap = false;
  if (text == "::") return true;
  if (text.starts_with("::")) has_gap = true, text.remove_prefix(2);
  while (!text.empty()) {
    const size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
      groups += 2;
      return is_ipv4(group) && (has_gap ? groups < 8 : groups == 8);
    }
    if (group.empty() || group.size() > 4) return false;
    for (char c : group) {
      if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f')) return false;
    }
    ++groups;
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return false;  // ends in one colon
    if (text.front() == ':') {
      if (has_gap) return false;
      has_gap = true;
      text.remove_prefix(1);
    }
  }
  return has_gap ? groups < 8 : groups == 8;
}

}  // namespace

std::string check_dns1123_label(std::string_view text) {
  if (text.size() > 63) return too_long(63);
  return is_label_shape(text) ? "" : kLabel;
}

std::string check_dns1123_subdomain(std::string_view text) {
  if (text.size() > 253) return too_long(253);
  const auto labels = base::split(text, '.');
  const bool is_good = !labels.empty() && std::all_of(labels.begin(), labels.end(), is_label_shape);
  return is_good ? "" : kSubdomain;
}

std::string check_dns1035_label(std::string_view text) {
  if (text.size() > 63) return too_long(63);
  return is_label_shape(text) && is_lower(text.front()) ? "" : kLabel1035;
}

std::string check_qualified_name(std::string_view text) {
  const size_t slash = text.find('/');
  std::string_view name = text;
  if (slash != std::string_view::npos) {
    const std::string_view prefix = text.substr(0, slash);
    name = text.substr(slash + 1);
    if (name.find('/') != std::string_view::npos) {
      return std::string("a qualified name ") + kQualified +
             " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
    }
    if (prefix.empty()) return "prefix part must be non-empty";
    if (std::string problem = check_dns1123_subdomain(prefix); !problem.empty()) {
      return "prefix part " + problem;
    }
  }
  if (name.empty()) return "name part must be non-empty";
  if (name.size() > 63) return "name part " + too_long(63);
  return is_name_shape(name) ? "" : std::string("name part ") + kQualified;
}

std::string check_label_value(std::string_view text) {
  if (text.size() > 63) return too_long(63);
  return text.empty() || is_name_shape(text) ? "" : kLabelValue;
}

std::string check_config_key(std::string_view text) {
  if (text.size() > 253) return too_long(253);
  if (text == ".") return "must not be '.'";
  if (text == "..") return "must not be '..'";
  if (text.starts_with("..")) return "must not start with '..'";
  const bool is_good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return is_alnum(c) || c == '-' || c == '_' || c == '.';
  });
  return is_good ? ""
                 : "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                   "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is "
                   "'[-._a-zA-Z0-9]+')";
}

std::string check_env_name(std::string_view text) {
  const bool is_good = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return c >= ' ' && c <= '~' && c != '=';
  });
  return is_good ? ""
                 : "a valid environment variable name must consist only of printable ASCII "
                   "characters other than '='";
}

std::string check_port_name(std::string_view text) {
  if (text.size() > 15) return "must be no more than 15 characters";
  if (!is_label_shape(text)) {
    return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
  }
  if (text.find("--") != std::string_view::npos) return "must not contain consecutive hyphens";
  if (std::none_of(text.begin(), text.end(), is_lower)) {
    return "must contain at least one letter (a-z)";
  }
  return "";
}

std::string check_path_segment(std::string_view text) {
  if (text == "." || text == "..") return fmt::format("may not be '{}'", text);
  for (char c : {'/', '%'}) {
    if (text.find(c) != std::string_view::npos) return fmt::format("may not contain '{}'", c);
  }
  return "";
}

std::string check_ip(std::string_view text) {
  if (is_ipv4(text) || is_ipv6(text)) return "";
  return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
}

std::string name_suffix(uint64_t random, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    text += kSuffixAlphabet[random % kSuffixAlphabet.size()];
    random /= kSuffixAlphabet.size();
  }
  return text;
}

std::string generate_name(std::string_view prefix, uint64_t random) {
  return std::string(prefix.substr(0, 58)) + name_suffix(random);
}

}  // namespace pelton::api
