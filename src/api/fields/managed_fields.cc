// SPDX-License-Identifier: Apache-2.0
#include "api/fields/managed_fields.h"

#include <algorithm>
#include <tuple>

#include "api/fields/ownership.h"
#include "api/fields/typed.h"
#include "api/native.h"

namespace pelton::api::fields {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// More Update entries than this, and the oldest are merged.
constexpr size_t kUpdatersMax = 10;
constexpr std::string_view kOldUpdates = "ancient-changes";

Status bad_entry(size_t index, const std::string& why) {
  return base::invalid_argument("metadata.managedFields[" + std::to_string(index) + "]: " + why);
}

Result<ManagedEntry> read_entry(const Json& json, size_t index) {
  ManagedEntry entry;
  const std::string& operation = json["operation"].as_string();
  if (operation != "Apply" && operation != "Update") {
    return bad_entry(index, "operation must be `Apply` or `Update`");
  }
  entry.is_apply = operation == "Apply";
  entry.manager = json["manager"].as_string();
  entry.api_version = json["apiVersion"].as_string();
  entry.subresource = json["subresource"].as_string();
  entry.time = json["time"].as_string();
  if (entry.api_version.empty()) return bad_entry(index, "apiVersion must not be empty");
  if (json["fieldsType"].as_string() != "FieldsV1") {
    return bad_entry(index, "fieldsType must be FieldsV1");
  }
  const Json& fields = json["fieldsV1"];
  if (fields.is_null()) return entry;
  Result<FieldSet> set = FieldSet::from_json(fields);
  if (!set.ok()) return bad_entry(index, set.error().message());
  entry.fields = std::move(*set);
  return entry;
}

/// Whose bucket of old updates the entry goes to.
ManagedEntry bucket_for(const ManagedEntry& entry) {
  ManagedEntry bucket;
  bucket.manager = kOldUpdates;
  bucket.api_version = entry.api_version;
  bucket.time = entry.time;
  return bucket;
}
}  // namespace

bool ManagedEntry::is_of(const ManagedEntry& other) const {
  return manager == other.manager && is_apply == other.is_apply &&
         subresource == other.subresource && (is_apply || api_version == other.api_version);
}

Result<ManagedFields> read_managed_fields(const Json& list) {
  ManagedFields out;
  size_t index = 0;
  for (const Json& json : list.items()) {
    PELTON_ASSIGN(ManagedEntry entry, read_entry(json, index++));
    ManagedEntry* known = find_entry(out, entry);
    if (known != nullptr) {
      *known = std::move(entry);
    } else {
      out.push_back(std::move(entry));
    }
  }
  return out;
}

Json write_managed_fields(ManagedFields managed) {
  const auto rank = [](const ManagedEntry& e) {
    return std::tie(e.time, e.manager, e.api_version, e.subresource);
  };
  std::sort(managed.begin(), managed.end(), [&](const ManagedEntry& a, const ManagedEntry& b) {
    if (a.is_apply != b.is_apply) return a.is_apply;
    return rank(a) < rank(b);
  });
  Json out = Json::array();
  for (const ManagedEntry& entry : managed) {
    Json json = Json::object({{"manager", entry.manager},
                              {"operation", entry.is_apply ? "Apply" : "Update"},
                              {"apiVersion", entry.api_version},
                              {"fieldsType", "FieldsV1"},
                              {"fieldsV1", entry.fields.to_json()}});
    if (!entry.time.empty()) json.set("time", entry.time);
    if (!entry.subresource.empty()) json.set("subresource", entry.subresource);
    out.push_back(std::move(json));
  }
  return out;
}

bool is_reset(const Json& list) {
  if (!list.is_array()) return false;
  return list.empty() || (list.size() == 1 && list[0].is_object() && list[0].empty());
}

ManagedEntry* find_entry(ManagedFields& managed, const ManagedEntry& writer) {
  for (ManagedEntry& entry : managed) {
    if (entry.is_of(writer)) return &entry;
  }
  return nullptr;
}

ManagedEntry entry_of(const ResourceInfo& resource, const Writer& writer, bool is_apply) {
  ManagedEntry entry;
  entry.manager = writer.manager.empty() ? "unknown" : writer.manager;
  entry.is_apply = is_apply;
  entry.api_version = resource.api_version();
  entry.subresource = writer.subresource;
  return entry;
}

FieldSet without_identity(const FieldSet& set) {
  static const FieldSet kUnowned = [] {
    FieldSet out;
    for (const char* name : {"f:apiVersion", "f:kind", "f:metadata"}) out.insert({name});
    for (const char* name : {"name", "namespace", "creationTimestamp", "selfLink", "uid",
                             "generation", "managedFields", "resourceVersion"}) {
      out.insert({"f:metadata", member_element(name)});
    }
    return out;
  }();
  return subtract(set, kUnowned);
}

