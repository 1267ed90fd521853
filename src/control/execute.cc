// SPDX-License-Identifier: Apache-2.0
#include "control/execute.h"

#include <algorithm>
#include <utility>

#include "api/object.h"
#include "base/strings.h"
#include "control/gang_bind.h"

namespace pelton::control {

using base::Code;
using base::Json;
using base::Result;
using base::Status;

namespace {

ObjectKey pod_key(const std::string& namespace_name, const std::string& name) {
  return {"Pod", namespace_name, name};
}

/// The preconditions of a Patch, where the type can carry them.
Json with_preconditions(const Patch& patch) {
  Json body = patch.patch;
  if (patch.type == PatchType::Json) return body;
  if (!patch.uid.empty()) body.make("metadata.uid") = patch.uid;
  if (!patch.resource_version.empty())
    body.make("metadata.resourceVersion") = patch.resource_version;
  return body;
}

/// Equal events of one object have one name, so that they are counted in one object.
std::string event_name(const Json& regarding, std::string_view component, const EmitEvent& event) {
  const std::string what = regarding["uid"].as_string() + "\n" + std::string(component) + "\n" +
                           event.reason + "\n" + event.message;
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string suffix = ".";
  const uint64_t hash = base::hash64(what);
  for (int shift = 60; shift >= 0; shift -= 4) suffix += kDigits[(hash >> shift) & 15];
  return regarding["name"].as_string().substr(0, 253 - suffix.size()) + suffix;
}

Json make_event(std::string_view component, const EmitEvent& event, base::Instant now) {
  const std::string& own = event.regarding["namespace"].as_string();
  const std::string time = base::format_time(now);
  return Json::object({
      {"apiVersion", "v1"},
      {"kind", "Event"},
      {"metadata", Json::object({{"name", event_name(event.regarding, component, event)},
                                 {"namespace", own.empty() ? "default" : own}})},
      {"involvedObject", event.regarding},
      {"type", event.is_warning ? "Warning" : "Normal"},
      {"reason", event.reason},
      {"message", event.message},
      {"source", Json::object({{"component", component}})},
      {"reportingComponent", component},
      {"firstTimestamp", time},
      {"lastTimestamp", time},
      {"count", 1},
  });
}

}  // namespace

bool is_met(const Expectation& expectation, const client::Cache& cache) {
  const ObjectKey& key = expectation.key;
  if (!cache.is_synced(key.kind)) return true;
  if (expectation.type == Expectation::Type::Seen) {
    return cache.last_seen(key.kind) >= expectation.revision;
  }
  const Json* object = cache.get(key.kind, key.namespace_name, key.name);
  if (object == nullptr) return true;
  if (!expectation.uid.empty() && api::uid_of(*object) != expectation.uid) return true;
  return expectation.type == Expectation::Type::Gone
             ? api::is_being_deleted(*object)
             : !(*object)["spec"]["nodeName"].as_string().empty();
}

/// `f`, unless what `alive` belongs to has died by then.
template <typename F>
client::Client::ObjectDone guarded(const std::shared_ptr<bool>& alive, F f) {
  return [weak = std::weak_ptr<bool>(alive), f = std::move(f)](Result<Json> result) {
    if (!weak.expired()) f(std::move(result));
  };
}

/// One plan under way.
struct Executor::Run {
  std::string component;
  std::vector<Command> commands;
  size_t next = 0;
  ExecuteResult result;
  std::function<void(ExecuteResult)> done;
};

/// Sends one command; the answers come back to the Executor.
struct Executor::Issue {
  Executor& executor;
  RunPtr run;

