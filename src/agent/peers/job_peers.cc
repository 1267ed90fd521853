// SPDX-License-Identifier: Apache-2.0
// Copies: what is offered to whom, and what is removed. What peers and workers ask stands in
// job_peers_serve.cc.
#include "agent/peers/job_peers.h"

#include <algorithm>
#include <utility>

#include "agent/job_memory.h"
#include "checkpoint/held.h"

namespace pelton::agent {
namespace {

using base::Json;
using decide::checkpoint::Holding;
namespace checkpoint_names = decide::checkpoint;

constexpr uint32_t kModeDirectory = 0777;
constexpr base::Duration kFirstPause = base::Duration::seconds(1);
constexpr base::Duration kLongestPause = base::Duration::seconds(15);
/// Older versions than these nobody keeps.
constexpr size_t kVersions = 16;
/// Versions of which a copy is kept: one that is whole, and one that may still be coming.
constexpr size_t kKept = 2;
/// A receiver answers when it has the part; one to whom nothing comes says so by itself.
constexpr base::Duration kAnswer = base::Duration::hours(1);
constexpr const char* kSending = ".sending";

}  // namespace

JobPeers::JobPeers(world::World world, PeerClient& peers, Settings settings)
    : world_(world), peers_(peers), settings_(std::move(settings)), look_(world.timers) {}

JobPeers::~JobPeers() = default;

std::string JobPeers::checkpoints() const {
  return settings_.memory + "/" + checkpoint_names::kMemorySubdirectory;
}

std::string JobPeers::path_of(const PartId& part, const std::string& suffix) const {
  return checkpoints() + "/" + to_string(part) + suffix;
}

std::string JobPeers::target_of(const std::string& rest) const {
  return "/memory/" + settings_.job_uid + "/" + rest;
}

std::string JobPeers::link_of(const PartId& part, const std::string& target) const {
  std::string name = to_string(part) + "-" + target;
  std::replace(name.begin(), name.end(), '/', '-');
  return checkpoints() + "/" + kSending + "/" + name;
}

std::vector<Holding> JobPeers::holdings() const {
  return checkpoint::read_held(world_.files, settings_.memory, kVersions);
}

base::Status JobPeers::open() {
  PELTON_TRY(world_.files.make_directories(checkpoints()));
  PELTON_ASSIGN(const std::string real, world_.files.real_path(checkpoints()));
  if (real != checkpoints()) return base::invalid_argument(checkpoints() + ": leads elsewhere");
  PELTON_TRY(world_.files.set_mode(checkpoints(), kModeDirectory));
  remove_leftovers();
  PELTON_TRY(world_.files.make_directories(checkpoints() + "/" + kSending));
  PELTON_ASSIGN(watch_, world_.files.watch(checkpoints(), [this] { look_soon(); }));
  const std::string socket = settings_.memory + "/" + kSocketName;
  PELTON_ASSIGN(listener_, world_.network.listen(
                               {socket, 0}, [this](std::unique_ptr<world::Connection> connection) {
                                 accept(std::move(connection));
                               }));
  look_soon();
  return world_.files.set_mode(socket, kModeDirectory);
}

/// Of a dead agent: half parts, and links to what it was sending.
void JobPeers::remove_leftovers() {
  world_.files.remove_tree(checkpoints() + "/" + kSending).ignore("it is tried at the next start");
  const auto versions = world_.files.list(checkpoints());
  if (!versions.ok()) return;
  for (const world::DirectoryEntry& version : *versions) {
    if (!checkpoint_names::version_in(version.name)) continue;
    const std::string directory = checkpoints() + "/" + version.name;
    const auto files = world_.files.list(directory);
    if (!files.ok()) continue;
    for (const world::DirectoryEntry& file : *files) {
      if (!file.name.starts_with(IncomingPart::kHalf)) continue;
      world_.files.remove(directory + "/" + file.name).ignore("it is tried at the next start");
    }
  }
}

void JobPeers::follow(const Json* policy) {
  const Json& entry = entry_of_job(policy, settings_.job_uid);
  base::Result<decide::recovery::Generation> generation =
      decide::recovery::generation_of(entry["generation"]);
  if (!generation.ok()) return;  // none yet, or what PodSupervision has complained of
  generation_ = *std::move(generation);
  replicas_ = static_cast<int>((*policy)["spec"]["memoryReplicas"].as_int(1));
  std::vector<decide::checkpoint::ReplicaNode> nodes;
  for (const auto& member : generation_->members) nodes.push_back({member.node, member.rack});
  std::set<std::string> names;
  for (std::string& name : replica_targets(nodes, settings_.node, replicas_)) {
    names.insert(std::move(name));
  }
  std::erase_if(targets_, [&](const auto& target) {
    if (names.contains(target.first)) return false;
    unlink(target.first, target.second);
    return true;
  });
  for (const std::string& name : names) targets_.try_emplace(name);
  look_soon();
}

void JobPeers::look_soon() {
  if (!look_.is_pending()) look_.start(base::Duration(), [this] { look(); });
}

void JobPeers::look() {
  const std::vector<Holding> held = holdings();
  // Of versions whose directory is there: a part is published by a name in it.
  std::map<std::string, std::unique_ptr<world::FileWatch>> watches;
  const auto versions = world_.files.list(checkpoints());
  for (const world::DirectoryEntry& entry :
       versions.ok() ? *versions : std::vector<world::DirectoryEntry>()) {
    if (!checkpoint_names::version_in(entry.name)) continue;
    auto& watch = watches[entry.name];
    if (const auto known = version_watches_.find(entry.name); known != version_watches_.end()) {
      watch = std::move(known->second);
      continue;
    }
    auto made = world_.files.watch(checkpoints() + "/" + entry.name, [this] { look_soon(); });
    if (made.ok()) watch = *std::move(made);
    look_soon();  // what came before the watch
  }
  version_watches_ = std::move(watches);
  collect(held);
  for (auto& [name, target] : targets_) offer_next(name, target, held);
}

bool JobPeers::is_ours(int writer) const {
  if (!generation_ || generation_->world_size() == 0) return true;
  int rank = writer % generation_->world_size();
  for (const auto& member : generation_->members) {
    if (rank < member.ranks) return member.node == settings_.node;
    rank -= member.ranks;
  }
  return false;
}

/// The newest that the target lacks.
std::optional<PartId> JobPeers::due(const Target& target, const std::vector<Holding>& held) const {
  for (const Holding& holding : held) {
    const bool is_restored = generation_->restore == holding.version;
    const bool is_present = holding.version.generation == generation_->number;
    if (!is_restored && !(is_present && pace_.takes(holding.version.step))) continue;
    bool has_all = true;
    for (const int writer : holding.parts) {
      const PartId part{holding.version, writer};
      if (!is_ours(writer) || target.held.contains(part)) continue;
      if (world_.files.exists(path_of(part, ".data"))) return part;
      has_all = false;  // it is just giving way
    }
    // What is older is of no use where the newer one is there.
    if (has_all && is_present) return std::nullopt;
  }
  return std::nullopt;
}

void JobPeers::offer_next(const std::string& name, Target& target,
                          const std::vector<Holding>& held) {
  const bool is_waiting = target.retry && target.retry->is_pending();
  if (target.offer || is_waiting || !generation_ || generation_->is_restore_open) return;
  const std::optional<PartId> part = due(target, held);
  if (!part) return;
  // By a second name the part can be sent although it gives way to newer steps meanwhile, and
  // whoever saves here sees that the file is not to be written over.
  for (const char* suffix : {".data", ".manifest"}) {
    world_.files.link(path_of(*part, suffix), link_of(*part, name) + suffix)
        .ignore("then it is sent by its own name, or not at all");
  }
  const Json body = Json::object(
      {{"address", settings_.listen.host}, {"port", static_cast<int64_t>(settings_.listen.port)}});
  target.offered = part;
  target.offer =
      peers_.send(name,
                  {.method = "POST",
                   .target = target_of(to_string(*part)),
                   .headers = {{"Content-Type", "application/json"}},
                   .body = body.dump(),
                   .identity = {}},
                  kAnswer, [this, name, part = *part](const base::Result<std::string>& answer) {
                    on_offered(name, part, answer.status());
                  });
}

void JobPeers::unlink(const std::string& name, const Target& target) {
  if (!target.offered) return;
  for (const char* suffix : {".data", ".manifest"}) {
    world_.files.remove(link_of(*target.offered, name) + suffix).ignore("it may not be there");
  }
}

void JobPeers::on_offered(const std::string& name, const PartId& part, const base::Status& status) {
  Target& target = targets_.at(name);
  unlink(name, target);
  target.offered.reset();
  const PeerClient::Call answered = std::exchange(target.offer, nullptr);
  if (status.ok()) {
    const std::vector<Holding> held = holdings();
    pace_.on_copied(static_cast<size_t>(std::count_if(held.begin(), held.end(), [&](auto& each) {
      return each.version > part.version && each.version.generation == part.version.generation;
    })));
    std::erase_if(target.held, [&](const PartId& each) {
      return !world_.files.exists(path_of(each, ".manifest"));
    });
    target.held.insert(part);
    target.pause = base::Duration();
    return look_soon();
  }
  // A part that gave way to a newer one while it was sent is no fault of the target.
  if (!world_.files.exists(path_of(part, ".manifest"))) return look_soon();
  target.pause = std::clamp(target.pause * 2, kFirstPause, kLongestPause);
  world_.log.warning("memory.replica", {{"job", settings_.job_uid},
                                        {"part", to_string(part)},
                                        {"to", name},
                                        {"error", status.message()}});
  if (!target.retry) target.retry = std::make_unique<world::Timer>(world_.timers);
  target.retry->start(target.pause, [this] { look_soon(); });
}

/// Removes copies, and this node's parts of older generations, once two newer versions have come
/// after them. What the present generation's workers write here is theirs to recycle.
void JobPeers::collect(const std::vector<Holding>& held) {
  if (!generation_ || generation_->is_restore_open) return;
  for (const bool is_own : {false, true}) {
    std::vector<std::pair<const Holding*, std::set<int>>> newer;  ///< newest first
    for (const Holding& holding : held) {
      std::set<int> parts;
      for (const int part : holding.parts) {
        if (is_ours(part) == is_own) parts.insert(part);
      }
      if (parts.empty()) continue;
      const auto covers = [&, &mine = parts](const auto& each) {
        if (each.first->version.generation != generation_->number) return false;
        return each.first->version.generation > holding.version.generation ||
               std::includes(each.second.begin(), each.second.end(), mine.begin(), mine.end());
      };
      const auto covered = std::count_if(newer.begin(), newer.end(), covers);
      const bool is_workers = is_own && holding.version.generation >= generation_->number;
      if (!is_workers && static_cast<size_t>(covered) >= kKept) remove(holding, parts);
      newer.emplace_back(&holding, std::move(parts));
    }
  }
}

void JobPeers::remove(const Holding& holding, const std::set<int>& parts) {
  for (const int writer : parts) {
    const PartId part{holding.version, writer};
    if (pulls_.contains(part)) continue;
    // First the manifest: without it there is no part.
    world_.files.remove(path_of(part, ".manifest")).ignore("it may have gone");
    world_.files.remove(path_of(part, ".data")).ignore("it may have gone");
  }
  const std::string directory =
      checkpoints() + "/" + checkpoint_names::directory_name(holding.version);
  const auto left = world_.files.list(directory);
  const bool is_empty = left.ok() && std::all_of(left->begin(), left->end(), [](auto& entry) {
                          return entry.name.ends_with(".manifest.remote");
                        });
  if (!is_empty) return;
  for (const world::DirectoryEntry& entry : *left) {
    world_.files.remove(directory + "/" + entry.name).ignore("it may have gone");
  }
  world_.files.remove(directory).ignore("somebody has just begun to write there");
}

}  // namespace pelton::agent
