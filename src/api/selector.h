// SPDX-License-Identifier: Apache-2.0
// Label and field selectors.
//
// A selector is a list of requirements that must all hold. Reads both forms of Kubernetes: the
// string of a query ("app=web,tier in (a,b),!old") and the LabelSelector object. Pure.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

class LabelSelector {
 public:
  enum class Operator : uint8_t { In, NotIn, Exists, DoesNotExist, GreaterThan, LessThan };
  struct Requirement {
    std::string key;
    Operator op = Operator::Exists;
    std::vector<std::string> values;  ///< sorted
    bool matches(const base::Json& labels) const;
    bool operator==(const Requirement&) const = default;
  };

  LabelSelector() = default;  ///< matches everything
  /// Matches nothing: what an absent LabelSelector object means.
  static LabelSelector nothing();
  /// "a=b,c!=d,e in (x,y),f notin (z),g,!h,i>1". "" matches everything. InvalidArgument says where.
  static base::Result<LabelSelector> parse(std::string_view text);
  /// {matchLabels, matchExpressions}. null matches nothing, {} everything.
  static base::Result<LabelSelector> from_object(const base::Json& selector);
  /// A plain map as in Service.spec.selector or nodeSelector. null or {} matches everything.
  static LabelSelector from_map(const base::Json& labels);
  /// Requirements as they are (nodeSelectorTerms[].matchExpressions with Gt and Lt included).
  static base::Result<LabelSelector> from_expressions(const base::Json& expressions);

  bool matches(const base::Json& labels) const;  ///< labels: an object or null
  bool matches_everything() const { return !is_nothing_ && requirements_.empty(); }
  bool matches_nothing() const { return is_nothing_; }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  void add(Requirement requirement);
  /// The string form, as Kubernetes prints it.
  std::string to_string() const;

 private:
  std::vector<Requirement> requirements_;
  bool is_nothing_ = false;
};

/// "metadata.name=a,status.phase!=Running": equality only.
class FieldSelector {
 public:
  struct Requirement {
    std::string path;
    bool is_equal = true;
    std::string value;
  };

  FieldSelector() = default;  ///< matches everything
  /// BadRequest for bad syntax and for a field that the resource does not offer, in upstream's
  /// words.
  static base::Result<FieldSelector> parse(std::string_view text, const ResourceInfo& resource);

  bool matches(const base::Json& object) const;
  bool matches_everything() const { return requirements_.empty(); }
  const std::vector<Requirement>& requirements() const { return requirements_; }
  /// The value that metadata.name (or another path) must equal, or "" where it is free.
  std::string_view required_value(std::string_view path) const;
  std::string to_string() const;

 private:
  std::vector<Requirement> requirements_;
};

}  // namespace pelton::api