void drop_empty(ManagedFields& managed) {
  std::erase_if(managed, [](const ManagedEntry& e) { return e.fields.empty(); });
}

ManagedFields managed_fields_of(const Json& object) {
  // What is stored was written by us; what cannot be read counts as absent, as upstream.
  Result<ManagedFields> managed = read_managed_fields(object["metadata"]["managedFields"]);
  return managed.ok() ? std::move(*managed) : ManagedFields();
}

Json without_managed_fields(Json object) {
  if (Json* metadata = object.find_mutable("metadata")) {
    if (metadata->is_object()) metadata->erase("managedFields");
  }
  return object;
}

void set_managed_fields(Json& object, ManagedFields managed) {
  if (managed.empty()) {
    object.child("metadata").erase("managedFields");
  } else {
    object.child("metadata").set("managedFields", write_managed_fields(std::move(managed)));
  }
}

void merge_old_updates(ManagedFields& managed) {
  while (true) {
    std::vector<ManagedEntry*> updaters;
    for (ManagedEntry& entry : managed) {
      if (!entry.is_apply) updaters.push_back(&entry);
    }
    if (updaters.size() <= kUpdatersMax) return;
    std::sort(updaters.begin(), updaters.end(), [](const ManagedEntry* a, const ManagedEntry* b) {
      return std::tie(a->time, a->manager) < std::tie(b->time, b->manager);
    });
    // The two oldest of one version become one.
    ManagedEntry* first = nullptr;
    ManagedEntry* second = nullptr;
    for (size_t i = 0; i < updaters.size() && second == nullptr; ++i) {
      for (size_t j = i + 1; j < updaters.size() && second == nullptr; ++j) {
        if (updaters[i]->api_version != updaters[j]->api_version) continue;
        first = updaters[i];
        second = updaters[j];
      }
    }
    if (second == nullptr) return;
    ManagedEntry bucket = bucket_for(*second);
    bucket.fields = unite(first->fields, second->fields);
    *first = std::move(bucket);
    managed.erase(managed.begin() + (second - managed.data()));
  }
}

void track_update(const ResourceInfo& resource, const Json& before, Json& after, const Json& sent,
                  const Writer& writer, bool is_new) {
  ManagedFields managed = managed_fields_of(before);
  if (writer.subresource.empty()) {
    if (is_reset(sent)) {
      managed.clear();
    } else if (Result<ManagedFields> wanted = read_managed_fields(sent);
               wanted.ok() && !wanted->empty()) {
      managed = std::move(*wanted);
    }
  }
  if (managed.empty() && !is_new) return set_managed_fields(after, {});

  const Json old_object = without_managed_fields(before);
  after = without_managed_fields(std::move(after));
  if (old_object == after) return set_managed_fields(after, std::move(managed));
  const Comparison difference = compare(*resource.type, old_object, after);
  const FieldSet touched = unite(difference.added, difference.modified);
  const ManagedEntry self = entry_of(resource, writer, false);
  for (ManagedEntry& entry : managed) {
    if (entry.is_of(self)) continue;
    entry.fields = subtract(subtract(entry.fields, touched), difference.removed);
  }
  ManagedEntry* own = find_entry(managed, self);
  if (own == nullptr) own = &managed.emplace_back(self);
  own->fields = without_identity(unite(subtract(own->fields, difference.removed), touched));
  own->time = base::format_time(writer.now);
  drop_empty(managed);
  merge_old_updates(managed);
  set_managed_fields(after, std::move(managed));
}

void keep_times_of_no_change(const Json& before, Json& after) {
  const Json& olds = before["metadata"]["managedFields"];
  const Json& news = after["metadata"]["managedFields"];
  if (olds == news || olds.size() != news.size()) return;
  const auto without_times = [](const Json& list) {
    std::vector<Json> out;
    for (Json entry : list.items()) {
      entry.erase("time");
      out.push_back(std::move(entry));
    }
    return out;
  };
  const std::vector<Json> a = without_times(olds), b = without_times(news);
  if (!std::is_permutation(a.begin(), a.end(), b.begin(), b.end())) return;
  if (!(without_managed_fields(before) == without_managed_fields(after))) return;
  after.child("metadata").set("managedFields", Json(olds));
}

Json empty_object(const ResourceInfo& resource) {
  Json out = Json::object({{"apiVersion", resource.api_version()}, {"kind", resource.kind}});
  // What upstream has as a Go type always has these; what comes of a CustomResourceDefinition has
  // nothing.
  if (is_native(resource)) fill_always_present(*resource.type, out);
  return out;
}

}  // namespace pelton::api::fields
