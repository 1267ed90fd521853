// SPDX-License-Identifier: Apache-2.0
// Copies: what is offered to whom, and what is removed. What peers and workers ask stands in
// job_peers_serve.cc.
#include "agent/peers/job_peers.h"

#include <algorithm>
#include <utility>

#include "agent/job_memory.h"
#include "checkpoint/held.h"
#include "decide/recovery/policy.h"

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

}  // namespace

JobPeers::JobPeers(world::World world, PeerClient& peers, Settings settings)
    : world_(world),
      peers_(peers),
      settings_(std::move(settings)),
      kept_(world.files, checkpoints()),
      look_(world.timers) {}

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

std::vector<Holding> JobPeers::holdings() const {
  return checkpoint::read_held(world_.files, settings_.memory, kVersions);
}

base::Status JobPeers::open() {
  PELTON_TRY(world_.files.make_directories(checkpoints()));
  PELTON_ASSIGN(const std::string real, world_.files.real_path(checkpoints()));
  if (real != checkpoints()) return base::invalid_argument(checkpoints() + ": leads elsewhere");
  PELTON_TRY(world_.files.set_mode(checkpoints(), kModeDirectory));
  remove_halves();
  PELTON_TRY(kept_.adopt());
  PELTON_ASSIGN(watch_, world_.files.watch(checkpoints(), [this] { look_soon(); }));
  const std::string socket = settings_.memory + "/" + kSocketName;
  PELTON_ASSIGN(listener_, world_.network.listen(
                               {socket, 0}, [this](std::unique_ptr<world::Connection> connection) {
                                 accept(std::move(connection));
                               }));
  look_soon();
  return world_.files.set_mode(socket, kModeDirectory);
}

