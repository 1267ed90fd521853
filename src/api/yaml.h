// SPDX-License-Identifier: Apache-2.0
// YAML in, JSON values out, with the typing that kubectl and sigs.k8s.io/yaml give it: YAML 1.1
// booleans (yes, on), integers in all bases, the rest strings. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// One document. An empty one is null. InvalidArgument: `yaml: line 3: …`.
base::Result<base::Json> parse_yaml(std::string_view text);
/// Keys that stand twice in one map of the text, of which the last counts, in the words of
/// sigs.k8s.io/yaml: `line 3: key "x" already set in map`. None where the text is not YAML.
std::vector<std::string> find_duplicate_keys(std::string_view text);
/// All documents of a stream ("---" between them), empty ones left out.
base::Result<std::vector<base::Json>> parse_yaml_documents(std::string_view text);
/// As kubectl prints objects with -o yaml. Reads back as the same value.
std::string to_yaml(const base::Json& value);

}  // namespace pelton::api
