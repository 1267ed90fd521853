// SPDX-License-Identifier: Apache-2.0
#include "agent/peers/peer_memory.h"

#include <algorithm>
#include <utility>

namespace pelton::agent {
namespace {

constexpr std::string_view kPrefix = "/memory/";
constexpr std::string_view kNodePrefix = "system:node:";

void refuse(const net::ResponseSinkPtr& sink, int status, const std::string& message) {
  sink->respond(status, "text/plain; charset=utf-8", message + "\n");
}

/// The name of the node whose agent this is; empty: it is none.
std::string node_of(const net::Identity& who) {
  const bool is_node =
      std::find(who.groups.begin(), who.groups.end(), "system:nodes") != who.groups.end() &&
      who.name.starts_with(kNodePrefix);
  return is_node ? who.name.substr(kNodePrefix.size()) : "";
}

}  // namespace

PeerMemory::PeerMemory(world::World world, client::Client& client, net::TlsContextPtr tls,
                       std::string node)
    : world_(world), client_(world, client, std::move(tls)), node_(std::move(node)) {}

void PeerMemory::serve(const net::Request& request, const net::ResponseSinkPtr& sink) {
  const std::string from = node_of(request.identity);
  if (request.identity.name.empty()) return refuse(sink, 401, "Unauthorized");
  if (from.empty()) {
    return refuse(sink, 403,
                  "Forbidden: \"" + request.identity.name +
                      "\" is not a node; the memory of jobs is for the agents of nodes only");
  }
  std::string rest(request.path());
  rest.erase(0, std::min(rest.size(), kPrefix.size()));
  const size_t slash = rest.find('/');
  const auto job = jobs_.find(rest.substr(0, slash));
  if (slash == std::string::npos || job == jobs_.end()) {
    return refuse(sink, 404, "no memory of that job is on node " + node_);
  }
  job->second->serve(request, rest.substr(slash + 1), from, sink);
}

void PeerMemory::on_open(const std::string& job_uid, const std::string& directory) {
  if (jobs_.contains(job_uid)) {
    // A mount may have come over what an agent found when it started.
    if (world_.files.exists(directory + "/" + JobPeers::kSocketName)) return;
    jobs_.erase(job_uid);
  }
  // Paths below it are compared with what they lead to.
  const auto real = world_.files.real_path(directory);
  base::Status status = real.status();
  if (real.ok()) {
    auto job = std::make_unique<JobPeers>(
        world_, client_,
        JobPeers::Settings{.job_uid = job_uid, .node = node_, .memory = *real, .listen = address_});
    status = job->open();
    if (status.ok()) jobs_[job_uid] = std::move(job);
  }
  if (status.ok()) return;
  world_.log.error("memory.peers", {{"job", job_uid}, {"error", status.message()}});
}

void PeerMemory::on_policy(const std::string& job_uid, const base::Json* policy) {
  const auto job = jobs_.find(job_uid);
  if (job != jobs_.end()) job->second->follow(policy);
}

void PeerMemory::on_close(const std::string& job_uid) {
  jobs_.erase(job_uid);
}

}  // namespace pelton::agent
