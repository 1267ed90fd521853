// SPDX-License-Identifier: Apache-2.0
#include "apiserver/discovery.h"

#include "base/strings.h"

namespace pelton::apiserver {

using api::GroupVersion;
using api::Registry;
using api::ResourceInfo;
using base::Json;

namespace {
Json strings(std::span<const std::string_view> list) {
  Json out = Json::array();
  for (std::string_view s : list) out.push_back(s);
  return out;
}

std::string group_version_text(const GroupVersion& gv) {
  return gv.group.empty() ? std::string(gv.version)
                          : std::string(gv.group) + "/" + std::string(gv.version);
}

Json kind_object(std::string_view group, std::string_view version, std::string_view kind) {
  return Json::object({{"group", group}, {"version", version}, {"kind", kind}});
}

// ---- aggregated ---------------------------------------------------------------------------------

Json aggregated_resource(const ResourceInfo& r) {
  Json out = Json::object({{"resource", r.plural},
                           {"responseKind", kind_object(r.group, r.version, r.kind)},
                           {"scope", r.is_namespaced ? "Namespaced" : "Cluster"},
                           {"singularResource", r.singular},
                           {"verbs", strings(r.verbs)}});
  if (!r.short_names.empty()) out.set("shortNames", strings(r.short_names));
  if (!r.categories.empty()) out.set("categories", strings(r.categories));
  for (const api::SubresourceInfo& sub : r.subresources) {
    out.child("subresources")
        .push_back(Json::object({{"subresource", sub.name},
                                 {"responseKind", kind_object(sub.group, sub.version, sub.kind)},
                                 {"verbs", strings(sub.verbs)}}));
  }
  return out;
}

Json aggregated(const Registry& registry, bool core) {
  Json items = Json::array();
  for (const GroupVersion& gv : registry.group_versions()) {
    if (gv.group.empty() != core) continue;
    Json resources = Json::array();
    for (const ResourceInfo* r : registry.resources()) {
      if (r->group == gv.group && r->version == gv.version) {
        resources.push_back(aggregated_resource(*r));
      }
    }
    Json version = Json::object(
        {{"version", gv.version}, {"resources", std::move(resources)}, {"freshness", "Current"}});
    // Versions of one group stand together in the registry's order.
    if (!items.empty() && items.items().back()["metadata"]["name"].as_string() == gv.group) {
      items.mutable_items().back().child("versions").push_back(std::move(version));
      continue;
    }
    Json metadata = Json::object({{"creationTimestamp", nullptr}});
    if (!gv.group.empty()) metadata.set("name", gv.group);
    items.push_back(Json::object(
        {{"metadata", std::move(metadata)}, {"versions", Json::array({std::move(version)})}}));
  }
  return Json::object({{"kind", "APIGroupDiscoveryList"},
                       {"apiVersion", "apidiscovery.k8s.io/v2"},
                       {"metadata", Json::object()},
                       {"items", std::move(items)}});
}

// ---- legacy -------------------------------------------------------------------------------------

Json legacy_group(const Registry& registry, std::string_view group, bool is_document) {
  Json versions = Json::array();
  for (const GroupVersion& gv : registry.group_versions()) {
    if (gv.group != group) continue;
    versions.push_back(
        Json::object({{"groupVersion", group_version_text(gv)}, {"version", gv.version}}));
  }
  Json out = Json::object(
      {{"name", group}, {"versions", versions}, {"preferredVersion", versions[size_t{0}]}});
  if (is_document) {
    out.set("kind", "APIGroup");
    out.set("apiVersion", "v1");
  }
  return out;
}

Json legacy_groups(const Registry& registry) {
  Json groups = Json::array();
  for (const GroupVersion& gv : registry.group_versions()) {
    if (gv.group.empty()) continue;
    if (!groups.empty() && groups.items().back()["name"].as_string() == gv.group) continue;
    groups.push_back(legacy_group(registry, gv.group, false));
  }
  return Json::object({{"kind", "APIGroupList"}, {"apiVersion", "v1"}, {"groups", groups}});
}

Json legacy_resources(const Registry& registry, const GroupVersion& gv) {
  Json resources = Json::array();
  for (const ResourceInfo* info : registry.resources()) {
    const ResourceInfo& r = *info;
    if (r.group != gv.group || r.version != gv.version) continue;
    Json one = Json::object({{"name", r.plural},
                             {"singularName", r.singular},
                             {"namespaced", r.is_namespaced},
                             {"kind", r.kind},
                             {"verbs", strings(r.verbs)}});
    if (!r.short_names.empty()) one.set("shortNames", strings(r.short_names));
    if (!r.categories.empty()) one.set("categories", strings(r.categories));
    resources.push_back(std::move(one));
    for (const api::SubresourceInfo& sub : r.subresources) {
      Json part = Json::object({{"name", std::string(r.plural) + "/" + std::string(sub.name)},
                                {"singularName", ""},
                                {"namespaced", r.is_namespaced},
                                {"kind", sub.kind},
                                {"verbs", strings(sub.verbs)}});
      if (sub.group != r.group || sub.version != r.version) {
        part.set("group", sub.group);
        part.set("version", sub.version);
      }
      resources.push_back(std::move(part));
    }
  }
  return Json::object({{"kind", "APIResourceList"},
                       {"apiVersion", "v1"},
                       {"groupVersion", group_version_text(gv)},
                       {"resources", std::move(resources)}});
}
}  // namespace

std::optional<Json> discovery_document(const Registry& registry, std::string_view path,
                                       AnswerForm form) {
  if (path == "/api") {
    if (form == AnswerForm::Discovery) return aggregated(registry, true);
    return Json::object({{"kind", "APIVersions"},
                         {"versions", Json::array({"v1"})},
                         {"serverAddressByClientCIDRs", Json::array()}});
  }
  if (path == "/apis") {
    if (form == AnswerForm::Discovery) return aggregated(registry, false);
    return legacy_groups(registry);
  }
  const std::vector<std::string_view> parts = base::split(path, '/');  // parts[0] is ""
  for (const GroupVersion& gv : registry.group_versions()) {
    if (gv.group.empty()) {
      if (parts.size() == 3 && parts[1] == "api" && parts[2] == gv.version) {
        return legacy_resources(registry, gv);
      }
      continue;
    }
    if (parts.size() < 3 || parts[1] != "apis" || parts[2] != gv.group) continue;
    if (parts.size() == 3) return legacy_group(registry, gv.group, true);
    if (parts.size() == 4 && parts[3] == gv.version) return legacy_resources(registry, gv);
  }
  return std::nullopt;
}

Json version_document() {
  // The API that we speak is that of Kubernetes 1.36; what stands behind it is told by the suffix.
  return Json::object({{"major", "1"},
                       {"minor", "36"},
                       {"gitVersion", "v1.36.0+pelton"},
                       {"gitCommit", ""},
                       {"gitTreeState", "clean"},
                       {"buildDate", "1970-01-01T00:00:00Z"},
                       {"goVersion", "none"},
                       {"compiler", "c++"},
                       {"platform", "linux/amd64"}});
}

}  // namespace pelton::apiserver
