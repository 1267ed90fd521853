// SPDX-License-Identifier: Apache-2.0
#include "client/cache.h"

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "base/strings.h"

namespace pelton::client {

using base::Json;

std::string ObjectKey::to_string() const {
  return kind + " " + (namespace_name.empty() ? "" : namespace_name + "/") + name;
}

ObjectKey key_of(const Json& object) {
  return {object["kind"].as_string(), api::namespace_of(object), api::name_of(object)};
}

uint64_t revision_of(const Json& object) {
  auto value = base::parse_int(api::resource_version_of(object));
  return value.ok() && *value > 0 ? static_cast<uint64_t>(*value) : 0;
}

/// One object; the address of `object` is stable while it is not replaced.
struct Cache::Entry {
  std::string path;  ///< "namespace/name"
  std::unique_ptr<const Json> object;
};

struct Cache::Kind {
  using Paths = std::set<std::string>;
  std::map<std::string, Entry> objects;  ///< by path
  std::map<std::string, Paths, std::less<>> by_owner;
  std::map<std::string, Paths, std::less<>> by_node;                           ///< Pods only
  std::map<std::pair<std::string, std::string>, Paths, std::less<>> by_label;  ///< indexed keys
  bool is_synced = false;
  uint64_t last_seen = 0;

  Objects objects_at(const Paths* paths) const {
    Objects out;
    if (paths == nullptr) return out;
    for (const std::string& path : *paths) out.push_back(objects.at(path).object.get());
    return out;
  }
};

namespace {

std::string path_of(std::string_view namespace_name, std::string_view name) {
  return std::string(namespace_name) + "/" + std::string(name);
}

std::string path_of(const Json& object) {
  return path_of(api::namespace_of(object), api::name_of(object));
}

template <typename Map, typename Key>
auto* find_or_null(Map& map, const Key& key) {
  auto it = map.find(key);
  return it == map.end() ? nullptr : &it->second;
}

template <typename Map, typename Key>
void set_membership(Map& map, const Key& key, const std::string& path, bool is_member) {
  if (is_member) {
    map[key].insert(path);
    return;
  }
  auto it = map.find(key);
  if (it == map.end()) return;
  it->second.erase(path);
  if (it->second.empty()) map.erase(it);
}

}  // namespace

Cache::Cache(std::vector<std::string> indexed_labels)
    : indexed_labels_(std::move(indexed_labels)) {}
Cache::~Cache() = default;

Cache::Kind& Cache::kind(std::string_view name) {
  auto it = kinds_.find(name);
  if (it == kinds_.end()) it = kinds_.emplace(name, std::make_unique<Kind>()).first;
  return *it->second;
}

const Cache::Kind* Cache::find_kind(std::string_view name) const {
  auto it = kinds_.find(name);
  return it == kinds_.end() ? nullptr : it->second.get();
}

const Json* Cache::get(std::string_view kind, std::string_view namespace_name,
                       std::string_view name) const {
  const Kind* found = find_kind(kind);
  if (found == nullptr) return nullptr;
  const Entry* entry = find_or_null(found->objects, path_of(namespace_name, name));
  return entry == nullptr ? nullptr : entry->object.get();
}

Cache::Objects Cache::list(std::string_view kind, std::string_view namespace_name) const {
  Objects out;
  const Kind* found = find_kind(kind);
  if (found == nullptr) return out;
  const std::string prefix = namespace_name.empty() ? "" : path_of(namespace_name, "");
  for (auto it = found->objects.lower_bound(prefix); it != found->objects.end(); ++it) {
    if (!it->first.starts_with(prefix)) break;
    out.push_back(it->second.object.get());
  }
  return out;
}

Cache::Objects Cache::list(std::string_view kind, std::string_view namespace_name,
                           const api::LabelSelector& selector) const {
  Objects out = list(kind, namespace_name);
  std::erase_if(out, [&](const Json* o) { return !selector.matches(api::labels_of(*o)); });
  return out;
}

Cache::Objects Cache::list_labelled(std::string_view kind, std::string_view key,
                                    std::string_view value) const {
  const Kind* found = find_kind(kind);
  if (found == nullptr) return {};
  if (std::find(indexed_labels_.begin(), indexed_labels_.end(), key) != indexed_labels_.end()) {
    return found->objects_at(
        find_or_null(found->by_label, std::pair(std::string(key), std::string(value))));
  }
  Objects out = list(kind);
  std::erase_if(out, [&](const Json* o) {
    const Json* label = api::labels_of(*o).find(key);
    return label == nullptr || label->as_string() != value;
  });
  return out;
}

Cache::Objects Cache::list_owned_by(std::string_view kind, std::string_view owner_uid) const {
  const Kind* found = find_kind(kind);
  return found == nullptr ? Objects() : found->objects_at(find_or_null(found->by_owner, owner_uid));
}

Cache::Objects Cache::list_pods_on(std::string_view node_name) const {
  const Kind* found = find_kind("Pod");
  return found == nullptr ? Objects() : found->objects_at(find_or_null(found->by_node, node_name));
}

std::vector<std::string> Cache::kinds() const {
  std::vector<std::string> out;
  for (const auto& [name, kind] : kinds_) {
    if (kind->is_synced) out.push_back(name);
  }
  return out;
}

bool Cache::is_synced(std::string_view kind) const {
  const Kind* found = find_kind(kind);
  return found != nullptr && found->is_synced;
}

uint64_t Cache::last_seen(std::string_view kind) const {
  const Kind* found = find_kind(kind);
  return found == nullptr ? 0 : found->last_seen;
}

void Cache::index(Kind& kind, const Entry& entry, bool is_added) {
  const Json& object = *entry.object;
  for (const Json& owner : object["metadata"]["ownerReferences"].items()) {
    set_membership(kind.by_owner, owner["uid"].as_string(), entry.path, is_added);
  }
  if (object["kind"].as_string() == "Pod") {
    set_membership(kind.by_node, object["spec"]["nodeName"].as_string(), entry.path, is_added);
  }
  for (const std::string& key : indexed_labels_) {
    const Json* value = api::labels_of(object).find(key);
    if (value == nullptr) continue;
    set_membership(kind.by_label, std::pair(key, value->as_string()), entry.path, is_added);
  }
}

void Cache::store(Kind& kind, std::string_view kind_name, const std::string& path, Json object) {
  Entry& entry = kind.objects[path];
  std::unique_ptr<const Json> before = std::move(entry.object);
  if (before != nullptr) {
    Entry old{path, std::move(before)};
    index(kind, old, false);
    before = std::move(old.object);
  }
  entry.path = path;
  entry.object = std::make_unique<const Json>(std::move(object));
  index(kind, entry, true);
  tell(kind_name, before.get(), entry.object.get());
}

void Cache::drop(Kind& kind, std::string_view kind_name, const std::string& path) {
  auto it = kind.objects.find(path);
  if (it == kind.objects.end()) return;
  Entry old = std::move(it->second);
  kind.objects.erase(it);
  index(kind, old, false);
  tell(kind_name, old.object.get(), nullptr);
}

void Cache::put(Json object) {
  const std::string kind_name = object["kind"].as_string();
  Kind& into = kind(kind_name);
  const std::string path = path_of(object);
  const uint64_t revision = revision_of(object);
  const Entry* present = find_or_null(into.objects, path);
  if (present != nullptr && revision != 0 && revision <= revision_of(*present->object)) return;
  into.last_seen = std::max(into.last_seen, revision);
  store(into, kind_name, path, std::move(object));
}

void Cache::remove(const Json& object) {
  const std::string kind_name = object["kind"].as_string();
  Kind& from = kind(kind_name);
  const std::string path = path_of(object);
  const uint64_t revision = revision_of(object);
  const Entry* present = find_or_null(from.objects, path);
  if (present != nullptr && revision != 0 && revision < revision_of(*present->object)) return;
  from.last_seen = std::max(from.last_seen, revision);
  drop(from, kind_name, path);
}

void Cache::replace(std::string_view kind_name, Json::Array objects, uint64_t revision) {
  Kind& into = kind(kind_name);
  std::set<std::string> kept;
  for (const Json& object : objects) kept.insert(path_of(object));
  std::vector<std::string> gone;
  for (const auto& [path, entry] : into.objects) {
    if (!kept.contains(path)) gone.push_back(path);
  }
  // Known before anybody is told, so that a listener that asks sees the list as complete.
  into.last_seen = std::max(into.last_seen, revision);
  for (const std::string& path : gone) drop(into, kind_name, path);
  for (Json& object : objects) {
    const std::string path = path_of(object);
    const Entry* present = find_or_null(into.objects, path);
    const bool is_same =
        present != nullptr && !api::resource_version_of(object).empty() &&
        api::uid_of(object) == api::uid_of(*present->object) &&
        api::resource_version_of(object) == api::resource_version_of(*present->object);
    if (!is_same) store(into, kind_name, path, std::move(object));
  }
  into.is_synced = true;
  tell(kind_name, nullptr, nullptr);
}

void Cache::advance(std::string_view kind_name, uint64_t revision) {
  Kind& of = kind(kind_name);
  of.last_seen = std::max(of.last_seen, revision);
  tell(kind_name, nullptr, nullptr);
}

void Cache::subscribe(Listener listener) {
  listeners_.push_back(std::move(listener));
}

void Cache::tell(std::string_view kind, const Json* before, const Json* after) {
  for (size_t i = 0; i < listeners_.size(); ++i) listeners_[i](kind, before, after);
}

}  // namespace pelton::client