/// What a dead agent was receiving.
void JobPeers::remove_halves() {
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
  const bool is_next = generation_ && generation_->number != generation->number;
  generation_ = *std::move(generation);
  if (is_next) {
    // Who was to copy what is different now; all go on from the version that was restored.
    round_.reset();
    copied_ = {-1, -1};
    pace_ = {};
    for (auto& [name, target] : targets_) target.call.reset();
    if (generation_->restore) kept_.release_all_but(*generation_->restore);
  }
  const auto spec = decide::recovery::policy_of((*policy)["spec"]);
  replicas_ = spec.ok() ? spec->memory_replicas : 1;
  std::vector<decide::checkpoint::ReplicaNode> nodes;
  for (const auto& member : generation_->members) nodes.push_back({member.node, member.rack});
  std::set<std::string> names;
  for (std::string& name : replica_targets(nodes, settings_.node, replicas_)) {
    names.insert(std::move(name));
  }
  std::erase_if(targets_, [&](const auto& target) { return !names.contains(target.first); });
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
  kept_.release_gone();
  collect(held);
  begin_round(held);
  go_on();
  answer_waiting();
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

std::vector<PartId> JobPeers::our_parts(const Holding& holding) const {
  std::vector<PartId> parts;
  for (const int writer : holding.parts) {
    if (is_ours(writer)) parts.push_back({holding.version, writer});
  }
  return parts;
}

bool JobPeers::is_held(const Target& target, const std::vector<PartId>& parts) const {
  return std::all_of(parts.begin(), parts.end(),
                     [&](const PartId& part) { return target.held.contains(part); });
}

/// Of the newest version that some target lacks.
void JobPeers::begin_round(const std::vector<Holding>& held) {
  if (!generation_ || generation_->is_restore_open || targets_.empty()) return;
  for (const Holding& holding : held) {
    const int64_t step = holding.version.step;
    const bool is_present = holding.version.generation == generation_->number;
    if (!(is_present && pace_.takes(step)) && generation_->restore != holding.version) continue;
    if (round_) {
      if (is_present && holding.version > round_->version) round_->passed.insert(step);
      continue;
    }
    std::vector<PartId> parts = our_parts(holding);
    int ours = 0;
    for (int writer = 0; writer < holding.writers; ++writer) ours += is_ours(writer) ? 1 : 0;
    // Of the present ones all will be here in a moment.
    if (parts.empty() || (is_present && parts.size() < static_cast<size_t>(ours))) continue;
    const bool is_done = std::all_of(targets_.begin(), targets_.end(), [&](const auto& target) {
      return is_held(target.second, parts);
    });
    // What is older is of no use where the newer one is there.
    if (is_done && is_present) return;
    if (is_done) continue;
    const bool was_kept = kept_.has(holding.version);
    if (std::all_of(parts.begin(), parts.end(), [&](auto& part) { return kept_.keep(part); })) {
      round_ = Round{.version = holding.version, .parts = std::move(parts), .passed = {}};
      for (auto& [name, target] : targets_) target.has_copied = false;
      return;
    }
    if (!was_kept) kept_.release(holding.version);  // it is just giving way
  }
}

/// Offers what targets lack of the round's version; when all have it, asks them whether they have
/// copied it too.
void JobPeers::go_on() {
  if (!round_) return;
  bool is_copied = true;
  for (auto& [name, target] : targets_) {
    const bool is_waiting = target.retry && target.retry->is_pending();
    is_copied = is_copied && is_held(target, round_->parts);
    if (target.call || is_waiting) continue;
    const auto part = std::find_if(round_->parts.begin(), round_->parts.end(),
                                   [&](const PartId& each) { return !target.held.contains(each); });
    if (part == round_->parts.end()) continue;
    const Json body = Json::object({{"address", settings_.listen.host},
                                    {"port", static_cast<int64_t>(settings_.listen.port)},
                                    {"stride", pace_.stride()}});
    ask(name, target,
        {.method = "POST",
         .target = target_of(to_string(*part)),
         .headers = {{"Content-Type", "application/json"}},
         .body = body.dump(),
         .identity = {}},
        &*part);
  }
  if (!is_copied) return;
  copied_ = std::max(copied_, round_->version);
  answer_waiting();
  bool is_over = true;
  for (auto& [name, target] : targets_) {
    const bool is_waiting = target.retry && target.retry->is_pending();
    is_over = is_over && target.has_copied;
    if (target.call || is_waiting || target.has_copied) continue;
    const std::string version = checkpoint_names::directory_name(round_->version);
    ask(name, target,
        {.method = "GET",
         .target = target_of(version + "/copied"),
         .headers = {},
         .body = "",
         .identity = {}},
        nullptr);
  }
  if (is_over) end_round();
}

void JobPeers::ask(const std::string& name, Target& target, net::Request request,
                   const PartId* part) {
  const auto what = part == nullptr ? std::nullopt : std::optional(*part);
  target.call = peers_.send(name, std::move(request), kAnswer,
                            [this, name, what](const base::Result<std::string>& answer) {
                              on_answer(name, what, answer);
                            });
}

void JobPeers::on_answer(const std::string& name, const std::optional<PartId>& part,
                         const base::Result<std::string>& answer) {
  Target& target = targets_.at(name);
  const PeerClient::Call answered = std::exchange(target.call, nullptr);
  if (!answer.ok()) return try_again(name, target, answer.status());
  target.pause = base::Duration();
  if (part) {
    std::erase_if(target.held, [&](const PartId& each) {
      return !world_.files.exists(path_of(each, ".manifest"));
    });
    target.held.insert(*part);
  } else {
    const auto body = Json::parse(*answer);
    if (body.ok()) pace_.hear((*body)["stride"].as_int(0));
    const bool is_same =
        body.ok() && round_ &&
        (*body)["version"].as_string() == checkpoint_names::directory_name(round_->version);
    if (round_ && !is_same) round_->is_common = false;
    target.has_copied = true;
  }
  go_on();
}

void JobPeers::try_again(const std::string& name, Target& target, const base::Status& why) {
  const bool has_gone =
      round_ && !std::all_of(round_->parts.begin(), round_->parts.end(), [&](const PartId& part) {
        return world_.files.exists(path_of(part, ".manifest"));
      });
  // What gave way to a newer one while it was sent is no fault of the target.
  if (has_gone) return give_up_round();
  target.pause = std::clamp(target.pause * 2, kFirstPause, kLongestPause);
  world_.log.warning("memory.replica", {{"job", settings_.job_uid},
                                        {"step", round_ ? round_->version.step : -1},
                                        {"to", name},
                                        {"error", why.message()}});
  if (!target.retry) target.retry = std::make_unique<world::Timer>(world_.timers);
  target.retry->start(target.pause, [this] {
    // Who comes back wants what is newest.
    if (round_ && copied_ < round_->version && !round_->passed.empty()) give_up_round();
    look_soon();
  });
}

void JobPeers::give_up_round() {
  if (round_ && copied_ < round_->version) kept_.release(round_->version);
  round_.reset();
  look_soon();
}

/// The version is copied, here and where its copies are: the one before is of no use any more.
/// Where they have copied a newer one instead, this one is of no use.
void JobPeers::end_round() {
  if (round_->is_common || !kept_.has_any_but(round_->version)) {
    kept_.release_all_but(round_->version);
  } else {
    kept_.release(round_->version);
  }
  pace_.on_copied(round_->version.step, round_->passed.size());
  round_.reset();
  look_soon();
}

/// Removes this node's parts that nobody keeps, once two newer versions have come after them (the
/// newest two are the workers' own), and copies once one has come and the next is on its way.
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
      const bool is_coming = std::any_of(pulls_.begin(), pulls_.end(), [&](const auto& pull) {
        return !is_own && parts.contains(pull.first.writer) &&
               (newer.empty() || pull.first.version > newer.front().first->version);
      });
      if (static_cast<size_t>(covered) + (is_coming ? 1 : 0) >= kKept) remove(holding, parts);
      newer.emplace_back(&holding, std::move(parts));
    }
  }
}

void JobPeers::remove(const Holding& holding, const std::set<int>& parts) {
  for (const int writer : parts) {
    const PartId part{holding.version, writer};
    if (pulls_.contains(part) || kept_.has(part)) continue;
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
