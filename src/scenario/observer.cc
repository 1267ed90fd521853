// SPDX-License-Identifier: Apache-2.0
#include "scenario/observer.h"

#include <fmt/format.h>

#include "base/strings.h"

namespace pelton::scenario {
namespace {

using base::Duration;
using base::Json;
using client::WatchEventType;

constexpr Duration kRetry = Duration::milliseconds(150);
/// Of its watches, how many it lets go by itself; the others last until somebody cuts them.
constexpr double kLetGo = 0.5;
constexpr Duration kLongestKept = Duration::seconds(4);
constexpr Duration kLongestPause = Duration::seconds(1);

}  // namespace

struct Observer::Kind {
  Kind(std::string kind, world::Timers& timers)
      : name(std::move(kind)),
        prefix(client::find_resource(name)->store_prefix()),
        retry(timers),
        let_go(timers) {}
  std::string name, prefix;
  world::Timer retry, let_go;
  std::unique_ptr<client::Watch> watch;
  uint64_t position = 0;  ///< all changes up to here were told
};

Observer::Observer(const world::World& world, size_t caller, Checkers& checkers, base::Rng rng)
    : checkers_(checkers),
      rng_(rng),
      timers_(world.timers),
      transport_(world, caller),
      client_(transport_, world.timers, Duration::seconds(5)) {
  for (const char* kind : {"Pod", "Job", "Node"}) {
    kinds_.push_back(std::make_unique<Kind>(kind, timers_));
    list(*kinds_.back());
  }
}

Observer::~Observer() = default;

void Observer::list(Kind& kind) {
  kind.watch.reset();
  client_.list(kind.name, "", {}, [this, &kind](const base::Result<client::ObjectList>& list) {
    if (!list.ok()) return kind.retry.start(kRetry, [this, &kind] { this->list(kind); });
    kind.position = list->revision;
    watch(kind);
  });
}

void Observer::watch(Kind& kind) {
  client::WatchEvents events;
  events.on_event = [this, &kind](WatchEventType type, const Json& object) {
    on_event(kind, type, object);
  };
  events.on_end = [this, &kind](const base::Status& status) {
    const bool is_gone = status.code() == base::Code::Gone;
    relists_ += is_gone;
    kind.let_go.cancel();
    kind.retry.start(kRetry, [this, &kind, is_gone] { is_gone ? list(kind) : watch(kind); });
  };
  kind.watch = client_.watch(kind.name, "", {.from_revision = kind.position}, std::move(events));
  if (!rng_.chance(kLetGo)) return;
  kind.let_go.start(draw(kLongestKept), [this, &kind] {
    kind.watch.reset();
    kind.retry.start(draw(kLongestPause), [this, &kind] { watch(kind); });
  });
}

Duration Observer::draw(Duration longest) {
  return Duration::nanoseconds(rng_.between(0, longest.ns()));
}

void Observer::on_event(Kind& kind, WatchEventType type, const Json& object) {
  const uint64_t revision = client::revision_of(object);
  const HistoricChange* next = checkers_.history().next(kind.prefix, kind.position);
  if (type == WatchEventType::Bookmark) {
    // A promise that nothing more happened up to there.
    if (next && next->revision <= revision) {
      checkers_.violate(fmt::format("a bookmark at {} hides the change of {} at {}", revision,
                                    next->key, next->revision));
    }
    kind.position = std::max(kind.position, revision);
    return;
  }
  const auto fail = [&](const std::string& what) {
    checkers_.violate(fmt::format("a watcher of {} at {} was told of revision {}: {}", kind.name,
                                  kind.position, revision, what));
  };
  if (!next || next->revision != revision) {
    return fail(next ? fmt::format("{} at {} comes next", next->key, next->revision)
                     : "nothing has happened");
  }
  const WatchEventType expected = next->is_delete       ? WatchEventType::Deleted
                                  : next->previous == 0 ? WatchEventType::Added
                                                        : WatchEventType::Modified;
  if (type != expected) return fail("the event is of the wrong type");
  if (base::hash64(object.dump()) != next->content) return fail("the object is another one");
  kind.position = revision;
}

bool Observer::has_caught_up() const {
  for (const auto& kind : kinds_) {
    if (checkers_.history().next(kind->prefix, kind->position)) return false;
  }
  return true;
}

}  // namespace pelton::scenario
