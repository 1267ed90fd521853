// SPDX-License-Identifier: Apache-2.0
#include "agent/node_agent.h"

#include <algorithm>
#include <set>

#include "agent/host_facts.h"
#include "api/object.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr base::Duration kStatusPeriod = base::Duration::seconds(10);
constexpr base::Duration kRegisterRetry = base::Duration::seconds(1);
/// How many renewals may be missed before a node counts as lost.
constexpr int64_t kMissedRenewals = 5;

std::string first_line(world::Files& files, const std::string& path) {
  const auto text = files.read(path);
  if (!text.ok()) return "";
  return std::string(base::trim(std::string_view(*text).substr(0, text->find('\n'))));
}

std::string os_name(world::Files& files) {
  const auto text = files.read("/etc/os-release");
  if (!text.ok()) return "Linux";
  constexpr std::string_view kKey = "PRETTY_NAME=\"";
  for (const std::string_view line : base::split(*text, '\n')) {
    if (line.starts_with(kKey)) {
      return std::string(line.substr(kKey.size(), line.size() - kKey.size() - 1));
    }
  }
  return "Linux";
}

bool has_ended(const Json& pod) {
  const std::string& phase = pod.at("status.phase").as_string();
  return phase == "Succeeded" || phase == "Failed";
}

}  // namespace

NodeAgent::NodeAgent(world::World world, client::Transport& transport, AgentOptions options,
                     KubeletFront front)
    : world_(world),
      options_(std::move(options)),
      front_(std::move(front)),
      client_(transport, world.timers),
      api_(
          world, [this] { return workers(); }, [this] { return meter_->summary(); }),
      lease_timer_(world.timers),
      status_timer_(world.timers),
      register_timer_(world.timers) {
  cache_.subscribe([this](std::string_view kind, const Json*, const Json* after) {
    if (kind == "Pod") reconcile_soon();
    if (kind == "Node" && after != nullptr) on_node_seen(*after);
  });
}

NodeAgent::~NodeAgent() = default;

std::vector<const PodWorker*> NodeAgent::workers() const {
  std::vector<const PodWorker*> out;
  for (const auto& [uid, worker] : workers_) out.push_back(worker.get());
  return out;
}

std::vector<MeteredContainer> NodeAgent::running_containers() const {
  std::vector<MeteredContainer> out;
  for (const auto& [uid, worker] : workers_) {
    const Json& pod = worker->pod();
    for (const std::string& name : worker->running_containers()) {
      out.push_back({.pod_name = api::name_of(pod),
                     .namespace_name = api::namespace_of(pod),
                     .pod_uid = uid,
                     .pod_started_at = worker->start_time(),
                     .name = name,
                     .paths = *worker->attempt(name, false)});
    }
  }
  return out;
}

void NodeAgent::start(std::function<void(base::Status)> started) {
  const auto tools = find_tools(world_.files);
  if (!tools.ok()) return started(tools.status());
  base::Status status = world_.files.make_directories(options_.node_directory() + "/pods");
  if (!status.ok()) return started(std::move(status));
  auto lock = world_.files.lock(options_.node_directory() + "/lock", "agent of this node");
  if (!lock.ok()) {
    return started(
        std::move(lock).status().with("another agent runs " + options_.machine.node_name));
  }
  lock_ = std::move(lock).value();
  observe_root_tree(
      world_, "",
      [this, tools = *tools, started = std::move(started),
       alive = std::weak_ptr(alive_)](base::Result<RootTree> root) {
        if (alive.expired()) return;
        if (!root.ok()) return started(root.status());
        context_ = std::make_unique<AgentContext>(AgentContext{
            .world = world_,
            .client = client_,
            .options = options_,
            .network = cluster_network_of(options_.data_directory),
            .tools = tools,
            .host_root = std::move(root).value(),
            .image_roots = {},
            .devices = DeviceLedger(options_.machine.type.accelerators),
            .addresses = AddressPool(options_.machine.index),
            .events = EventRecorder(client_, world_.clock, "kubelet", options_.machine.node_name),
            .objects = ObjectWatches(client_, world_.timers, world_.log, rng("objects")),
            .cgroups = Cgroups(world_.files, cluster_network_of(options_.data_directory).name +
                                                 "-" + options_.machine.node_name),
            .starts = Slots(options_.parallel_starts, world_.timers),
            .job_memory = nullptr});
        // Pages count where they are written, in a pod's limits; this bounds what a job may leave.
        context_->job_memory =
            std::make_unique<JobMemory>(world_, context_->objects, options_.node_directory(),
                                        options_.machine.type.memory.value() / 2);
        if (const std::string& problem = context_->cgroups.problem(); !problem.empty()) {
          world_.log.warning("node.limits", {{"not_enforced", problem}});
        }
        meter_ = std::make_unique<UsageMeter>(world_, options_.machine.node_name,
                                              options_.machine.type.memory.value(),
                                              [this] { return running_containers(); });
        meter_->start();
        health_ = std::make_unique<NodeHealth>(world_, context_->events, options_.machine.node_name,
                                               options_.health, [this] { push_node_status(); });
        health_->start();
        peers_ =
            std::make_unique<PeerMemory>(world_, client_, front_.peers, options_.machine.node_name);
        const base::Status listening = listen();
        if (!listening.ok()) return started(listening);
        context_->job_memory->set_follower(peers_.get());
        adopt_pods();
        context_->job_memory->adopt();
        begin();
        started(base::ok());
      });
}

