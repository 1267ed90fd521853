// SPDX-License-Identifier: Apache-2.0
// Server-side apply of a whole configuration.
#include <fmt/format.h>

#include <algorithm>

#include "api/fields/ownership.h"
#include "api/fields/typed.h"
#include "api/object.h"

namespace pelton::api::fields {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// kubectl's own applier goes on where its client-side apply has left off.
constexpr std::string_view kKubectl = "kubectl";
constexpr std::string_view kLastApplied = "kubectl.kubernetes.io/last-applied-configuration";
/// Owner of what an object has when nobody has been tracked before its first apply.
constexpr std::string_view kBeforeFirstApply = "before-first-apply";

/// The fields that an apply through this path can set: /status sets status, and nothing else does.
FieldSet reachable(const ResourceInfo& resource, const Writer& writer, const FieldSet& set) {
  FieldSet status;
  status.insert({"f:status"});
  if (writer.subresource == "status") {
    FieldSet out;
    if (const FieldSet* below = set.find("f:status")) out.attach("f:status", *below);
    return out;
  }
  return resource.has_status() ? subtract_below(set, status) : set;
}

struct Conflict {
  const ManagedEntry* entry;
  Path path;
};

std::string show_manager(const ManagedEntry& entry) {
  std::string out = Json(entry.manager).dump();
  if (!entry.subresource.empty()) {
    out += " with subresource " + Json(entry.subresource).dump();
  }
  if (!entry.is_apply) out += " using " + entry.api_version;
  return out;
}

Status conflict_status(const std::vector<Conflict>& conflicts) {
  std::string message;
  if (conflicts.size() == 1) {
    message = fmt::format("Apply failed with 1 conflict: conflict with {}: {}",
                          show_manager(*conflicts[0].entry), to_string(conflicts[0].path));
  } else {
    message = fmt::format("Apply failed with {} conflicts: ", conflicts.size());
    const ManagedEntry* last = nullptr;
    for (const Conflict& conflict : conflicts) {
      if (conflict.entry != last) {
        message += fmt::format("{}conflicts with {}:", last == nullptr ? "" : "\n",
                               show_manager(*conflict.entry));
      }
      message += "\n- " + to_string(conflict.path);
      last = conflict.entry;
    }
  }
  Status status(base::Code::Conflict, "Conflict", std::move(message));
  for (const Conflict& conflict : conflicts) {
    status.add_cause({"FieldManagerConflict", to_string(conflict.path),
                      "conflict with " + show_manager(*conflict.entry)});
  }
  return status;
}

class Applier {
 public:
  Applier(const ResourceInfo& resource, const Json& live, const ApplyRequest& request,
          const Writer& writer)
      : resource_(resource),
        type_(*resource.type),
        request_(request),
        writer_(writer),
        live_(without_managed_fields(live)),
        managed_(managed_fields_of(live)),
        self_(entry_of(resource, writer, true)) {}

  Result<Json> run() {
    if (managed_.empty() && !request_.is_new) track_what_was_before();
    if (const ManagedEntry* last = find_entry(managed_, self_)) last_ = *last;
    std::erase_if(managed_, [this](const ManagedEntry& e) { return e.is_of(self_); });
    self_.fields =
        without_identity(reachable(resource_, writer_, fields_of(type_, request_.config)));

    Json result = prune(merge(type_, live_, request_.config));
    const Comparison difference = compare(type_, live_, result);
    const FieldSet touched =
        reachable(resource_, writer_, unite(difference.added, difference.modified));
    std::vector<Conflict> conflicts = find_conflicts(touched);
    if (!request_.is_forced && !may_take(conflicts)) return conflict_status(conflicts);
    const FieldSet removed = reachable(resource_, writer_, difference.removed);
    for (ManagedEntry& entry : managed_) {
      entry.fields = subtract(subtract(entry.fields, touched), removed);
    }
    const bool has_changed = !(result == live_) || !(last_.fields == self_.fields);
    self_.time = has_changed ? base::format_time(writer_.now) : last_.time;
    managed_.push_back(self_);
    drop_empty(managed_);
    sync_last_applied(result);
    set_managed_fields(result, std::move(managed_));
    return result;
  }

