// SPDX-License-Identifier: Apache-2.0
#include "agent/image_table.h"

namespace pelton::agent {
namespace {

void strip_prefix(std::string& text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.erase(0, prefix.size());
}

const std::vector<ImageRule>& builtin_rules() {
  static const std::vector<ImageRule> rules = [] {
    std::vector<ImageRule> made;
    for (const char* name : {"busybox", "bash", "alpine", "debian", "ubuntu", "python"}) {
      made.push_back({.image = name});
    }
    return made;
  }();
  return rules;
}

const ImageRule* find_rule(const std::vector<ImageRule>& rules, const ImageName& wanted,
                           bool with_tag) {
  for (const ImageRule& rule : rules) {
    const ImageName name = parse_image_name(rule.image);
    if (name.repository != wanted.repository || name.tag.empty() == with_tag) continue;
    if (!with_tag || name.tag == wanted.tag) return &rule;
  }
  return nullptr;
}

}  // namespace

ImageName parse_image_name(std::string_view reference) {
  std::string text(reference.substr(0, reference.find('@')));
  ImageName name;
  const size_t slash = text.rfind('/');
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && (slash == std::string::npos || colon > slash)) {
    name.tag = text.substr(colon + 1);
    text.resize(colon);
  }
  strip_prefix(text, "docker.io/");
  strip_prefix(text, "index.docker.io/");
  strip_prefix(text, "library/");
  name.repository = std::move(text);
  return name;
}

base::Result<ImageRule> resolve_image(const std::vector<ImageRule>& users_rules,
                                      std::string_view reference) {
  const ImageName wanted = parse_image_name(reference);
  for (const bool with_tag : {true, false}) {
    for (const auto* rules : {&users_rules, &builtin_rules()}) {
      if (const ImageRule* rule = find_rule(*rules, wanted, with_tag)) return *rule;
    }
  }
  const std::string image(reference);
  return base::not_found("image \"" + image +
                         "\" maps to nothing on this machine; add it to the park file, e.g. "
                         "spec.images: [{image: \"" +
                         wanted.repository +
                         "\", host: true}] (or venv: DIRECTORY, or rootfs: DIRECTORY)");
}

}  // namespace pelton::agent