base::Status NodeAgent::listen() {
  server_ =
      std::make_unique<net::HttpServer>(world_.network, world_.timers, front_.tls,
                                        [this](net::Request request, net::ResponseSinkPtr sink) {
                                          api_.handle(std::move(request), std::move(sink));
                                        });
  PELTON_ASSIGN(address_, server_->listen(front_.listen));
  peers_->set_address({options_.host_address, address_.port});
  api_.set_memory([this](const net::Request& request, const net::ResponseSinkPtr& sink) {
    peers_->serve(request, sink);
  });
  facts_ = {.host_address = options_.host_address,
            .kubelet_port = address_.port,
            .kernel_version = first_line(world_.files, "/proc/sys/kernel/osrelease"),
            .os_image = os_name(world_.files),
            .machine_id = first_line(world_.files, "/etc/machine-id"),
            .boot_id = first_line(world_.files, "/proc/sys/kernel/random/boot_id"),
            .limits_problem = context_->cgroups.problem(),
            .limits_home = context_->cgroups.description()};
  return base::ok();
}

void NodeAgent::adopt_pods() {
  const auto entries = world_.files.list(options_.node_directory() + "/pods");
  if (!entries.ok()) return;
  for (const auto& entry : *entries) {
    const std::string uid = entry.name;
    const PodPaths paths(options_.node_directory(), uid);
    auto record = read_pod_record(world_.files, paths);
    if (!record.ok()) {
      // Never recorded, so nothing of it was started.
      world_.files.remove_tree(paths.directory).ignore("it is tried again at the next start");
      continue;
    }
    workers_[uid] = std::make_unique<PodWorker>(*context_, std::move(record).value(), forgets(uid));
    world_.log.info("pod.adopted", {{"pod", api::name_of(workers_[uid]->pod())}, {"uid", uid}});
  }
}

std::function<void()> NodeAgent::forgets(const std::string& uid) {
  return [this, uid, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    workers_.erase(uid);
    reconcile_soon();  // somebody may have waited for what it held
  };
}

base::Rng NodeAgent::rng(std::string_view purpose) const {
  return base::Rng(base::hash64(options_.machine.node_name,
                                static_cast<uint64_t>(world_.clock.now().unix_ns())))
      .fork(purpose);
}

void NodeAgent::begin() {
  const std::string& name = options_.machine.node_name;
  pods_ = std::make_unique<client::Informer>(
      client_, cache_, world_.timers, world_.log, rng("pods"), "Pod",
      client::InformerOptions{.field_selector = "spec.nodeName=" + name,
                              .max_backoff = base::Duration::seconds(2)});
  node_ = std::make_unique<client::Informer>(
      client_, cache_, world_.timers, world_.log, rng("node"), "Node",
      client::InformerOptions{.field_selector = "metadata.name=" + name,
                              .max_backoff = base::Duration::seconds(2)});
  register_node();
  renew_lease();
  pods_->start();
  node_->start();
}

void NodeAgent::reconcile_soon() {
  if (is_reconcile_posted_) return;
  is_reconcile_posted_ = true;
  world_.timers.post([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    is_reconcile_posted_ = false;
    if (cache_.is_synced("Pod")) reconcile();
  });
}

/// Level-triggered: every pod of the API has a worker, and every worker's pod is in the API.
void NodeAgent::reconcile() {
  std::set<std::string> present;
  const auto bound = cache_.list("Pod");
  // Those that are gone first: they may hold what a new one needs.
  for (const Json* pod : bound) present.insert(api::uid_of(*pod));
  for (const auto& [uid, worker] : workers_) {
    if (!present.contains(uid)) worker->vanish();
  }
  for (const Json* pod : bound) {
    const auto worker = workers_.find(api::uid_of(*pod));
    if (worker == workers_.end()) {
      if (!waits_for_devices(*pod)) admit(*pod);
    } else if (!worker->second->is_known_to_api() ||
               client::revision_of(worker->second->pod()) != client::revision_of(*pod)) {
      worker->second->update(*pod);
    }
  }
}

