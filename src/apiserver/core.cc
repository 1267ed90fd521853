// SPDX-License-Identifier: Apache-2.0
#include "apiserver/core.h"

#include "api/object.h"
#include "apiserver/answer_form.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// A client that insists on no version gets this many tries against concurrent writers.
constexpr int kTries = 16;

void attempt(const CorePtr& core, const ObjectName& name, bool dry_run, const Decide& decide,
             const ChangeDone& done, int tries_left) {
  Result<Stored> stored = core->objects.get(*name.resource, name.ns, name.name);
  if (!stored.ok()) return done(stored.status());
  Result<Change> change = decide(*stored->object);
  if (!change.ok()) return done(change.status());
  if (dry_run || change->act == Change::Act::Keep) return done(std::move(change));

  Write write;
  write.resource = name.resource;
  write.ns = name.ns;
  write.name = name.name;
  write.expected = stored->revision;
  write.is_remove = change->act == Change::Act::Remove;
  // Of a remove: the last state, for watchers. Shared, not copied: objects are large.
  const auto object = std::make_shared<Json>(std::move(change->object));
  write.object = object;
  std::vector<Write> writes;
  writes.push_back(std::move(write));
  core->objects.commit(
      std::move(writes), {},
      [core, name, dry_run, decide, done, tries_left, object,
       act = change->act](Result<Revision> revision) {
        if (revision.ok()) {
          object->make("metadata").set("resourceVersion", std::to_string(*revision));
          return done(Change{act, std::move(*object)});
        }
        if (revision.error().code() != base::Code::Conflict) return done(revision.status());
        if (tries_left <= 1) return done(object_modified(name.subject()));
        attempt(core, name, dry_run, decide, done, tries_left - 1);
      });
}
}  // namespace

uint64_t Core::adopt(std::shared_ptr<Stream> stream) {
  streams.emplace(next_stream, std::move(stream));
  return next_stream++;
}

void Core::release(uint64_t stream) {
  const auto found = streams.find(stream);
  if (found == streams.end()) return;
  timers.post([kept = std::move(found->second)] {});
  streams.erase(found);
}

StatusSubject ObjectName::subject() const {
  StatusSubject s;
  s.group = resource->group;
  s.resource = resource->plural;
  s.kind = resource->kind;
  s.name = name;
  return s;
}

void modify(const CorePtr& core, const ObjectName& name, bool dry_run, Decide decide,
            ChangeDone done) {
  attempt(core, name, dry_run, decide, done, kTries);
}

void answer_object(const CorePtr& core, Call& call, int code, const Json& object) {
  if (call.is_scale()) return answer_json(call, code, shape_scale(call, object));
  if (call.form == AnswerForm::Plain && call.resource->is_served_as_stored()) {
    return answer_json(call, code, object);
  }
  Result<IncludeObject> include = parse_include_object(call.query.get("includeObject"));
  if (!include.ok()) return answer_failure(call, include.error());
  TableOptions options;
  options.include = *include;
  const Json converted = api::convert(object, *call.resource);
  answer_json(call, code,
              shape_object(*call.resource, converted, call.form, options, core->clock.now()));
}

Result<std::vector<Unchanged>> check_namespace_takes(const CorePtr& core, const Call& call,
                                                     const std::string& object_name) {
  if (!call.resource->is_namespaced) return std::vector<Unchanged>();
  const api::ResourceInfo* namespaces = core->registry->find("", "v1", "namespaces");
  PELTON_CHECK(namespaces != nullptr);
  PELTON_ASSIGN(const Stored stored, core->objects.get(*namespaces, "", call.path.ns));
  const bool is_terminating = api::is_being_deleted(*stored.object) ||
                              (*stored.object)["status"]["phase"].as_string() == "Terminating";
  if (!is_terminating) {
    return std::vector<Unchanged>{{namespaces, "", call.path.ns, stored.revision}};
  }
  StatusSubject subject = call.subject;
  subject.name = object_name;
  Status status = forbidden(subject, "unable to create new content in namespace " + call.path.ns +
                                         " because it is being terminated");
  status.add_cause({"NamespaceTerminating", "metadata.namespace",
                    "namespace " + call.path.ns + " is being terminated"});
  return status;
}

uint64_t random_number(const CorePtr& core) {
  uint64_t number = 0;
  for (unsigned char byte : core->random.bytes(8)) number = number << 8 | byte;
  return number;
}

}  // namespace pelton::apiserver
