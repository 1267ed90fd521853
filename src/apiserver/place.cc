// SPDX-License-Identifier: Apache-2.0
// POST of pods/binding and of gangbindings.
#include <map>

#include "api/object.h"
#include "api/pod_resources.h"
#include "apiserver/binding.h"
#include "apiserver/body.h"
#include "apiserver/core.h"
#include "apiserver/node_room.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// Against concurrent writers of the pods and nodes.
constexpr int kTries = 16;

const api::ResourceInfo& resource_of(const CorePtr& core, std::string_view plural) {
  const api::ResourceInfo* resource = core->registry->find("", "v1", plural);
  PELTON_CHECK(resource != nullptr);
  return *resource;
}

struct BindingWrites {
  std::vector<Write> pods;
  std::vector<Unchanged> nodes;
};

/// How the failure of one binding is told: for its gang, or ("") for the pod alone.
Status conflict(const std::string& gang, const PodBinding& binding, const std::string& why) {
  return gang.empty() ? pod_conflict(binding, why) : gang_conflict(gang, binding, why);
}

/// One transaction that binds all to what there is now, or why there is none.
Result<BindingWrites> make_writes(const CorePtr& core, const Call& call,
                                  const std::vector<PodBinding>& bindings,
                                  const std::string& gang) {
  const api::ResourceInfo& pods = resource_of(core, "pods");
  const api::ResourceInfo& nodes = resource_of(core, "nodes");
  BindingWrites writes;
  std::map<std::string, api::Amounts> used;  // by node, with the bindings so far
  for (const PodBinding& binding : bindings) {
    Result<Stored> pod = core->objects.get(pods, call.path.ns, binding.pod_name);
    if (!pod.ok()) return conflict(gang, binding, "the pod does not exist");
    Result<Json> bound = bind_pod(*pod->object, binding, core->clock.now());
    if (!bound.ok()) {
      return gang.empty() ? bound.error() : conflict(gang, binding, bound.error().message());
    }
    Result<Stored> node = core->objects.get(nodes, "", binding.node_name);
    if (!node.ok() || api::is_being_deleted(*node->object)) {
      return conflict(gang, binding, "the node does not exist");
    }
    const auto [own, is_new] = used.try_emplace(binding.node_name);
    if (is_new) {
      own->second = core->objects.used_of_node(pods, binding.node_name);
      // The node must still be there when the transaction is ordered. That it was merely updated
      // in between makes us read again, no more.
      writes.nodes.push_back({&nodes, "", binding.node_name, node->revision});
    }
    const api::Amounts wanted = api::requests_of(*bound);
    const std::string lack = lacking_room(*node->object, own->second, wanted);
    if (!lack.empty()) return conflict(gang, binding, "the node has no room: " + lack);
    for (const auto& [resource, amount] : wanted) own->second[resource] += amount;
    Write write;
    write.resource = &pods;
    write.ns = call.path.ns;
    write.name = binding.pod_name;
    write.expected = pod->revision;
    write.object = std::make_shared<const Json>(std::move(*bound));
    writes.pods.push_back(std::move(write));
  }
  return writes;
}

void attempt(const CorePtr& core, const CallPtr& call, const Json& answer,
             const std::vector<PodBinding>& bindings, const std::string& gang, int tries_left) {
  Result<BindingWrites> writes = make_writes(core, *call, bindings, gang);
  if (!writes.ok()) return answer_failure(*call, writes.error());
  if (call->is_dry_run) return answer_json(*call, 201, answer);
  core->objects.commit(std::move(writes->pods), std::move(writes->nodes),
                       [core, call, answer, bindings, gang, tries_left](Result<Revision> revision) {
                         if (revision.ok()) return answer_json(*call, 201, answer);
                         if (revision.error().code() != base::Code::Conflict) {
                           return answer_failure(*call, revision.error());
                         }
                         if (tries_left <= 1)
                           return answer_failure(*call, object_modified(call->subject));
                         attempt(core, call, answer, bindings, gang, tries_left - 1);
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
  Result<Stored> pod = core->objects.get(*call->resource, call->path.ns, call->path.name);
  if (!pod.ok()) return answer_failure(*call, pod.error());
  const Json answer = Json::object({{"kind", "Status"},
                                    {"apiVersion", "v1"},
                                    {"metadata", Json::object()},
                                    {"status", "Success"},
                                    {"code", 201}});
  attempt(core, call, answer, {*binding}, "", kTries);
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
  attempt(core, call, *body, *bindings, call->subject.name, kTries);
}

}  // namespace pelton::apiserver
