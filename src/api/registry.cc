// SPDX-License-Identifier: Apache-2.0
#include "api/registry.h"

#include <algorithm>

#include "api/custom/definition.h"
#include "api/custom/shape.h"
#include "base/strings.h"

namespace pelton::api {
namespace {

using base::Json;
using Names = std::span<const std::string_view>;

constexpr std::string_view kAllVerbs[] = {"create", "delete", "deletecollection", "get",
                                          "list",   "patch",  "update",           "watch"};
constexpr std::string_view kNoCollectionVerbs[] = {"create", "delete", "get",  "list",
                                                   "patch",  "update", "watch"};
constexpr std::string_view kCreate[] = {"create"};
constexpr std::string_view kGet[] = {"get"};
constexpr std::string_view kCreateGet[] = {"create", "get"};
constexpr std::string_view kUpdate[] = {"update"};
constexpr std::string_view kGetPatchUpdate[] = {"get", "patch", "update"};

constexpr std::string_view kAll[] = {"all"};
constexpr std::string_view kApiExtensions[] = {"api-extensions"};
constexpr std::string_view kCm[] = {"cm"};
constexpr std::string_view kCrd[] = {"crd", "crds"};
constexpr std::string_view kEv[] = {"ev"};
constexpr std::string_view kNs[] = {"ns"};
constexpr std::string_view kNo[] = {"no"};
constexpr std::string_view kPo[] = {"po"};
constexpr std::string_view kSvc[] = {"svc"};
constexpr std::string_view kSa[] = {"sa"};

constexpr SubresourceInfo kDefinitionParts[] = {
    {"status", "apiextensions.k8s.io", "v1", "CustomResourceDefinition", kGetPatchUpdate}};
constexpr SubresourceInfo kNamespaceParts[] = {{"finalize", "", "v1", "Namespace", kUpdate},
                                               {"status", "", "v1", "Namespace", kGetPatchUpdate}};
constexpr SubresourceInfo kNodeParts[] = {{"status", "", "v1", "Node", kGetPatchUpdate}};
constexpr SubresourceInfo kPodParts[] = {
    {"attach", "", "v1", "PodAttachOptions", kCreateGet},
    {"binding", "", "v1", "Binding", kCreate},
    {"exec", "", "v1", "PodExecOptions", kCreateGet},
    {"log", "", "v1", "Pod", kGet},
    {"portforward", "", "v1", "PodPortForwardOptions", kCreateGet},
    {"status", "", "v1", "Pod", kGetPatchUpdate}};
constexpr SubresourceInfo kServiceParts[] = {{"status", "", "v1", "Service", kGetPatchUpdate}};
constexpr SubresourceInfo kJobParts[] = {{"status", "batch", "v1", "Job", kGetPatchUpdate}};
constexpr SubresourceInfo kJobSetParts[] = {
    {"status", "jobset.x-k8s.io", "v1alpha2", "JobSet", kGetPatchUpdate}};

constexpr SubresourceInfo kPolicyParts[] = {
    {"status", "pelton.dev", "v1alpha1", "RecoveryPolicy", kGetPatchUpdate}};

constexpr std::string_view kPodFields[] = {
    "spec.nodeName",    "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
    "spec.hostNetwork", "status.phase",       "status.podIP",       "status.nominatedNodeName"};
constexpr std::string_view kNodeFields[] = {"spec.unschedulable"};
constexpr std::string_view kNamespaceFields[] = {"status.phase"};
constexpr std::string_view kSecretFields[] = {"type"};
constexpr std::string_view kServiceFields[] = {"spec.clusterIP", "spec.type"};
constexpr std::string_view kJobFields[] = {"status.successful"};
constexpr std::string_view kEventFields[] = {"involvedObject.kind",
                                             "involvedObject.namespace",
                                             "involvedObject.name",
                                             "involvedObject.uid",
                                             "involvedObject.apiVersion",
                                             "involvedObject.resourceVersion",
                                             "involvedObject.fieldPath",
                                             "reason",
                                             "reportingComponent",
                                             "source",
                                             "type"};

struct RbacKind {
  std::string_view kind, plural, singular;
  bool is_namespaced;
};
constexpr RbacKind kRbac[] = {
    {"ClusterRole", "clusterroles", "clusterrole", false},
    {"ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", false},
    {"Role", "roles", "role", true},
    {"RoleBinding", "rolebindings", "rolebinding", true}};

ResourceInfo make(std::string_view group, std::string_view version, std::string_view kind,
                  std::string_view plural, std::string_view singular, Names short_names,
                  std::string_view type_name) {
  ResourceInfo info;
  info.group = group;
  info.version = version;
  info.kind = kind;
  info.plural = plural;
  info.singular = singular;
  info.short_names = short_names;
  info.verbs = kAllVerbs;
  info.type = find_type(type_name);
  info.name_pattern = "subdomain";
  PELTON_CHECK(info.type != nullptr);
  return info;
}

ResourceInfo core(std::string_view kind, std::string_view plural, std::string_view singular,
                  Names short_names) {
  return make("", "v1", kind, plural, singular, short_names,
              "io.k8s.api.core.v1." + std::string(kind));
}

ResourceInfo definitions() {
  ResourceInfo info =
      make("apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions",
           "customresourcedefinition", kCrd,
           "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition");
  info.is_namespaced = false;
  info.categories = kApiExtensions;
  info.subresources = kDefinitionParts;
  info.has_generation = true;
  return info;
}

void add_our_own(std::vector<ResourceInfo>& all) {
  all.push_back(make("pelton.dev", "v1alpha1", "GangBinding", "gangbindings", "gangbinding", {},
                     "dev.pelton.v1alpha1.GangBinding"));
  all.back().verbs = kCreate;
  all.back().is_virtual = true;

  all.push_back(make("pelton.dev", "v1alpha1", "RecoveryPolicy", "recoverypolicies",
                     "recoverypolicy", {}, "dev.pelton.v1alpha1.RecoveryPolicy"));
  all.back().subresources = kPolicyParts;
  all.back().has_generation = true;
}

std::vector<ResourceInfo> builtin_resources() {
  std::vector<ResourceInfo> all;
  all.push_back(core("ConfigMap", "configmaps", "configmap", kCm));

  all.push_back(core("Event", "events", "event", kEv));
  all.back().selectable_fields = kEventFields;

  all.push_back(core("Namespace", "namespaces", "namespace", kNs));
  all.back().is_namespaced = false;
  all.back().name_pattern = "label";
  all.back().verbs = kNoCollectionVerbs;
  all.back().subresources = kNamespaceParts;
  all.back().selectable_fields = kNamespaceFields;

  all.push_back(core("Node", "nodes", "node", kNo));
  all.back().is_namespaced = false;
  all.back().subresources = kNodeParts;
  all.back().selectable_fields = kNodeFields;

  all.push_back(core("Pod", "pods", "pod", kPo));
  all.back().categories = kAll;
  all.back().subresources = kPodParts;
  all.back().selectable_fields = kPodFields;
  all.back().has_generation = true;

  all.push_back(core("Secret", "secrets", "secret", {}));
  all.back().selectable_fields = kSecretFields;

  all.push_back(core("ServiceAccount", "serviceaccounts", "serviceaccount", kSa));
  all.push_back(core("Service", "services", "service", kSvc));
  all.back().categories = kAll;
  all.back().subresources = kServiceParts;
  all.back().selectable_fields = kServiceFields;
  all.back().name_pattern = "label";

  all.push_back(definitions());

  all.push_back(make("batch", "v1", "Job", "jobs", "job", {}, "io.k8s.api.batch.v1.Job"));
  all.back().categories = kAll;
  all.back().subresources = kJobParts;
  all.back().selectable_fields = kJobFields;
  all.back().has_generation = true;

  all.push_back(make("coordination.k8s.io", "v1", "Lease", "leases", "lease", {},
                     "io.k8s.api.coordination.v1.Lease"));
  all.push_back(make("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice",
                     {}, "io.k8s.api.discovery.v1.EndpointSlice"));
  all.back().has_generation = true;

  all.push_back(
      make("events.k8s.io", "v1", "Event", "events", "event", kEv, "io.k8s.api.events.v1.Event"));

  all.push_back(make("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets", "jobset", {},
                     "io.x-k8s.jobset.v1alpha2.JobSet"));
  all.back().subresources = kJobSetParts;
  all.back().has_generation = true;

  for (const auto& [kind, plural, singular, is_namespaced] : kRbac) {
    all.push_back(make(kRbacGroup, "v1", kind, plural, singular, {},
                       "io.k8s.api.rbac.v1." + std::string(kind)));
    all.back().is_namespaced = is_namespaced;
    all.back().name_pattern = "path";
  }

  add_our_own(all);
  return all;
}

// core/v1 Event <-> events.k8s.io/v1 Event: the same facts under other names.
struct Renamed {
  std::string_view core;
  std::string_view events;
};
constexpr Renamed kEventNames[] = {
    {"involvedObject", "regarding"},
    {"message", "note"},
    {"source", "deprecatedSource"},
    {"firstTimestamp", "deprecatedFirstTimestamp"},
    {"lastTimestamp", "deprecatedLastTimestamp"},
    {"count", "deprecatedCount"},
    {"reportingComponent", "reportingController"},
};

Json convert_event(const Json& event, bool is_to_core) {
  Json result = Json::object();
  for (const Json::Member& member : event.members()) {
    std::string_view name = member.name;
    for (const Renamed& pair : kEventNames) {
      if (name == (is_to_core ? pair.events : pair.core)) {
        name = is_to_core ? pair.core : pair.events;
        break;
      }
    }
    result.set(name, member.value);
  }
  return result;
}

}  // namespace

GroupVersionKind make_gvk(std::string_view api_version, std::string_view kind) {
  const auto parts = base::split(api_version, '/');
  GroupVersionKind gvk;
  gvk.kind = kind;
  if (parts.size() == 1) gvk.version = parts[0];
  if (parts.size() == 2) gvk.group = parts[0], gvk.version = parts[1];
  return gvk;
}

GroupVersionKind gvk_of(const Json& object) {
  return make_gvk(object["apiVersion"].as_string(), object["kind"].as_string());
}

std::string ResourceInfo::api_version() const {
  return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
}

GroupVersionKind ResourceInfo::gvk() const {
  return {std::string(group), std::string(version), std::string(kind)};
}

std::string ResourceInfo::qualified_plural() const {
  return group.empty() ? std::string(plural) : std::string(plural) + "." + std::string(group);
}

std::string ResourceInfo::qualified_kind() const {
  return group.empty() ? std::string(kind) : std::string(kind) + "." + std::string(group);
}

const SubresourceInfo* ResourceInfo::subresource(std::string_view wanted) const {
  for (const SubresourceInfo& info : subresources) {
    if (info.name == wanted) return &info;
  }
  return nullptr;
}

std::string ResourceInfo::store_prefix() const {
  const std::string_view stored_group = storage->group.empty() ? "core" : storage->group;
  return "/" + std::string(stored_group) + "/" + std::string(storage->plural) + "/";
}

std::string ResourceInfo::store_key(std::string_view namespace_name, std::string_view name) const {
  return store_prefix() + std::string(namespace_name) + "/" + std::string(name);
}

namespace {
const std::vector<ResourceInfo>& all_builtin() {
  static const std::vector<ResourceInfo> all = [] {
    std::vector<ResourceInfo> made = builtin_resources();
    const ResourceInfo* core_event = nullptr;
    for (ResourceInfo& info : made) {
      info.storage = &info;
      if (info.group.empty() && info.plural == "events") core_event = &info;
    }
    for (ResourceInfo& info : made) {
      if (info.group == "events.k8s.io") info.storage = core_event;
    }
    return made;
  }();
  return all;
}

std::string index_key(std::string_view group, std::string_view version, std::string_view plural) {
  std::string key(group);
  return key.append("/").append(version).append("/").append(plural);
}
}  // namespace

Registry::Registry() {
  for (const ResourceInfo& info : all_builtin()) {
    resources_.push_back(&info);
    add_group_version({info.group, info.version});
  }
}

const Registry& Registry::builtin() {
  static const Registry registry;
  return registry;
}

std::shared_ptr<const Registry> Registry::with(Definitions definitions) {
  std::shared_ptr<Registry> registry(new Registry);
  // Groups by name, and in each the most stable versions first.
  for (auto& definition : definitions) registry->add(std::move(definition));
  std::vector<GroupVersion> added;
  for (const auto& definition : registry->definitions_) {
    for (const auto& version : definition->versions()) {
      if (version->is_served) added.push_back({definition->group(), version->name});
    }
  }
  std::sort(added.begin(), added.end(), [](const GroupVersion& a, const GroupVersion& b) {
    return a.group != b.group ? a.group < b.group : custom::comes_before(a.version, b.version);
  });
  for (const GroupVersion& group_version : added) registry->add_group_version(group_version);
  return registry;
}

void Registry::add(std::shared_ptr<const custom::Definition> definition) {
  if (!definition->is_established()) return;
  const bool is_taken = std::any_of(
      resources_.begin(), resources_.end(), [&definition](const ResourceInfo* resource) {
        return resource->group == definition->group() &&
               (resource->plural == definition->plural() || resource->kind == definition->kind());
      });
  if (is_taken) return;
  for (const auto& version : definition->versions()) {
    if (!version->is_served) continue;
    const ResourceInfo& info = version->resource;
    resources_.push_back(&info);
    custom_.emplace(index_key(info.group, info.version, info.plural), &info);
  }
  definitions_.push_back(std::move(definition));
}

void Registry::add_group_version(const GroupVersion& added) {
  auto last_of_group = group_versions_.end();
  for (auto it = group_versions_.begin(); it != group_versions_.end(); ++it) {
    if (it->group != added.group) continue;
    if (it->version == added.version) return;
    last_of_group = it;
  }
  if (last_of_group != group_versions_.end()) ++last_of_group;
  group_versions_.insert(last_of_group, added);
}

const ResourceInfo* Registry::find(std::string_view group, std::string_view version,
                                   std::string_view plural) const {
  for (const ResourceInfo& info : all_builtin()) {
    if (info.group == group && info.version == version && info.plural == plural) return &info;
  }
  if (custom_.empty()) return nullptr;
  const auto found = custom_.find(index_key(group, version, plural));
  return found == custom_.end() ? nullptr : found->second;
}

const ResourceInfo* Registry::find_kind(std::string_view api_version, std::string_view kind) const {
  return find_kind(make_gvk(api_version, kind));
}

const ResourceInfo* Registry::find_kind(const GroupVersionKind& gvk) const {
  for (const ResourceInfo* info : resources_) {
    if (info->group == gvk.group && info->version == gvk.version && info->kind == gvk.kind) {
      return info;
    }
  }
  return nullptr;
}

Json convert(const Json& object, const ResourceInfo& to) {
  if (to.custom != nullptr) {
    Json result = object;
    result.set("apiVersion", to.api_version());
    std::vector<std::string> unknown;
    custom::prune(*to.custom->schema, result, unknown);
    custom::fill_defaults(*to.custom->schema, result);
    return result;
  }
  const bool is_event = to.kind == "Event" && object["apiVersion"].as_string() != to.api_version();
  if (!is_event) return object;
  Json result = convert_event(object, to.group.empty());
  result.set("apiVersion", to.api_version());
  result.set("kind", to.kind);
  return result;
}

}  // namespace pelton::api
