// SPDX-License-Identifier: Apache-2.0
// The JSONPath of columns and of scale: where in an object a value stands.
//
//   .spec.replicas   .metadata.labels.a\.b   .spec.items[0].x .status.conditions[?(@.type=="X")].y
//   .spec['a.b']     .spec.items[*].x
// Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api::custom {

class JsonPath {
 public:
  /// InvalidArgument where the text is no such path.
  static base::Result<JsonPath> parse(std::string_view text);
  /// The values there, in document order; none where the path ends early.
  std::vector<const base::Json*> find(const base::Json& object) const;
  /// The names of a path of names alone (".spec.a"); empty where there is more to it.
  std::vector<std::string> names() const;

 private:
  struct Step {
    enum class Kind : uint8_t { Name, Index, All, Filter } kind = Kind::Name;
    std::string name;  ///< of a Filter: the dotted path below the item
    int64_t index = 0;
    bool is_equal = true;
    std::string value;  ///< of a Filter: as text
  };
  base::Status parse_bracket(std::string_view inside);
  std::vector<Step> steps_;
};

/// How a value is shown in a column of type string: as kubectl prints it.
std::string cell_text(const base::Json& value);

}  // namespace pelton::api::custom