  client::Client::ObjectDone written(ObjectKey key) const {
    return guarded(executor.alive_,
                   [&e = executor, r = run, key = std::move(key)](Result<Json> result) {
                     e.on_written(r, key, std::move(result));
                   });
  }
  void operator()(const Create& c) const {
    executor.client_.create(c.object, written(client::key_of(c.object)));
  }
  void operator()(const Update& c) const {
    executor.client_.update(c.object, written(client::key_of(c.object)));
  }
  void operator()(const UpdateStatus& c) const {
    executor.client_.update_status(c.object, written(client::key_of(c.object)));
  }
  void operator()(const Finalize& c) const {
    executor.client_.finalize(c.object, written(client::key_of(c.object)));
  }
  void operator()(const Patch& c) const {
    executor.client_.patch(c.key, c.type, with_preconditions(c), c.subresource, written(c.key));
  }
  void operator()(const Delete& c) const {
    client::DeleteOptions options;
    options.uid = c.uid;
    options.resource_version = c.resource_version;
    options.grace_period_seconds = c.grace_period_seconds;
    options.propagation_policy = c.propagation_policy;
    executor.client_.remove(
        c.key, options, guarded(executor.alive_, [&e = executor, r = run, c](Result<Json> result) {
          e.on_removed(r, c, std::move(result));
        }));
  }
  void operator()(const ConfirmAbsent& c) const { executor.confirm_absent(run, c); }
  void operator()(const Bind& c) const {
    executor.client_.bind(
        c.namespace_name, c.binding,
        guarded(executor.alive_, [&e = executor, r = run, c](Result<Json> result) {
          e.on_bound(r, c.namespace_name, {c.binding}, result.status());
        }));
  }
  void operator()(const GangBind& c) const { executor.bind_gang(run, c); }
  void operator()(const CreateMachine& c) const { executor.create_machine(run, c); }
  void operator()(const EmitEvent& c) const { executor.emit(run, c); }
};

Executor::Executor(client::Client& client, world::Clock& clock, provider::Provider* provider)
    : client_(client), clock_(clock), provider_(provider) {}
Executor::~Executor() = default;

void Executor::execute(std::string_view component, std::vector<Command> commands,
                       std::function<void(ExecuteResult)> done) {
  auto run = std::make_shared<Run>();
  run->component = component;
  run->commands = std::move(commands);
  run->done = std::move(done);
  step(run);
}

void Executor::step(const RunPtr& run) {
  if (run->next == run->commands.size()) return std::exchange(run->done, nullptr)(run->result);
  // Copied: what it calls back into may move on before it returns.
  const Command command = run->commands[run->next++];
  std::visit(Issue{*this, run}, command);
}

void Executor::fail(const RunPtr& run, const ObjectKey& key, Status status) {
  run->result.failed = describe(run->commands[run->next - 1]);
  switch (status.code()) {
    case Code::OutcomeUnknown:
    case Code::AlreadyExists:
    case Code::Conflict:
    case Code::NotFound:
      run->result.doubtful = key;
      break;
    default:
      break;
  }
  run->result.status = std::move(status);
  std::exchange(run->done, nullptr)(run->result);
}

void Executor::on_written(const RunPtr& run, const ObjectKey& key, Result<Json> result) {
  if (!result.ok()) return fail(run, key, result.status());
  Expectation expectation;
  expectation.key = key;
  expectation.revision = client::revision_of(*result);
  run->result.expectations.push_back(std::move(expectation));
  step(run);
}

void Executor::on_removed(const RunPtr& run, const Delete& command, Result<Json> result) {
  if (!result.ok()) return fail(run, command.key, result.status());
  Expectation expectation;
  expectation.type = Expectation::Type::Gone;
  expectation.key = command.key;
  expectation.uid = command.uid;
  run->result.expectations.push_back(std::move(expectation));
  step(run);
}

void Executor::confirm_absent(const RunPtr& run, const ConfirmAbsent& command) {
  client_.get(command.key, guarded(alive_, [this, run, command](Result<Json> object) {
                if (object.ok() && api::uid_of(*object) == command.uid) {
                  return fail(run, command.key,
                              Status(Code::Conflict, command.key.to_string() + " is there"));
                }
                if (object.ok() || object.status().code() == Code::NotFound) return step(run);
                fail(run, command.key, object.status());
              }));
}

void Executor::on_bound(const RunPtr& run, const std::string& namespace_name,
                        const std::vector<PodBinding>& bindings, const Status& status) {
  if (!status.ok()) return fail(run, pod_key(namespace_name, bindings.front().pod_name), status);
  for (const PodBinding& binding : bindings) {
    Expectation expectation;
    expectation.type = Expectation::Type::Bound;
    expectation.key = pod_key(namespace_name, binding.pod_name);
    expectation.uid = binding.pod_uid;
    run->result.expectations.push_back(std::move(expectation));
  }
  step(run);
}

void Executor::bind_gang(const RunPtr& run, const GangBind& gang) {
  // Only ever one command is under way, so what is spliced in here runs before the rest.
  const auto roll_forward = [this, run, gang] {
    std::vector<Command> steps = record_then_bind(gang);
    run->commands.insert(run->commands.begin() + static_cast<ptrdiff_t>(run->next),
                         std::make_move_iterator(steps.begin()),
                         std::make_move_iterator(steps.end()));
    step(run);
  };
  if (has_no_gang_resource_) return roll_forward();
  client_.bind_gang(gang.namespace_name, gang.gang_name, gang.bindings,
                    guarded(alive_, [this, run, gang, roll_forward](Result<Json> result) {
                      const Code code = result.status().code();
                      if (code == Code::NotFound || code == Code::Unimplemented) {
                        has_no_gang_resource_ = true;
                        return roll_forward();
                      }
                      on_bound(run, gang.namespace_name, gang.bindings, result.status());
                    }));
}

void Executor::create_machine(const RunPtr& run, const CreateMachine& command) {
  const ObjectKey key{"Node", "", command.node_name};
  if (provider_ == nullptr) {
    return fail(run, key, Status(Code::FailedPrecondition, "no provider makes machines here"));
  }
  provider_->create(command.node_name,
                    [this, run, key, weak = std::weak_ptr<bool>(alive_)](const Status& status) {
                      if (weak.expired()) return;
                      if (!status.ok()) return fail(run, key, status);
                      step(run);
                    });
}

void Executor::emit(const RunPtr& run, const EmitEvent& event) {
  const Json object = make_event(run->component, event, clock_.now());
  client_.create(
      object, guarded(alive_, [this, run, object](Result<Json> created) {
        if (created.status().code() != Code::AlreadyExists) return step(run);
        const ObjectKey key = client::key_of(object);
        client_.get(key, guarded(alive_, [this, run, key, object](Result<Json> present) {
                      if (!present.ok()) return step(run);
                      const Json patch = Json::object({{"count", (*present)["count"].as_int() + 1},
                                                       {"lastTimestamp", object["lastTimestamp"]}});
                      client_.patch(key, PatchType::Merge, patch, "",
                                    guarded(alive_, [this, run](Result<Json>) { step(run); }));
                    }));
      }));
}

void Executor::observe(const ObjectKey& key, std::function<void(Result<Expectation>)> done) {
  client_.get(key, [key, done = std::move(done)](Result<Json> object) {
    Expectation expectation;
    expectation.key = key;
    if (object.ok()) {
      expectation.revision = client::revision_of(*object);
    } else if (object.error().code() == Code::NotFound) {
      expectation.type = Expectation::Type::Gone;
    } else {
      return done(object.status());
    }
    done(std::move(expectation));
  });
}

}  // namespace pelton::control