 private:
  void track_what_was_before() {
    Json all = live_;
    Writer before = writer_;
    before.manager = kBeforeFirstApply;
    before.subresource.clear();
    track_update(resource_, empty_object(resource_), all, Json(), before, true);
    managed_ = managed_fields_of(all);
  }

  /// Takes out what the applier stated last, states no more, and nobody else owns.
  Json prune(Json merged) const {
    if (last_.fields.empty()) return merged;
    const FieldSet last = with_named_parents(type_, last_.fields);
    FieldSet owned = self_.fields;
    for (const ManagedEntry& entry : managed_) owned = unite(owned, entry.fields);
    owned = with_named_parents(type_, owned);
    const auto set_of = [this](const Json& object) {
      return with_named_parents(type_, fields_of(type_, object));
    };
    const FieldSet before = set_of(merged);
    // Without everything stated last; then back comes what has an owner, with what is below it;
    // and what was below a field stated last but is not itself one of these stays too.
    const Json cut = remove_fields(type_, merged, last);
    const Json kept = remove_fields(type_, merged, subtract(before, unite(set_of(cut), owned)));
    const FieldSet gone = intersect(subtract(before, set_of(kept)), last);
    return remove_fields(type_, merged, gone);
  }

  std::vector<Conflict> find_conflicts(const FieldSet& touched) {
    std::vector<const ManagedEntry*> entries;
    for (const ManagedEntry& entry : managed_) entries.push_back(&entry);
    std::sort(entries.begin(), entries.end(), [](const ManagedEntry* a, const ManagedEntry* b) {
      return std::tie(a->manager, b->is_apply, a->api_version, a->subresource) <
             std::tie(b->manager, a->is_apply, b->api_version, b->subresource);
    });
    std::vector<Conflict> out;
    for (const ManagedEntry* entry : entries) {
      intersect(entry->fields, touched).for_each([&](const Path& path) {
        out.push_back({entry, path});
      });
    }
    return out;
  }

  /// Drops the conflicts that kubectl may have: about what its client-side apply set, where that is
  /// still so. Whether none is left.
  bool may_take(std::vector<Conflict>& conflicts) const {
    if (conflicts.empty() || self_.manager != kKubectl) return conflicts.empty();
    const Result<Json> last = Json::parse(annotation_of(live_, kLastApplied));
    if (!last.ok()) return false;
    const Comparison difference = compare(type_, *last, live_);
    FieldSet own = fields_of(type_, *last);
    for (const FieldSet* set : {&difference.modified, &difference.added, &difference.removed}) {
      own = subtract(own, *set);
    }
    std::erase_if(conflicts, [&](const Conflict& c) { return own.has(c.path); });
    return conflicts.empty();
  }

  /// Keeps the annotation true while it is there, for a user who goes back to client-side apply.
  void sync_last_applied(Json& result) const {
    if (self_.manager != kKubectl || annotation_of(result, kLastApplied).empty()) return;
    Json config = request_.config;
    if (config["metadata"]["annotations"].is_object()) {
      config.make("metadata.annotations").erase(kLastApplied);
      if (config["metadata"]["annotations"].empty()) config.child("metadata").erase("annotations");
    }
    result.make("metadata.annotations").set(kLastApplied, config.dump() + "\n");
  }

  const ResourceInfo& resource_;
  const TypeInfo& type_;
  const ApplyRequest& request_;
  const Writer& writer_;
  Json live_;
  ManagedFields managed_;  ///< the others', once run() has begun
  ManagedEntry self_;
  ManagedEntry last_;  ///< the writer's own entry before
};
}  // namespace

Result<Json> apply_config(const ResourceInfo& resource, const Json& live,
                          const ApplyRequest& request, const Writer& writer) {
  return Applier(resource, live, request, writer).run();
}

}  // namespace pelton::api::fields
