// SPDX-License-Identifier: Apache-2.0
// DELETE of an object and of a collection.
#include "api/object.h"
#include "apiserver/body.h"
#include "apiserver/core.h"
#include "apiserver/deletion.h"
#include "apiserver/selection.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr std::string_view kKeptNamespaces[] = {"default", "kube-public", "kube-system"};

/// Namespaces that a cluster cannot do without.
Status check_may_go(const Call& call) {
  if (!call.resource->group.empty() || call.resource->plural != "namespaces") return base::ok();
  for (std::string_view kept : kKeptNamespaces) {
    if (call.path.name == kept) return forbidden(call.subject, "this namespace may not be deleted");
  }
  return base::ok();
}

/// A Job's pods outlive it where nobody said otherwise, for the sake of clients of its first days.
void default_policy(Call& call, DeleteOptions& options) {
  if (call.resource->qualified_kind() != "Job.batch" || !options.propagation_policy.empty()) return;
  options.propagation_policy = "Orphan";
  call.warnings.push_back(
      "child pods are preserved by default when jobs are deleted; set "
      "propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress "
      "this warning");
}

bool answers_with_object(const api::ResourceInfo& r) {
  return r.group.empty() && (r.plural == "pods" || r.plural == "services");
}

/// From query and body; the body wins.
Result<DeleteOptions> read_options(Call& call) {
  PELTON_TRY(read_write_options(call));
  DeleteOptions options;
  PELTON_ASSIGN(options.grace_seconds, call.query.integer("gracePeriodSeconds"));
  options.propagation_policy = call.query.get("propagationPolicy");
  PELTON_TRY(check_propagation_policy(options.propagation_policy));
  PELTON_ASSIGN(const Json body, read_body(call.request));
  PELTON_TRY(read_delete_options(body, options));
  for (const Json& dry_run : body["dryRun"].items()) {
    if (dry_run.as_string() == "All") call.is_dry_run = true;
  }
  default_policy(call, options);
  return options;
}

void answer_bad_options(Call& call, const Status& status) {
  call.subject = options_subject("DeleteOptions");
  answer_failure(call, status);
}

Decide make_decide(const CorePtr& core, const CallPtr& call, const DeleteOptions& options) {
  return [core, call, options](const Json& before) -> Result<Change> {
    PELTON_TRY(admit_node(call->request.identity, call->access, before));
    PELTON_ASSIGN(DeletionStep step,
                  decide_deletion(*call->resource->storage, before, options, core->clock.now()));
    Change change;
    change.object = std::move(step.object);
    switch (step.act) {
      case DeletionStep::Act::Remove:
        change.act = Change::Act::Remove;
        break;
      case DeletionStep::Act::Write:
        change.act = Change::Act::Write;
        break;
      case DeletionStep::Act::Keep:
        change.act = Change::Act::Keep;
        break;
    }
    return change;
  };
}

/// The answers of many deletes, counted down to one answer.
struct Collection {
  Json items = Json::array();
  Status failure;
  size_t pending = 0;
};

void answer_collection(const CorePtr& core, Call& call, const Collection& collection) {
  if (!collection.failure.ok()) return answer_failure(call, collection.failure);
  const std::string version = std::to_string(core->objects.store().revision());
  answer_json(call, 200,
              Json::object({{"kind", call.resource->list_kind()},
                            {"apiVersion", call.resource->api_version()},
                            {"metadata", Json::object({{"resourceVersion", version}})},
                            {"items", collection.items}}));
}
}  // namespace

void handle_delete(const CorePtr& core, const CallPtr& call) {
  const Status may_go = check_may_go(*call);
  if (!may_go.ok()) return answer_failure(*call, may_go);
  Result<DeleteOptions> options = read_options(*call);
  if (!options.ok()) return answer_bad_options(*call, options.error());
  const ObjectName name{call->resource->storage, call->resource->is_namespaced ? call->path.ns : "",
                        call->path.name};
  modify(core, name, call->is_dry_run, make_decide(core, call, *options),
         [core, call](Result<Change> change) {
           if (!change.ok()) return answer_failure(*call, change.error());
           const bool is_gone = change->act == Change::Act::Remove;
           if (!is_gone || answers_with_object(*call->resource)) {
             return answer_object(core, *call, 200, change->object);
           }
           call->subject.uid = api::uid_of(change->object);
           answer_json(*call, 200, success_object(call->subject));
         });
}

void handle_delete_collection(const CorePtr& core, const CallPtr& call) {
  Result<DeleteOptions> options = read_options(*call);
  if (!options.ok()) return answer_bad_options(*call, options.error());
  Result<Selection> selection = read_selection(*call);
  if (!selection.ok()) return answer_failure(*call, selection.error());

  const api::ResourceInfo* storage = call->resource->storage;
  std::vector<ObjectName> names;
  core->objects.for_each(*storage, call->path.ns, [&](const Stored& stored) {
    if (!selection->matches(*stored.object)) return;
    names.push_back({storage, api::namespace_of(*stored.object), api::name_of(*stored.object)});
  });
  auto collection = std::make_shared<Collection>();
  collection->pending = names.size() + 1;
  const auto finish_one = [core, call, collection] {
    if (--collection->pending == 0) answer_collection(core, *call, *collection);
  };
  for (const ObjectName& name : names) {
    modify(core, name, call->is_dry_run, make_decide(core, call, *options),
           [call, collection, finish_one](Result<Change> change) {
             if (change.ok()) {
               collection->items.push_back(api::convert(change->object, *call->resource));
             } else if (change.error().code() != base::Code::NotFound) {
               collection->failure = change.error();  // one that is gone already is no failure
             }
             finish_one();
           });
  }
  finish_one();
}

}  // namespace pelton::apiserver
