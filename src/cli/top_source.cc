// SPDX-License-Identifier: Apache-2.0
#include "cli/top_source.h"

#include <fmt/format.h>

#include <utility>

namespace pelton::cli {
namespace {

constexpr base::Duration kPatience = base::Duration::seconds(5);

}  // namespace

struct TopSource::Round {
  TopLists lists;
  int open = 0;
  std::function<void(base::Status)> done;
};

TopSource::TopSource(world::World& world, DataDirectory directory)
    : world_(world), directory_(std::move(directory)), timeout_(world.timers) {}
TopSource::~TopSource() = default;

/// The port may be another when a server comes back.
base::Status TopSource::connect() {
  if (admin_ && !is_failing_) return base::ok();
  admin_.reset();  // with what it has been asked
  metrics_open_ = 0;
  PELTON_ASSIGN(admin_, AdminClient::make(world_, directory_));
  return base::ok();
}

void TopSource::refresh(std::function<void(base::Status)> done) {
  round_ = std::make_shared<Round>();
  round_->done = std::move(done);
  if (base::Status status = connect(); !status.ok()) {
    timeout_.start(base::Duration(), [this, status] { finish(status); });
    return;
  }
  timeout_.start(kPatience, [this] {
    finish(base::unavailable(fmt::format("the API server did not answer within {} s; see {}",
                                         kPatience.ms() / 1000, directory_.log("server"))));
  });
  const std::shared_ptr<Round> round = round_;
  list(round, "Node", &TopLists::nodes);
  list(round, "Pod", &TopLists::pods);
  list(round, "JobSet", &TopLists::jobsets);
  if (is_measuring()) return;
  measure("nodes", &TopLists::node_metrics);
  measure("pods", &TopLists::pod_metrics);
}

void TopSource::list(const std::shared_ptr<Round>& round, const char* kind,
                     base::Json::Array TopLists::* to) {
  ++round->open;
  admin_->client().list(
      kind, "", {}, [this, round, kind, to](base::Result<client::ObjectList> list) {
        if (round_ != round) return;
        if (!list.ok()) {
          return finish(std::move(list).status().with(
              fmt::format("listing {}s (the server's log is {})", kind, directory_.log("server"))));
        }
        round->lists.*to = std::move(list->items);
        if (--round->open > 0) return;
        lists_.nodes = std::move(round->lists.nodes);
        lists_.pods = std::move(round->lists.pods);
        lists_.jobsets = std::move(round->lists.jobsets);
        finish(base::ok());
      });
}

void TopSource::measure(const char* resource, base::Json::Array TopLists::* to) {
  ++metrics_open_;
  net::Request request;
  request.target = std::string("/apis/metrics.k8s.io/v1beta1/") + resource;
  admin_->client().raw(std::move(request), [this, to](base::Result<client::Response> got) {
    --metrics_open_;
    (lists_.*to).clear();
    if (got.ok() && got->status == 200) {
      auto list = base::Json::parse(got->body);
      if (list.ok()) lists_.*to = (*list)["items"].items();
    }
    if (on_measured_) on_measured_();
  });
}

void TopSource::finish(base::Status status) {
  timeout_.cancel();
  is_failing_ = !status.ok();
  const std::shared_ptr<Round> round = std::exchange(round_, nullptr);
  if (round) round->done(std::move(status));
}

}  // namespace pelton::cli
