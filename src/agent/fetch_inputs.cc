// SPDX-License-Identifier: Apache-2.0
#include "agent/fetch_inputs.h"

#include <memory>

#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

/// One shared counter over several fetches.
struct Fetch {
  PodInputs inputs;
  size_t open = 1;
  base::Status failure;
  std::function<void(base::Result<PodInputs>)> done;
};

void finish_one(const std::shared_ptr<Fetch>& fetch) {
  if (--fetch->open > 0) return;
  if (!fetch->failure.ok()) return fetch->done(fetch->failure);
  fetch->done(std::move(fetch->inputs));
}

}  // namespace

void fetch_pod_inputs(AgentContext& context, const PodRecord& record,
                      std::function<void(base::Result<PodInputs>)> done) {
  auto fetch = std::make_shared<Fetch>();
  fetch->done = std::move(done);
  const Machine& machine = context.options.machine;
  fetch->inputs.node_name = machine.node_name;
  fetch->inputs.host_address = context.options.host_address;
  fetch->inputs.pod_address = record.address;
  fetch->inputs.node_cpu = machine.type.cpu;
  fetch->inputs.node_memory = machine.type.memory;
  const ReferencedObjects referenced = referenced_objects(record.pod);
  const auto get = [&](const char* kind, const std::string& name, bool is_secret) {
    ++fetch->open;
    context.client.get({kind, api::namespace_of(record.pod), name},
                       [fetch, name, is_secret](base::Result<Json> object) {
                         auto& objects =
                             is_secret ? fetch->inputs.secrets : fetch->inputs.config_maps;
                         if (object.ok()) {
                           objects[name] = std::move(object).value();
                         } else if (object.status().code() != base::Code::NotFound) {
                           fetch->failure = object.status();
                         }
                         finish_one(fetch);
                       });
  };
  for (const std::string& name : referenced.config_maps) get("ConfigMap", name, false);
  for (const std::string& name : referenced.secrets) get("Secret", name, true);
  context.world.timers.post([fetch] { finish_one(fetch); });
}

}  // namespace pelton::agent
