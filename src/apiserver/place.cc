// SPDX-License-Identifier: Apache-2.0
// POST of pods/binding and of gangbindings.
#include "api/object.h"
#include "apiserver/binding.h"
#include "apiserver/body.h"
#include "apiserver/core.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
constexpr int kGangTries = 16;

const api::ResourceInfo& resource_of(const CorePtr& core, std::string_view plural) {
  const api::ResourceInfo* resource = core->registry.find("", "v1", plural);
  PELTON_CHECK(resource != nullptr);
  return *resource;
}

struct GangWrites {
  std::vector<Write> pods;
  std::vector<Unchanged> nodes;
};

/// One transaction that binds the whole gang to what there is now, or why there is none.
Result<GangWrites> make_gang_writes(const CorePtr& core, const Call& call,
                                    const std::vector<PodBinding>& bindings) {
  const api::ResourceInfo& pods = resource_of(core, "pods");
  const api::ResourceInfo& nodes = resource_of(core, "nodes");
  const std::string& gang = call.subject.name;
  GangWrites writes;
  std::set<std::string> nodes_seen;
  for (const PodBinding& binding : bindings) {
    Result<Stored> pod = core->objects.get(pods, call.path.ns, binding.pod_name);
    if (!pod.ok()) return gang_conflict(gang, binding, "the pod does not exist");
    Result<Json> bound = bind_pod(*pod->object, binding, core->clock.now());
    if (!bound.ok()) return gang_conflict(gang, binding, bound.error().message());
    Result<Stored> node = core->objects.get(nodes, "", binding.node_name);
    if (!node.ok() || api::is_being_deleted(*node->object)) {
      return gang_conflict(gang, binding, "the node does not exist");
    }
    Write write;
    write.resource = &pods;
    write.ns = call.path.ns;
    write.name = binding.pod_name;
    write.expected = pod->revision;
    write.object = std::move(*bound);
    writes.pods.push_back(std::move(write));
    if (nodes_seen.insert(binding.node_name).second) {
      // The node must still be there when the transaction is ordered. That it was merely updated
      // in between makes us read again, no more.
      writes.nodes.push_back({&nodes, "", binding.node_name, node->revision});
    }
  }
  return writes;
}

void attempt_gang(const CorePtr& core, const CallPtr& call, const Json& body,
                  const std::vector<PodBinding>& bindings, int tries_left) {
  Result<GangWrites> writes = make_gang_writes(core, *call, bindings);
  if (!writes.ok()) return answer_failure(*call, writes.error());
  if (call->is_dry_run) return answer_json(*call, 201, body);
  core->objects.commit(std::move(writes->pods), std::move(writes->nodes),
                       [core, call, body, bindings, tries_left](Result<Revision> revision) {
                         if (revision.ok()) return answer_json(*call, 201, body);
                         if (revision.error().code() != base::Code::Conflict) {
                           return answer_failure(*call, revision.error());
                         }
                         if (tries_left <= 1)
                           return answer_failure(*call, object_modified(call->subject));
                         attempt_gang(core, call, body, bindings, tries_left - 1);
                       });
}
}  // namespace

void handle_pod_binding(const CorePtr& core, const CallPtr& call) {
  const Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  Result<PodBinding> binding = read_binding(*body, call->path.name);
  if (!binding.ok()) return answer_failure(*call, binding.error());
  modify(
      core, {call->resource, call->path.ns, call->path.name}, call->is_dry_run,
      [core, binding = *binding](const Json& before) -> Result<Change> {
        Change change;
        change.act = Change::Act::Write;
        PELTON_ASSIGN(change.object, bind_pod(before, binding, core->clock.now()));
        return change;
      },
      [call](Result<Change> change) {
        if (!change.ok()) return answer_failure(*call, change.error());
        answer_json(*call, 201,
                    Json::object({{"kind", "Status"},
                                  {"apiVersion", "v1"},
                                  {"metadata", Json::object()},
                                  {"status", "Success"},
                                  {"code", 201}}));
      });
}

void handle_gang_binding(const CorePtr& core, const CallPtr& call) {
  Status status = read_write_options(*call);
  if (!status.ok()) return answer_failure(*call, status);
  Result<Json> body = read_body(call->request);
  if (!body.ok()) return answer_failure(*call, body.error());
  status = admit_object(*call, *body);
  call->subject.name = api::name_of(*body);
  if (!status.ok()) return answer_failure(*call, status);
  Result<std::vector<PodBinding>> bindings = read_gang_binding(*body);
  if (!bindings.ok()) return answer_failure(*call, bindings.error());
  attempt_gang(core, call, *body, *bindings, kGangTries);
}

}  // namespace pelton::apiserver
