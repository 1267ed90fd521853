// SPDX-License-Identifier: Apache-2.0
#include "agent/status_writer.h"

#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr base::Duration kRetry = base::Duration::seconds(1);

}  // namespace

StatusWriter::StatusWriter(client::Client& client, world::World world,
                           std::function<void(const Json&)> stored,
                           std::function<void()> look_again)
    : client_(client),
      world_(world),
      stored_(std::move(stored)),
      look_again_(std::move(look_again)),
      retry_(world.timers) {}

void StatusWriter::push(const Json& pod, Json status) {
  if (is_pushing_ || retry_.is_pending() || status == pushed_) return;
  is_pushing_ = true;
  const Json patch =
      Json::object({{"metadata", Json::object({{"uid", api::uid_of(pod)}})}, {"status", status}});
  client_.patch(
      {"Pod", api::namespace_of(pod), api::name_of(pod)}, client::PatchType::Merge, patch, "status",
      [this, uid = api::uid_of(pod), name = api::name_of(pod), wanted = std::move(status),
       alive = std::weak_ptr(alive_)](base::Result<Json> result) {
        if (alive.expired()) return;
        is_pushing_ = false;
        const base::Code code = result.status().code();
        if (result.ok() || code == base::Code::NotFound || code == base::Code::Conflict) {
          // In the last two cases another pod has the name, or none: who watches knows.
          pushed_ = wanted;
          if (result.ok() && api::uid_of(*result) == uid) stored_(*result);
          return look_again_();
        }
        world_.log.warning("pod.status", {{"pod", name}, {"error", result.status().to_string()}});
        retry_.start(kRetry, [this] { look_again_(); });
      });
}

}  // namespace pelton::agent
