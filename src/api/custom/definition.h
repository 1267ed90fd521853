// SPDX-License-Identifier: Apache-2.0
// A CustomResourceDefinition made ready to serve: per version a resource, its schema, its columns.
//
// Compiled once per change of the definition and then shared by all registries and requests that
// need it; what they point to lives as long as they hold it. Immutable; any thread.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/columns.h"
#include "api/custom/json_path.h"
#include "api/custom/schema.h"
#include "api/registry.h"
#include "api/scale.h"
#include "base/json.h"

namespace pelton::api::custom {

/// One version of a custom kind.
struct Version {
  Version() = default;
  Version(const Version&) = delete;
  Version& operator=(const Version&) = delete;

  std::string name;  ///< "v1beta1"
  bool is_served = false;
  bool is_storage = false;
  std::string deprecation;           ///< the warning of a deprecated version, or ""
  const base::Json* text = nullptr;  ///< openAPIV3Schema as it was written
  std::unique_ptr<const Schema> schema;
  std::string type_name;  ///< in OpenAPI: "com.example.v1.Widget"
  TypeInfo type;
  ResourceInfo resource;
  std::vector<Column> columns;
  /// Of the columns after the first, which is the name; none: it cannot be read, and shows nothing.
  std::vector<std::optional<JsonPath>> paths;
  std::optional<ScalePaths> scale;

  // What spans of the above point to.
  std::deque<std::string> texts;
  std::vector<std::string_view> short_names, categories, selectable;
  std::vector<SubresourceInfo> parts;
};

class Definition {
 public:
  /// From a stored object. The names are those that were accepted.
  static std::shared_ptr<const Definition> compile(const base::Json& definition);

  const std::string& group() const { return object_["spec"]["group"].as_string(); }
  const std::string& plural() const { return names()["plural"].as_string(); }
  const std::string& kind() const { return names()["kind"].as_string(); }
  /// In Kubernetes' order of versions, the most stable first.
  const std::vector<std::unique_ptr<const Version>>& versions() const { return versions_; }
  const Version& storage() const { return *storage_; }
  /// Whether requests for it are answered: its names were accepted.
  bool is_established() const { return is_established_; }
  bool is_terminating() const { return is_terminating_; }
  /// Changes with the definition.
  uint64_t hash() const { return hash_; }

  explicit Definition(const base::Json& definition);
  Definition(const Definition&) = delete;
  Definition& operator=(const Definition&) = delete;

 private:
  const base::Json& names() const { return object_["status"]["acceptedNames"]; }
  std::unique_ptr<Version> make_version(const base::Json& version) const;

  base::Json object_;
  std::vector<std::unique_ptr<const Version>> versions_;
  const Version* storage_ = nullptr;
  bool is_established_ = false;
  bool is_terminating_ = false;
  uint64_t hash_ = 0;
};

/// Whether version `a` comes before `b`: v2, v1, v1beta2, v1beta1, v1alpha1, others by name.
bool comes_before(std::string_view a, std::string_view b);

/// The cells of one object, as api/columns.h has them.
base::Json::Array custom_cells(const Version& version, const base::Json& object, base::Instant now);

}  // namespace pelton::api::custom
