// SPDX-License-Identifier: Apache-2.0
// For tests: controllers over a FakeServer in virtual time, which can be killed and started again.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/rng.h"
#include "client/in_process.h"
#include "client/informer.h"
#include "client/testing/fake_loop.h"
#include "client/testing/fake_server.h"
#include "control/driver.h"

namespace pelton::control {

class FakeCluster {
 public:
  using Make = std::function<std::vector<std::unique_ptr<Reconciler>>()>;

  /// One life of the controllers.
  struct Controllers {
    Controllers(FakeCluster& c, std::vector<std::unique_ptr<Reconciler>> reconcilers,
                DriverOptions options)
        : transport(c.server.handler(), {"controllers", {}}, c.loop),
          client(transport, c.loop),
          driver(client, cache, c.loop, c.loop, c.log, base::Rng(7), options) {
      for (auto& reconciler : reconcilers) driver.add(std::move(reconciler));
      for (const std::string& kind : driver.watched_kinds()) {
        informers.push_back(
            std::make_unique<client::Informer>(client, cache, c.loop, c.log, base::Rng(3), kind));
      }
      driver.start();
      for (auto& informer : informers) informer->start();
    }
    client::InProcessTransport transport;
    client::Client client;
    client::Cache cache;
    Driver driver;
    std::vector<std::unique_ptr<client::Informer>> informers;
  };

  explicit FakeCluster(Make make, DriverOptions options = {})
      : make_(std::move(make)), options_(options) {}

  void start() { controllers = std::make_unique<Controllers>(*this, make_(), options_); }
  void crash() { controllers.reset(); }

  static base::Json object(const std::string& api_version, const std::string& kind,
                           const std::string& name) {
    base::Json out = base::Json::object({{"apiVersion", api_version}, {"kind", kind}});
    out.make("metadata.name") = name;
    if (kind != "Node") out.make("metadata.namespace") = "default";
    return out;
  }
  static std::string job_path(const std::string& name) {
    return "/apis/batch/v1/namespaces/default/jobs/" + name;
  }
  static std::string pod_path(const std::string& name) {
    return "/api/v1/namespaces/default/pods/" + name;
  }
  int count(const std::string& prefix) const {
    int n = 0;
    for (const auto& [path, object] : server.objects()) n += path.starts_with(prefix) ? 1 : 0;
    return n;
  }
  int count_writes(const std::string& line) const {
    int n = 0;
    for (const std::string& entry : server.log) n += entry.starts_with(line) ? 1 : 0;
    return n;
  }

  client::FakeLoop loop;
  base::NullLog log;
  client::FakeServer server;
  std::unique_ptr<Controllers> controllers;

 private:
  Make make_;
  DriverOptions options_;
};

}  // namespace pelton::control