bool NodeAgent::waits_for_devices(const Json& pod) {
  const bool is_any_vanishing =
      std::any_of(workers_.begin(), workers_.end(),
                  [](const auto& entry) { return entry.second->is_vanishing(); });
  // Taken here, they are the pod's when it is admitted.
  return is_any_vanishing && !has_ended(pod) &&
         !context_->devices.admit(api::uid_of(pod), pod).ok();
}

void NodeAgent::admit(const Json& pod) {
  const std::string uid = api::uid_of(pod);
  if (has_ended(pod)) {
    // It ended here, and its directory is gone: it is not run again, only let go.
    if (!api::is_being_deleted(pod)) return;
    client_.remove({"Pod", api::namespace_of(pod), api::name_of(pod)},
                   {.uid = uid, .grace_period_seconds = 0}, [](const base::Result<Json>&) {});
    return;
  }
  auto& worker = workers_[uid] = std::make_unique<PodWorker>(*context_, pod, forgets(uid));
  worker->update(pod);
}

void NodeAgent::register_node() {
  const Json node = build_node(options_.machine);
  client_.create(node, [this, node](base::Result<Json> created) {
    const base::Code code = created.status().code();
    if (created.ok()) {
      is_registered_ = true;
      return push_node_status();
    }
    if (code != base::Code::AlreadyExists) {
      world_.log.warning("node.register", {{"error", created.status().to_string()}});
      return register_timer_.start(kRegisterRetry, [this] { register_node(); });
    }
    Json patch = node;
    client_.patch(
        {"Node", "", options_.machine.node_name}, client::PatchType::Merge,
        Json::object({{"metadata", Json::object({{"labels", node["metadata"]["labels"]}})},
                      {"spec", node["spec"]}}),
        "", [this](base::Result<Json> patched) {
          if (!patched.ok()) {
            world_.log.warning("node.register", {{"error", patched.status().to_string()}});
            return register_timer_.start(kRegisterRetry, [this] { register_node(); });
          }
          is_registered_ = true;
          node_status_ = (*patched)["status"];
          push_node_status();
        });
  });
}

void NodeAgent::push_node_status() {
  status_timer_.start(kStatusPeriod, [this] { push_node_status(); });
  if (!is_registered_ || is_status_in_flight_) return;
  is_status_in_flight_ = true;
  const Json status = build_node_status(options_.machine, facts_, health_->condition(),
                                        node_status_, world_.clock.now());
  client_.patch({"Node", "", options_.machine.node_name}, client::PatchType::Merge,
                Json::object({{"status", status}}), "status", [this](base::Result<Json> patched) {
                  is_status_in_flight_ = false;
                  if (patched.ok()) {
                    node_status_ = (*patched)["status"];
                  } else if (patched.status().code() == base::Code::NotFound) {
                    is_registered_ = false;  // somebody deleted the Node
                    register_timer_.start(kRegisterRetry, [this] { register_node(); });
                  } else {
                    world_.log.warning("node.status", {{"error", patched.status().to_string()}});
                    status_timer_.start(kRegisterRetry, [this] { push_node_status(); });
                  }
                });
}

/// A node that was written off while nobody heard of it says at once that it is back.
void NodeAgent::on_node_seen(const Json& node) {
  node_status_ = node["status"];
  if (is_registered_ && api::find_condition(node, "Ready") != nullptr &&
      !api::is_condition_true(node, "Ready")) {
    push_node_status();
  }
}

void NodeAgent::renew_lease() {
  lease_timer_.start(options_.lease_period, [this] { renew_lease(); });
  if (is_lease_in_flight_) return;
  is_lease_in_flight_ = true;
  const Json lease = build_lease(options_.machine.node_name,
                                 options_.lease_period * kMissedRenewals, world_.clock.now());
  client_.patch(
      {"Lease", kLeaseNamespace, options_.machine.node_name}, client::PatchType::Merge,
      Json::object({{"spec", lease["spec"]}}), "", [this, lease](base::Result<Json> patched) {
        is_lease_in_flight_ = false;
        if (patched.ok()) return;
        if (patched.status().code() == base::Code::NotFound) {
          client_.create(lease, [](const base::Result<Json>&) {});  // else at the next renewal
        } else {
          world_.log.warning("node.lease", {{"error", patched.status().to_string()}});
        }
      });
}

}  // namespace pelton::agent
