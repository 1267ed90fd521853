// SPDX-License-Identifier: Apache-2.0
// POST to a collection.
#include "api/defaults.h"
#include "api/names.h"
#include "api/object.h"
#include "api/validate.h"
#include "apiserver/body.h"
#include "apiserver/definitions.h"
#include "apiserver/write.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// How often a generated name that is taken is generated anew.
constexpr int kNameTries = 8;

bool is_service(const api::ResourceInfo& r) {
  return r.group.empty() && r.plural == "services";
}

/// What the server alone decides about a new object.
Status stamp(const CorePtr& core, const Call& call, Json& object) {
  Json& metadata = object.child("metadata");
  if (!metadata["resourceVersion"].as_string().empty()) {
    return bad_request("resourceVersion should not be set on objects to be created");
  }
  for (const char* field :
       {"resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"}) {
    metadata.erase(field);
  }
  const std::string base_name = metadata["generateName"].as_string();
  if (metadata["name"].as_string().empty() && !base_name.empty()) {
    metadata.set("name", api::generate_name(base_name, random_number(core)));
  }
  metadata.set("uid", core->random.uuid());
  metadata.set("creationTimestamp", base::format_time(core->clock.now()));
  if (call.resource->has_generation) metadata.set("generation", 1);
  return base::ok();
}

std::set<std::string> used_ips(const CorePtr& core, const api::ResourceInfo& services) {
  std::set<std::string> used = core->ips_under_way;
  core->objects.for_each(services, "", [&used](const Stored& stored) {
    const std::string& ip = (*stored.object)["spec"]["clusterIP"].as_string();
    if (!ip.empty() && ip != "None") used.insert(ip);
  });
  return used;
}

struct Admitted {
  std::vector<Unchanged> unchanged;  ///< what admission rested on
  std::string cluster_ip;            ///< the address that a Service took
};

/// What the client set is its own, with the defaults; not so what the server makes of it next.
void track_creation(const CorePtr& core, const Call& call, Json& object) {
  const api::ResourceInfo& resource = *call.resource;
  Json set = object;
  if (resource.has_status()) set.erase("status");  // nobody's: it is not set by this path
  const Json sent = set["metadata"]["managedFields"];
  track_update(resource, api::fields::empty_object(resource), set, sent,
               writer_of(call, core->clock.now()), true);
  object.child("metadata").set("managedFields", set["metadata"]["managedFields"]);
  if (set["metadata"]["managedFields"].empty()) object.child("metadata").erase("managedFields");
}

/// The whole admission of a new object.
Result<Admitted> admit_new(const CorePtr& core, Call& call, Json& object, bool has_owners) {
  Admitted out;
  const api::ResourceInfo& resource = *call.resource;
  PELTON_TRY(stamp(core, call, object));
  api::apply_defaults(resource, object, true);
  if (!has_owners) track_creation(core, call, object);
  api::prepare_for_create(resource, object);
  PELTON_TRY(admit_node(call.request.identity, call.access, object));
  admit_definition(core, call, object);
  PELTON_ASSIGN(out.unchanged, check_namespace_takes(core, call, api::name_of(object)));
  PELTON_TRY(api::validate_create(resource, object));
  if (is_service(resource)) {
    PELTON_ASSIGN(out.cluster_ip,
                  assign_cluster_ip(object, core->service_range, used_ips(core, resource)));
  }
  return out;
}

/// Answers with what was stored. In its plain form that is the stored text.
void answer_created(const CorePtr& core, Call& call, Json& object, const EncodedObject& encoded,
                    Revision revision) {
  if (call.form == AnswerForm::Plain && call.resource->is_served_as_stored()) {
    return answer_bytes(
        call, 201, store::splice_revision(encoded.bytes, encoded.splice_at, revision).append("\n"));
  }
  object.make("metadata").set("resourceVersion", std::to_string(revision));
  answer_object(core, call, 201, object);
}

// What was wanted and what came of it are shared with the callback, not copied: objects are large.
void attempt_create(const CorePtr& core, const CallPtr& call,
                    const std::shared_ptr<const Wanted>& wanted, const std::function<void()>& taken,
                    int tries_left) {
  const auto made = std::make_shared<Json>(wanted->object);
  Json& object = *made;
  Result<Admitted> admitted = admit_new(core, *call, object, wanted->has_owners);
  call->subject.name = api::name_of(object);
  if (!admitted.ok()) return answer_failure(*call, admitted.error());

  const api::ResourceInfo& storage = *call->resource->storage;
  if (&storage != call->resource) object = api::convert(object, storage);
  if (call->is_dry_run) {
    if (core->objects.get(storage, call->path.ns, call->subject.name).ok()) {
      return answer_failure(*call, object_already_exists(call->subject));
    }
    return answer_object(core, *call, 201, object);
  }
  Write write;
  write.resource = &storage;
  write.ns = call->path.ns;
  if (!storage.is_namespaced) write.ns.clear();
  write.name = call->subject.name;
  write.object = made;
  EncodedObject encoded = encode_object(object);
  write.encoded = encoded;
  const std::string ip = admitted->cluster_ip;
  if (!ip.empty()) core->ips_under_way.insert(ip);
  std::vector<Write> writes;
  writes.push_back(std::move(write));
  core->objects.commit(std::move(writes), std::move(admitted->unchanged),
                       [core, call, wanted, taken, made, encoded = std::move(encoded), ip,
                        tries_left](Result<Revision> revision) {
                         core->ips_under_way.erase(ip);
                         if (revision.ok())
                           return answer_created(core, *call, *made, encoded, *revision);
                         // The Namespace changed meanwhile, or the generated name is taken: once
                         // more.
                         const base::Code code = revision.error().code();
                         const bool is_generated = api::name_of(wanted->object).empty();
                         if (taken && code == base::Code::AlreadyExists) return taken();
                         const bool again = code == base::Code::Conflict ||
                                            (code == base::Code::AlreadyExists && is_generated);
                         if (again && tries_left > 1)
                           return attempt_create(core, call, wanted, taken, tries_left - 1);
                         answer_failure(*call, code == base::Code::AlreadyExists
                                                   ? object_already_exists(call->subject)
                                                   : revision.error());
                       });
}
}  // namespace

void create_object(const CorePtr& core, const CallPtr& call, Wanted wanted,
                   std::function<void()> taken) {
  attempt_create(core, call, std::make_shared<const Wanted>(std::move(wanted)), taken, kNameTries);
}

void handle_create(const CorePtr& core, const CallPtr& call) {
  Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  status = admit_object(*call, *body);
  call->subject.name = api::name_of(*body);
  if (!status.ok()) return answer_failure(*call, status);
  create_object(core, call, {std::move(*body)});
}

}  // namespace pelton::apiserver
