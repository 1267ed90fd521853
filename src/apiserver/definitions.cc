// SPDX-License-Identifier: Apache-2.0
#include "apiserver/definitions.h"

#include <algorithm>

#include "api/custom/definition.h"
#include "api/custom/establish.h"
#include "api/object.h"
#include "apiserver/deletion.h"

namespace pelton::apiserver {

using api::custom::Definition;
using base::Json;
using base::Result;
using base::Status;

namespace {
const api::ResourceInfo& definitions_of(const Core& core) {
  const api::ResourceInfo* resource =
      core.registry->find("apiextensions.k8s.io", "v1", "customresourcedefinitions");
  PELTON_CHECK(resource != nullptr);
  return *resource;
}

bool is_same(const Definition& a, const Definition& b) {
  return a.hash() == b.hash() && a.is_established() == b.is_established() &&
         a.is_terminating() == b.is_terminating();
}

/// Compiles what changed and keeps the rest. Whether anything did.
bool read_definitions(Core& core) {
  const Result<store::ListPage> page =
      core.objects.store().list(Objects::prefix(definitions_of(core), ""));
  PELTON_CHECK(page.ok());  // the newest state can always be listed
  std::map<std::string, StoredDefinition, std::less<>> now;
  bool has_changed = page->entries.size() != core.definitions.size();
  for (const store::Entry& entry : page->entries) {
    StoredDefinition& one = now[std::string(entry.key)];
    const auto known = core.definitions.find(entry.key);
    if (known != core.definitions.end()) one = known->second;
    if (one.revision == entry.revision) continue;
    const JsonPtr object = core.objects.parse(entry.key, entry.revision, entry.bytes);
    auto compiled = Definition::compile(*object);
    one.revision = entry.revision;
    if (one.definition && is_same(*one.definition, *compiled)) continue;
    one.definition = std::move(compiled);
    has_changed = true;
  }
  core.definitions = std::move(now);
  return has_changed;
}

void swap_registry(Core& core) {
  if (!read_definitions(core)) return;
  api::Registry::Definitions definitions;
  for (const auto& [key, one] : core.definitions) definitions.push_back(one.definition);
  core.registry = api::Registry::with(std::move(definitions));
  // A watch of a kind that is other now, or gone, ends: its client begins anew, or learns of it.
  std::vector<std::shared_ptr<Stream>> stale;
  for (const auto& [number, stream] : core.streams) {
    const api::ResourceInfo* resource = stream->resource();
    if (resource == nullptr || resource->custom == nullptr) continue;
    if (core.registry->find(resource->group, resource->version, resource->plural) != resource) {
      stale.push_back(stream);
    }
  }
  for (const auto& stream : stale) stream->shut();
}

void sweep_soon(const CorePtr& core);

/// Marks or removes one object; what comes of it is seen at the next sweep.
void remove_object(const CorePtr& core, const ObjectName& name,
                   const std::shared_ptr<const api::Registry>& registry) {
  modify(
      core, name, false,
      [core, name](const Json& before) -> Result<Change> {
        PELTON_ASSIGN(DeletionStep step,
                      decide_deletion(*name.resource, before, DeleteOptions(), core->clock.now()));
        Change change;
        change.object = std::move(step.object);
        if (step.act == DeletionStep::Act::Remove) change.act = Change::Act::Remove;
        if (step.act == DeletionStep::Act::Write) change.act = Change::Act::Write;
        return change;
      },
      [registry](const Result<Change>& change) {
        change.status().ignore("gone already, or the next sweep tries again");
      });
}

/// Removes what is not marked yet of the kind, in one namespace or all (""). How many are there.
size_t remove_objects(const CorePtr& core, const Definition& definition, const std::string& ns) {
  const api::ResourceInfo& resource = definition.storage().resource;
  size_t count = 0;
  core->objects.for_each(resource, ns, [&](const Stored& stored) {
    ++count;
    if (api::is_being_deleted(*stored.object)) return;
    remove_object(core,
                  {&resource, api::namespace_of(*stored.object), api::name_of(*stored.object)},
                  core->registry);
  });
  return count;
}

/// Lets a definition go whose objects are gone, or says that it waits for them.
void finish_definition(const CorePtr& core, const std::string& name, size_t objects_left) {
  modify(
      core, {&definitions_of(*core), "", name}, false,
      [core, objects_left](const Json& before) -> Result<Change> {
        Change change;
        change.object = before;
        if (!api::is_being_deleted(before)) return change;
        change.act = Change::Act::Write;
        if (objects_left > 0) {
          api::custom::note_waiting(change.object, objects_left, core->clock.now());
          if (change.object == before) change.act = Change::Act::Keep;
          return change;
        }
        Json finalizers = Json::array();
        for (const Json& finalizer : before["metadata"]["finalizers"].items()) {
          if (finalizer.as_string() != api::custom::kCleanupFinalizer) {
            finalizers.push_back(finalizer);
          }
        }
        if (finalizers.size() == before["metadata"]["finalizers"].size()) {
          change.act = Change::Act::Keep;
          return change;
        }
        Json& metadata = change.object.child("metadata");
        if (finalizers.empty()) {
          metadata.erase("finalizers");
          change.act = Change::Act::Remove;
        } else {
          metadata.set("finalizers", std::move(finalizers));
        }
        return change;
      },
      [](const Result<Change>& change) {
        change.status().ignore("gone already, or the next sweep tries again");
      });
}

void sweep_definitions(const CorePtr& core) {
  for (const auto& [key, one] : core->definitions) {
    if (!one.definition->is_terminating()) continue;
    const auto& served = core->registry->definitions();
    const bool is_served = std::find(served.begin(), served.end(), one.definition) != served.end();
    const size_t left = is_served ? remove_objects(core, *one.definition, "") : 0;
    const std::string name = key.substr(key.rfind('/') + 1);
    finish_definition(core, name, left);
  }
}

void sweep_namespaces(const CorePtr& core) {
  const api::ResourceInfo* namespaces = core->registry->find("", "v1", "namespaces");
  PELTON_CHECK(namespaces != nullptr);
  std::vector<std::string> leaving;
  core->objects.for_each(*namespaces, "", [&leaving](const Stored& stored) {
    if (api::is_being_deleted(*stored.object)) leaving.push_back(api::name_of(*stored.object));
  });
  for (const std::string& ns : leaving) {
    for (const auto& definition : core->registry->definitions()) {
      if (definition->storage().resource.is_namespaced) remove_objects(core, *definition, ns);
    }
  }
}

/// Goes on with every deletion that custom objects are part of. Level-triggered: any number of
/// sweeps at any time does the same.
void sweep_soon(const CorePtr& core) {
  if (core->definitions.empty() || std::exchange(core->is_sweep_due, true)) return;
  core->timers.post([weak = std::weak_ptr<Core>(core)] {
    const CorePtr self = weak.lock();
    if (!self || self->is_stopped) return;
    self->is_sweep_due = false;
    sweep_definitions(self);
    sweep_namespaces(self);
  });
}

/// Names that a definition gave up may make another one's good.
void resettle(const CorePtr& core) {
  const api::ResourceInfo& resource = definitions_of(*core);
  std::vector<std::pair<std::string, JsonPtr>> all;
  core->objects.for_each(resource, "", [&all](const Stored& stored) {
    all.emplace_back(api::name_of(*stored.object), stored.object);
  });
  for (const auto& [name, object] : all) {
    if (api::is_condition_true(*object, "NamesAccepted")) continue;
    modify(
        core, {&resource, "", name}, false,
        [core, all, own = name](const Json& before) -> Result<Change> {
          std::vector<const Json*> others;
          for (const auto& [other, json] : all) {
            if (other != own) others.push_back(json.get());
          }
          Change change;
          change.object = before;
          api::custom::settle_status(change.object, others, core->clock.now());
          change.act = change.object == before ? Change::Act::Keep : Change::Act::Write;
          return change;
        },
        [](const Result<Change>& change) {
          change.status().ignore("the next change of a definition tries again");
        });
  }
}

bool is_definitions(const api::ResourceInfo& resource) {
  return resource.group == "apiextensions.k8s.io" && resource.plural == "customresourcedefinitions";
}

void on_committed(const CorePtr& core, const Committed& committed) {
  if (committed.has_definitions) {
    swap_registry(*core);
    if (committed.has_removals) resettle(core);
  }
  if (committed.has_definitions || committed.has_namespaces ||
      (committed.has_custom && committed.has_removals)) {
    sweep_soon(core);
  }
}
}  // namespace

void start_definitions(const CorePtr& core) {
  core->objects.on_committed([weak = std::weak_ptr<Core>(core)](const Committed& committed) {
    const CorePtr self = weak.lock();
    if (self && !self->is_stopped) on_committed(self, committed);
  });
  swap_registry(*core);
  sweep_soon(core);
}

namespace {
/// Once: an update may be tried again.
void warn(Call& call, const std::string& text) {
  if (std::find(call.warnings.begin(), call.warnings.end(), text) == call.warnings.end()) {
    call.warnings.push_back(text);
  }
}
}  // namespace

void admit_definition(const CorePtr& core, Call& call, Json& object) {
  if (!is_definitions(*call.resource) || call.is_status()) return;
  std::vector<JsonPtr> kept;
  std::vector<const Json*> others;
  core->objects.for_each(*call.resource, "", [&](const Stored& stored) {
    if (api::name_of(*stored.object) == api::name_of(object)) return;
    kept.push_back(stored.object);
    others.push_back(stored.object.get());
  });
  api::custom::settle_status(object, others, core->clock.now());
  for (const std::string& text : api::custom::warnings_about(object)) warn(call, text);
}

size_t count_custom_objects(const CorePtr& core, const std::string& ns) {
  size_t count = 0;
  for (const auto& definition : core->registry->definitions()) {
    const api::ResourceInfo& resource = definition->storage().resource;
    if (!resource.is_namespaced) continue;
    core->objects.for_each(resource, ns, [&count](const Stored&) { ++count; });
  }
  return count;
}

}  // namespace pelton::apiserver
