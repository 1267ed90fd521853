// SPDX-License-Identifier: Apache-2.0
// The rules for names, label keys and values. Each returns "" where the text is good, else
// upstream's sentence about what it must be. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pelton::api {

std::string check_dns1123_label(std::string_view text);      ///< "web-0", <= 63
std::string check_dns1123_subdomain(std::string_view text);  ///< "a.b", <= 253
std::string check_dns1035_label(std::string_view text);      ///< begins with a letter, <= 63
std::string check_qualified_name(std::string_view text);     ///< "example.com/name"
std::string check_label_value(std::string_view text);
std::string check_config_key(std::string_view text);    ///< a key of a ConfigMap or Secret
std::string check_env_name(std::string_view text);      ///< printable ASCII without '='
std::string check_port_name(std::string_view text);     ///< IANA_SVC_NAME, <= 15
std::string check_path_segment(std::string_view text);  ///< may stand in a URL path
std::string check_ip(std::string_view text);            ///< IPv4 or IPv6

/// `prefix` cut to 58 characters and five of `random`'s characters, as generateName does. The same
/// arguments give the same name.
std::string generate_name(std::string_view prefix, uint64_t random);
/// `count` characters of the alphabet of generated names (no vowels), from `random`.
std::string name_suffix(uint64_t random, int count = 5);

}  // namespace pelton::api
