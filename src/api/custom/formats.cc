// SPDX-License-Identifier: Apache-2.0
// The formats of strings and numbers that Kubernetes checks in schemas.
#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "api/custom/check_object.h"
#include "api/names.h"
#include "base/strings.h"
#include "base/time.h"

namespace pelton::api::custom {
namespace {

bool matches(const char* pattern, std::string_view text) {
  return re2::RE2::FullMatch(text, pattern);
}

bool is_ip(std::string_view text, bool wants_four) {
  const bool is_four = text.find(':') == std::string_view::npos;
  return is_four == wants_four && check_ip(text).empty();
}

bool is_ipv4(std::string_view text) {
  return is_ip(text, true);
}

bool is_ipv6(std::string_view text) {
  return is_ip(text, false);
}

bool is_cidr(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  const std::string_view address = text.substr(0, slash), bits = text.substr(slash + 1);
  int count = -1;
  const auto [end, error] = std::from_chars(bits.data(), bits.data() + bits.size(), count);
  if (error != std::errc() || end != bits.data() + bits.size()) return false;
  return (is_ipv4(address) && count >= 0 && count <= 32) ||
         (is_ipv6(address) && count >= 0 && count <= 128);
}

bool is_date_time(std::string_view text) {
  return matches(R"(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?([Zz]|[+-]\d{2}:?\d{2})?)",
                 text);
}

bool is_date(std::string_view text) {
  return matches(R"(\d{4}-\d{2}-\d{2})", text) &&
         base::parse_time(std::string(text) + "T00:00:00Z").ok();
}

bool is_duration(std::string_view text) {
  return matches(R"([+-]?(0|((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+))", text) ||
         matches(
             R"(\d+\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|)"
             R"(milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?))",
             text);
}

bool is_bytes(std::string_view text) {
  return base::base64_decode(text).ok();
}

bool is_host_name(std::string_view text) {
  return text.size() <= 255 &&
         matches(
             R"([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*)",
             text);
}

bool is_uri(std::string_view text) {
  return matches(R"((/|[a-zA-Z][a-zA-Z0-9+.\-]*:)[^\x00-\x20\x7f]*)", text);
}

bool is_email(std::string_view text) {
  return matches(R"([^@\s]+@[^@\s]+|.*<[^@\s]+@[^@\s]+>)", text);
}

bool is_short_name(std::string_view text) {
  return check_dns1123_label(text).empty();
}

bool is_long_name(std::string_view text) {
  return check_dns1123_subdomain(text).empty();
}

struct Format {
  std::string_view name;  ///< without dashes
  bool (*check)(std::string_view);
  const char* pattern = nullptr;
};

// Those with neither check nor pattern are known and let everything pass.
constexpr Format kFormats[] = {
    {"bsonobjectid", nullptr, "[0-9a-fA-F]{24}"},
    {"byte", is_bytes},
    {"cidr", is_cidr},
    {"creditcard", nullptr},
    {"date", is_date},
    {"datetime", is_date_time},
    {"duration", is_duration},
    {"email", is_email},
    {"hexcolor", nullptr, "#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"},
    {"hostname", is_host_name},
    {"ipv4", is_ipv4},
    {"ipv6", is_ipv6},
    {"isbn", nullptr},
    {"isbn10", nullptr},
    {"isbn13", nullptr},
    {"k8slongname", is_long_name},
    {"k8sshortname", is_short_name},
    {"mac", nullptr, "([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}"},
    {"password", nullptr},
    {"rgbcolor", nullptr, R"(rgb\(\s*(\d{1,3}\s*,\s*){2}\d{1,3}\s*\))"},
    {"ssn", nullptr, R"(\d{3}[- ]?\d{2}[- ]?\d{4})"},
    {"uri", is_uri},
    {"uuid", nullptr, "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}"},
    {"uuid3", nullptr, "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?3[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}"},
    {"uuid4", nullptr,
     "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?4[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}"},
    {"uuid5", nullptr,
     "(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?5[0-9a-f]{3}-?[89ab][0-9a-f]{3}-?[0-9a-f]{12}"},
};

const Format* find_format(std::string_view name) {
  std::string plain(name);
  std::erase(plain, '-');
  for (const Format& format : kFormats) {
    if (format.name == plain) return &format;
  }
  return nullptr;
}

}  // namespace

bool has_format(std::string_view name, std::string_view text) {
  if (name.empty()) return true;
  const Format* format = find_format(name);
  if (format == nullptr) return true;
  if (format->check != nullptr) return format->check(text);
  return format->pattern == nullptr || matches(format->pattern, text);
}

bool is_known_format(std::string_view name, Type type) {
  switch (type) {
    case Type::Integer:
      return name == "int32" || name == "int64";
    case Type::Number:
      return name == "float" || name == "double";
    case Type::Any:
    case Type::String:
      return find_format(name) != nullptr;
    default:
      return false;
  }
}

}  // namespace pelton::api::custom
