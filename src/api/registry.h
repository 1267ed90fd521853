// SPDX-License-Identifier: Apache-2.0
// Which kinds and resources the API serves, as data.
//
// A resource is a collection under a path (/api/v1/pods); a kind is the type of its objects. Event
// is served by two groups over one set of stored objects: see ResourceInfo::storage.
// Immutable; any thread.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/json.h"

namespace pelton::api {

/// group "" is core; api_version() of core is "v1", else "batch/v1".
struct GroupVersionKind {
  std::string group;
  std::string version;
  std::string kind;
  std::string api_version() const { return group.empty() ? version : group + "/" + version; }
  auto operator<=>(const GroupVersionKind&) const = default;
};

/// Splits "batch/v1" or "v1" and joins the kind. A bad apiVersion gives an empty version.
GroupVersionKind make_gvk(std::string_view api_version, std::string_view kind);
/// Of an object, from its apiVersion and kind; empty strings where absent.
GroupVersionKind gvk_of(const base::Json& object);

/// A part of an object with a path of its own: pods/status, pods/log, pods/binding.
struct SubresourceInfo {
  std::string_view name;                    ///< "status"
  std::string_view group, version, kind;    ///< of what is sent and answered, e.g. v1 Binding
  std::span<const std::string_view> verbs;  ///< "get", "patch", "update", "create"
};

struct ResourceInfo {
  std::string_view group;    ///< "" for core
  std::string_view version;  ///< "v1"
  std::string_view kind;     ///< "Pod"
  std::string_view plural;   ///< "pods"
  std::string_view singular;
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> categories;  ///< "all"
  std::span<const std::string_view> verbs;       ///< discovery's, e.g. "create", "watch"
  std::span<const SubresourceInfo> subresources;
  /// Field selectors that the kind knows beside metadata.name and metadata.namespace, by path.
  std::span<const std::string_view> selectable_fields;
  const TypeInfo* type = nullptr;
  const ResourceInfo* storage = nullptr;  ///< the resource whose objects are stored; itself mostly
  bool is_namespaced = true;
  bool is_virtual = false;        ///< create only, nothing is stored (GangBinding)
  bool has_generation = false;    ///< metadata.generation counts changes of spec
  std::string_view name_pattern;  ///< "subdomain", "label" or "label1035" (DNS), or "path"

  std::string api_version() const;
  std::string list_kind() const { return std::string(kind) + "List"; }
  GroupVersionKind gvk() const;
  /// "jobs.batch", "pods": as messages name it.
  std::string qualified_plural() const;
  /// "Job.batch", "Pod".
  std::string qualified_kind() const;
  const SubresourceInfo* subresource(std::string_view name) const;
  bool has_status() const { return subresource("status") != nullptr; }
  /// "/core/pods/" or "/batch/jobs/": the store's prefix of all objects.
  std::string store_prefix() const;
  /// "/core/pods/default/a"; cluster-scoped: an empty namespace, "/core/nodes//a".
  std::string store_key(std::string_view namespace_name, std::string_view name) const;
};

struct GroupVersion {
  std::string_view group;
  std::string_view version;
};

class Registry {
 public:
  /// All built-in resources.
  static const Registry& builtin();

  /// nullptr where there is none.
  const ResourceInfo* find(std::string_view group, std::string_view version,
                           std::string_view plural) const;
  const ResourceInfo* find_kind(std::string_view api_version, std::string_view kind) const;
  const ResourceInfo* find_kind(const GroupVersionKind& gvk) const;
  /// In the order in which discovery lists them (core first).
  std::span<const ResourceInfo> resources() const;
  /// Distinct group-versions in that order.
  std::span<const GroupVersion> group_versions() const;

 private:
  Registry();
  std::vector<ResourceInfo> resources_;
  std::vector<GroupVersion> group_versions_;
};

/// The same object as another served version of the same stored kind (core and events.k8s.io
/// Event). Where both are the same resource: a copy.
base::Json convert(const base::Json& object, const ResourceInfo& to);

}  // namespace pelton::api
