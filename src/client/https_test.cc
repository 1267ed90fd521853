// SPDX-License-Identifier: Apache-2.0
#include "client/https.h"

#include <gtest/gtest.h>

#include <optional>

#include "client/cache.h"
#include "client/client.h"
#include "client/informer.h"
#include "client/testing/fake_server.h"
#include "net/http_server.h"
#include "net/test_pki.h"
#include "os/test_world.h"

namespace pelton::client {
namespace {

using base::Code;
using base::Json;
using base::Result;

/// A FakeServer behind TLS on loopback, and a kubeconfig for it.
class HttpsTest : public os::RealWorldTest {
 protected:
  HttpsTest() {
    auto address = http.listen({"127.0.0.1", 0});
    EXPECT_TRUE(address.ok()) << address.status().to_string();
    config.server = "https://" + address->to_string();
    config.ca_pem = pki.authority.certificate_pem;
    config.client_certificate_pem = pki.client.certificate_pem;
    config.client_key_pem = pki.client.key_pem;
  }
  static Json pod(const std::string& name) {
    Json pod = Json::object({{"apiVersion", "v1"}, {"kind", "Pod"}});
    pod.make("metadata.name") = name;
    pod.make("metadata.namespace") = "default";
    return pod;
  }
  std::unique_ptr<HttpsTransport> connect(const Kubeconfig& from) {
    auto made = HttpsTransport::make(world().network, world().timers, from);
    EXPECT_TRUE(made.ok()) << made.status().to_string();
    return made.ok() ? std::move(*made) : nullptr;
  }
  Result<Json> get(Transport& transport, const ObjectKey& key) {
    Client client(transport, world().timers);
    std::optional<Result<Json>> got;
    client.get(key, [&](Result<Json> r) {
      got = std::move(r);
      stop();
    });
    run();
    return got ? std::move(*got) : Result<Json>(base::internal_error("no answer"));
  }

  const net::TestPki& pki = net::TestPki::get(world().clock.now());
  FakeServer server;
  net::Identity seen;
  net::HttpServer http{world().network, world().timers, pki.server_context(),
                       [this, handler = server.handler()](net::Request r, net::ResponseSinkPtr s) {
                         seen = r.identity;
                         handler(std::move(r), std::move(s));
                       }};
  Kubeconfig config;
};

TEST_F(HttpsTest, AnObjectMakesTheRoundTripAndTheServerKnowsWhoAsks) {
  server.put("/api/v1/namespaces/default/pods/a", pod("a"));
  auto transport = connect(config);
  auto got = get(*transport, {"Pod", "default", "a"});
  ASSERT_TRUE(got.ok()) << got.status().to_string();
  EXPECT_EQ((*got)["metadata"]["name"].as_string(), "a");
  EXPECT_EQ(seen.name, "admin");
  EXPECT_EQ(seen.groups, (std::vector<std::string>{"system:masters", "g"}));
}

TEST_F(HttpsTest, AnInformerFollowsAlsoThroughBrokenConnections) {
  auto transport = connect(config);
  Client client(*transport, world().timers);
  Cache cache;
  base::NullLog log;
  Informer informer(client, cache, world().timers, log, base::Rng(1), "Pod");
  cache.subscribe([&](std::string_view, const Json*, const Json*) {
    if (cache.list("Pod").size() == 2) stop();
    if (cache.list("Pod").size() == 1 && cache.is_synced("Pod")) {
      server.break_watches();
      server.put("/api/v1/namespaces/default/pods/b", pod("b"));
    }
  });
  server.put("/api/v1/namespaces/default/pods/a", pod("a"));
  informer.start();
  run();
  EXPECT_NE(cache.get("Pod", "default", "b"), nullptr);
}

TEST_F(HttpsTest, AServerOfAnotherAuthorityIsNotTrusted) {
  config.ca_pem = pki.stranger.certificate_pem;
  auto transport = connect(config);
  auto got = get(*transport, {"Pod", "default", "a"});
  EXPECT_EQ(got.status().code(), Code::Unauthenticated);
}

TEST_F(HttpsTest, NobodyListeningIsUnavailable) {
  config.server = "https://127.0.0.1:1";
  auto transport = connect(config);
  Client client(*transport, world().timers);
  std::optional<base::Status> status;
  client.create(pod("a"), [&](Result<Json> r) {
    status = r.status();
    stop();
  });
  run();
  EXPECT_EQ(status->code(), Code::Unavailable) << "a write that never left is not in doubt";
}

TEST_F(HttpsTest, AKubeconfigMakesTheRoundTrip) {
  config.namespace_name = "ml";
  config.token = "t";
  auto read = parse_kubeconfig(config.to_yaml(), world().files, ".");
  ASSERT_TRUE(read.ok()) << read.status().to_string();
  EXPECT_EQ(read->server, config.server);
  EXPECT_EQ(read->ca_pem, config.ca_pem);
  EXPECT_EQ(read->client_certificate_pem, config.client_certificate_pem);
  EXPECT_EQ(read->client_key_pem, config.client_key_pem);
  EXPECT_EQ(read->token, "t");
  EXPECT_EQ(read->namespace_name, "ml");
}

TEST_F(HttpsTest, AKubeconfigMayNameFilesAndOtherContexts) {
  ASSERT_TRUE(world().files.replace(path("ca.pem"), "CA").ok());
  const base::Status written = world().files.replace(path("config"), R"(
current-context: missing
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443", certificate-authority: ca.pem}}]
users: [{name: u, user: {token: secret}}]
contexts:
- {name: good, context: {cluster: c, user: u}}
- {name: bad-user, context: {cluster: c, user: nobody}}
)");
  ASSERT_TRUE(written.ok());
  auto good = load_kubeconfig(world().files, path("config"), "good");
  ASSERT_TRUE(good.ok()) << good.status().to_string();
  EXPECT_EQ(good->ca_pem, "CA");
  EXPECT_EQ(good->token, "secret");
  const auto message = [&](std::string_view context) {
    return load_kubeconfig(world().files, path("config"), context).status().message();
  };
  EXPECT_NE(message("").find("no context named \"missing\""), std::string::npos) << message("");
  EXPECT_NE(message("bad-user").find("no user named \"nobody\""), std::string::npos);
  EXPECT_EQ(load_kubeconfig(world().files, path("none")).status().code(), Code::NotFound);
}

TEST_F(HttpsTest, AnAddressOrCertificateThatCannotBeUsedIsRefusedAtOnce) {
  config.server = "ftp://x";
  EXPECT_EQ(HttpsTransport::make(world().network, world().timers, config).status().code(),
            Code::InvalidArgument);
  config.server = "https://127.0.0.1:1";
  config.ca_pem = "nonsense";
  EXPECT_EQ(HttpsTransport::make(world().network, world().timers, config).status().code(),
            Code::InvalidArgument);
}

}  // namespace
}  // namespace pelton::client
