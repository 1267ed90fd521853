// SPDX-License-Identifier: Apache-2.0
// The second tier of one job's checkpoints, as one node has its part in it: what this node's memory
// holds is copied to the nodes that decide/checkpoint/replicas.h names, what a worker here lacks is
// fetched from those that hold it, and copies that newer ones make superfluous are removed.
//
// Whose part a part is: writer w's is of the node that runs rank w (mod the number of ranks) in the
// present generation. A node offers its parts of this generation, and those of the version that the
// generation restored, so that a node that has come in is covered at once. A receiver that is
// offered one pulls it, and answers when it is published.
//
// Version by version: while one is copied, this node keeps its parts of it (kept_parts.h), and
// those of the one before, until those to whom it copies say that what they have to copy of it is
// copied too. So, whichever node is lost, its parts lie on a node that is there, and everybody
// else's of the same version with them.
//
// Workers speak at peers.sock in the memory directory, lines of JSON:
//
//   {"version": "step-000000000020-g3"}       {"parts": [0, 3]}  and w00000.manifest.remote, …
//   {"fetch": "step-000000000020-g3/w00003"}  {"done": true}     and w00003.data, w00003.manifest
//                                             {"error": "…"}     to either
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/peers/kept_parts.h"
#include "agent/peers/outgoing_part.h"
#include "agent/peers/peer_client.h"
#include "decide/checkpoint/replicas.h"
#include "decide/recovery/records.h"
#include "net/http.h"
#include "world/world.h"

namespace pelton::agent {

class JobPeers {
 public:
  struct Settings {
    std::string job_uid;
    std::string node;       ///< this one
    std::string memory;     ///< the job's directory in it, as real_path() says it
    world::Address listen;  ///< where peers reach this node
  };
  /// All must outlive it.
  JobPeers(world::World world, PeerClient& peers, Settings settings);
  ~JobPeers();
  JobPeers(const JobPeers&) = delete;
  JobPeers& operator=(const JobPeers&) = delete;

  /// Removes what a dead agent has left half, listens and looks from now on.
  base::Status open();
  /// The job's RecoveryPolicy as it is now; null: there is none.
  void follow(const base::Json* policy);
  /// A request of another node's agent; `path` is what follows /memory/JOB/.
  void serve(const net::Request& request, const std::string& path, const std::string& from,
             const net::ResponseSinkPtr& sink);

  static constexpr const char* kSocketName = "peers.sock";

 private:
  /// One node that gets copies.
  struct Target {
    PeerClient::Call call;    ///< under way: an offer, or the question whether it has copied too
    std::set<PartId> held;    ///< what it has said that it has
    bool has_copied = false;  ///< the round's version
    base::Duration pause;     ///< before the next attempt, after one that failed
    std::unique_ptr<world::Timer> retry;
  };
  /// A version that is being copied.
  struct Round {
    decide::checkpoint::MemoryVersion version;
    std::vector<PartId> parts;  ///< ours
    std::set<int64_t> passed;   ///< newer steps that could have been taken
    bool is_common = true;      ///< those to whom it went have copied the same
  };
  /// A node that waits until a version is copied from here.
  struct Waiting {
    decide::checkpoint::MemoryVersion version;
    net::ResponseSinkPtr sink;
  };
  struct Worker {
    std::unique_ptr<world::Connection> connection;
    std::string unread;
  };
  /// A question of a worker, asked of peers.
  struct Question;
  using Reply = std::function<void(base::Json)>;

  std::string checkpoints() const;
  std::string path_of(const PartId& part, const std::string& suffix) const;
  std::string target_of(const std::string& rest) const;
  std::vector<decide::checkpoint::Holding> holdings() const;
  void remove_halves();

  // Copies.
  void look_soon();
  void look();
  bool is_ours(int writer) const;
  void begin_round(const std::vector<decide::checkpoint::Holding>& held);
  std::vector<PartId> our_parts(const decide::checkpoint::Holding& holding) const;
  bool is_held(const Target& target, const std::vector<PartId>& parts) const;
  void go_on();
  void ask(const std::string& name, Target& target, net::Request request, const PartId* part);
  void on_answer(const std::string& name, const std::optional<PartId>& part,
                 const base::Result<std::string>& answer);
  void try_again(const std::string& name, Target& target, const base::Status& why);
  void give_up_round();
  void end_round();
  void answer_waiting();
  void collect(const std::vector<decide::checkpoint::Holding>& held);
  void remove(const decide::checkpoint::Holding& holding, const std::set<int>& parts);

  // Peers.
  void serve_manifests(const std::string& directory, const net::ResponseSinkPtr& sink);
  void serve_copied(const std::string& directory, const net::ResponseSinkPtr& sink);
  void serve_part(const PartId& part, const net::Request& request,
                  const net::ResponseSinkPtr& sink);
  void take_offer(const PartId& part, const net::Request& request, const std::string& from,
                  const net::ResponseSinkPtr& sink);
  void pull(const PartId& part, const std::string& from, std::function<void(base::Status)> done);

  // Workers.
  void accept(std::unique_ptr<world::Connection> connection);
  void on_data(std::list<Worker>::iterator worker, std::string_view bytes);
  void on_line(std::string_view line, const Reply& reply);
  void ask_version(const std::string& directory, std::function<void(base::Status)> done);
  void fetch(const PartId& part, const Reply& reply);
  void fetch_from(const PartId& part, std::vector<std::string> nodes, base::Status last,
                  const Reply& reply);

  world::World world_;
  PeerClient& peers_;
  Settings settings_;
  std::optional<decide::recovery::Generation> generation_;
  int replicas_ = 0;
  std::map<std::string, Target> targets_;  ///< by node
  KeptParts kept_;
  std::optional<Round> round_;
  decide::checkpoint::MemoryVersion copied_{-1, -1};  ///< the newest that all targets hold
  std::vector<Waiting> waiting_;
  decide::checkpoint::ReplicaPace pace_;
  std::map<PartId, std::vector<std::string>> holders_;  ///< nodes, as asked last
  std::map<PartId, PeerClient::Call> pulls_;
  std::map<PartId, std::vector<std::function<void(base::Status)>>> pulled_;  ///< who waits for each
  std::list<std::shared_ptr<Question>> questions_;
  std::list<std::unique_ptr<OutgoingPart>> sending_;
  std::unique_ptr<world::Listener> listener_;
  std::list<Worker> workers_;
  std::unique_ptr<world::FileWatch> watch_;
  std::map<std::string, std::unique_ptr<world::FileWatch>> version_watches_;  ///< by directory
  world::Timer look_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
