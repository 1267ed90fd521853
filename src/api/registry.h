// SPDX-License-Identifier: Apache-2.0
// Which kinds and resources the API serves, as data.
//
// A resource is a collection under a path (/api/v1/pods); a kind is the type of its objects. Event
// is served by two groups over one set of stored objects: see ResourceInfo::storage.
// The built-in kinds are always there; CustomResourceDefinitions add more. A registry never
// changes: with each change of a definition comes a new one. Any thread.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/schema.h"
#include "base/json.h"

namespace pelton::api {

namespace custom {
class Definition;
struct Version;
}  // namespace custom

/// The group of roles and their bindings.
inline constexpr std::string_view kRbacGroup = "rbac.authorization.k8s.io";

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
  std::string_view list_name;     ///< the kind of its lists, or "": the kind with "List"
  const custom::Version* custom = nullptr;  ///< of a custom kind: what its definition says

  std::string api_version() const;
  std::string list_kind() const {
    return list_name.empty() ? std::string(kind) + "List" : std::string(list_name);
  }
  GroupVersionKind gvk() const;
  /// "jobs.batch", "pods": as messages name it.
  std::string qualified_plural() const;
  /// "Job.batch", "Pod".
  std::string qualified_kind() const;
  const SubresourceInfo* subresource(std::string_view name) const;
  /// Whether what is stored is what is served, byte for byte. Not so of a kind with other versions,
  /// and not of a custom kind: its schema may have changed since.
  bool is_served_as_stored() const { return storage == this && custom == nullptr; }
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
  using Definitions = std::vector<std::shared_ptr<const custom::Definition>>;

  /// All built-in resources.
  static const Registry& builtin();
  /// Those and the established kinds of the definitions. A definition of what is built in, or of
  /// what one before it in the list defines too, adds nothing.
  static std::shared_ptr<const Registry> with(Definitions definitions);

  /// nullptr where there is none.
  const ResourceInfo* find(std::string_view group, std::string_view version,
                           std::string_view plural) const;
  const ResourceInfo* find_kind(std::string_view api_version, std::string_view kind) const;
  const ResourceInfo* find_kind(const GroupVersionKind& gvk) const;
  /// In the order in which discovery lists them (core first).
  std::span<const ResourceInfo* const> resources() const { return resources_; }
  /// Distinct group-versions in that order; versions of one group stand together.
  std::span<const GroupVersion> group_versions() const { return group_versions_; }
  /// Those that add something.
  const Definitions& definitions() const { return definitions_; }

 private:
  Registry();
  void add(std::shared_ptr<const custom::Definition> definition);
  void add_group_version(const GroupVersion& group_version);

  std::vector<const ResourceInfo*> resources_;
  std::vector<GroupVersion> group_versions_;
  std::map<std::string, const ResourceInfo*, std::less<>> custom_;  ///< by "group/version/plural"
  Definitions definitions_;
};

/// The same object as another served version of the same stored kind: core and events.k8s.io
/// Event; of a custom kind, with the fields and defaults of that version. Else a copy.
base::Json convert(const base::Json& object, const ResourceInfo& to);

}  // namespace pelton::api
