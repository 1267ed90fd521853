// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <gtest/gtest.h>

#include "net/test_pki.h"
#include "os/clock.h"

namespace pelton::net {
namespace {

using base::Code;

base::Instant now() {
  return os::OsClock().now();
}

const TestPki& pki() {
  return TestPki::get(now());
}

/// Both ends of one TLS connection, and what arrived at each.
struct Pair {
  std::unique_ptr<TlsSession> client, server;
  std::string at_client, at_server;
  base::Status client_status, server_status;

  Pair(TlsContextPtr client_context, TlsContextPtr server_context,
       const std::string& name = "localhost")
      : client(TlsSession::connect(std::move(client_context), name)),
        server(TlsSession::accept(std::move(server_context))) {}

  /// Moves bytes until none are left, in pieces of `step`.
  void exchange(size_t step = SIZE_MAX) {
    for (bool has_moved = true; has_moved;) {
      has_moved = move(*client, *server, at_server, server_status, step);
      has_moved = move(*server, *client, at_client, client_status, step) || has_moved;
    }
  }
  static bool move(TlsSession& from, TlsSession& to, std::string& out, base::Status& status,
                   size_t step) {
    const std::string bytes = from.take_ciphertext();
    for (size_t at = 0; at < bytes.size() && status.ok();) {
      const std::string_view piece = std::string_view(bytes).substr(at, step);
      status = to.receive(piece, out);
      at += piece.size();
    }
    return !bytes.empty();
  }
};

TEST(TlsTest, TheServerLearnsTheClientsNameAndGroups) {
  Pair pair(pki().client_context(), pki().server_context());
  pair.client->send("early");  // before the handshake: waits
  pair.exchange();
  EXPECT_TRUE(pair.client->is_established() && pair.server->is_established());
  EXPECT_EQ(pair.server->peer().name, "admin");
  EXPECT_EQ(pair.server->peer().groups, (std::vector<std::string>{"system:masters", "g"}));
  EXPECT_EQ(pair.at_server, "early");
  pair.server->send("answer");
  pair.exchange();
  EXPECT_EQ(pair.at_client, "answer");
}

TEST(TlsTest, BytesMayComeOneByOneAndRecordsMayBeLarge) {
  Pair pair(pki().client_context(), pki().server_context());
  const std::string large(100'000, 'x');
  pair.client->send(large);
  pair.exchange(1);
  EXPECT_EQ(pair.at_server, large);
}

TEST(TlsTest, AClientWithoutCertificateIsLetInAsNobody) {
  Pair pair(pki().client_context(false), pki().server_context());
  pair.exchange();
  EXPECT_TRUE(pair.server->is_established());
  EXPECT_EQ(pair.server->peer().name, "");
}

TEST(TlsTest, AClientOfAnotherAuthorityIsRefusedAndTold) {
  const auto context =
      TlsContext::client({.ca_pem = pki().authority.certificate_pem, .credential = pki().stranger})
          .value();
  Pair pair(context, pki().server_context());
  pair.exchange();
  EXPECT_EQ(pair.server_status.code(), Code::Unauthenticated) << pair.server_status.to_string();
  EXPECT_EQ(pair.client_status.code(), Code::Unauthenticated) << pair.client_status.to_string();
  EXPECT_EQ(pair.server->peer().name, "");
}

TEST(TlsTest, AServersCertificateIsNoClientsCertificate) {
  const auto context =
      TlsContext::client({.ca_pem = pki().authority.certificate_pem, .credential = pki().server})
          .value();
  Pair pair(context, pki().server_context());
  pair.exchange();
  EXPECT_EQ(pair.server_status.code(), Code::Unauthenticated) << pair.server_status.to_string();
}

TEST(TlsTest, AServerMustBeTheOneThatWasCalledAndOfTheKnownAuthority) {
  Pair address(pki().client_context(), pki().server_context(), "127.0.0.1");
  address.exchange();
  EXPECT_TRUE(address.client->is_established());
  for (const char* name : {"elsewhere", "127.0.0.2"}) {
    Pair pair(pki().client_context(), pki().server_context(), name);
    pair.exchange();
    EXPECT_EQ(pair.client_status.code(), Code::Unauthenticated) << name;
    EXPECT_FALSE(pair.client->is_established());
  }
  const Credential other = make_authority("other", {.from = now()}).value();
  const auto context = TlsContext::client({.ca_pem = other.certificate_pem, .credential = {}});
  Pair pair(context.value(), pki().server_context());
  pair.exchange();
  EXPECT_EQ(pair.client_status.code(), Code::Unauthenticated);
}

TEST(TlsTest, AnExpiredCertificateIsRefused) {
  const Validity past{.from = now() - base::Duration::hours(2),
                      .lifetime = base::Duration::hours(1)};
  const auto expired = issue_client(pki().authority, {.name = "admin", .groups = {}}, past).value();
  const auto context =
      TlsContext::client({.ca_pem = pki().authority.certificate_pem, .credential = expired})
          .value();
  Pair pair(context, pki().server_context());
  pair.exchange();
  EXPECT_EQ(pair.server_status.code(), Code::Unauthenticated);
  EXPECT_NE(pair.server_status.message().find("expired"), std::string::npos);
}

TEST(TlsTest, ASecondConnectionResumesAndTheServerStillKnowsTheClient) {
  const auto client = pki().client_context();
  const auto server = pki().server_context();
  Pair first(client, server);
  first.exchange();
  EXPECT_FALSE(first.server->is_resumed());
  Pair second(client, server);
  second.exchange();
  EXPECT_TRUE(second.server->is_resumed());
  EXPECT_EQ(second.server->peer().name, "admin");
}

TEST(TlsTest, AFarewellIsTold) {
  Pair pair(pki().client_context(), pki().server_context());
  pair.exchange();
  EXPECT_FALSE(pair.server->is_closed_by_peer());
  pair.client->close();
  pair.exchange();
  EXPECT_TRUE(pair.server->is_closed_by_peer());
  EXPECT_TRUE(pair.server_status.ok());
}

TEST(TlsTest, WhatIsNotTlsIsAnErrorAndStaysOne) {
  const auto session = TlsSession::accept(pki().server_context());
  std::string plaintext;
  EXPECT_EQ(session->receive("GET / HTTP/1.1\r\n\r\n", plaintext).code(), Code::Unavailable);
  EXPECT_FALSE(session->receive("more", plaintext).ok());
  session->send("nothing happens");
}

TEST(TlsTest, CredentialsThatCannotBeUsedAreRefused) {
  const auto& good = pki();
  const auto code = [&](const TlsServerConfig& config) {
    return TlsContext::server(config).status().code();
  };
  EXPECT_EQ(code({.credential = {}, .client_ca_pem = ""}), Code::InvalidArgument);
  EXPECT_EQ(code({.credential = {good.server.certificate_pem, "no key"}, .client_ca_pem = ""}),
            Code::InvalidArgument);
  EXPECT_EQ(
      code({.credential = {good.server.certificate_pem, good.client.key_pem}, .client_ca_pem = ""}),
      Code::InvalidArgument);
  EXPECT_EQ(code({.credential = good.server, .client_ca_pem = "nothing"}), Code::InvalidArgument);
  EXPECT_EQ(TlsContext::client({.ca_pem = "", .credential = {}}).status().code(),
            Code::InvalidArgument);
}

TEST(CertificatesTest, WhatWasIssuedIsReadBack) {
  const base::Instant from = base::Instant::from_unix_seconds(1'700'000'000);
  const Validity validity{.from = from, .lifetime = base::Duration::hours(24)};
  const auto authority = make_authority("ca", validity).value();
  const auto server =
      issue_server(authority, "apiserver", {"10.0.0.1", "::1", "kubernetes.default.svc"}, validity)
          .value();
  const auto info = read_certificate(server.certificate_pem).value();
  EXPECT_EQ(info.subject.name, "apiserver");
  EXPECT_EQ(info.names,
            (std::vector<std::string>{"kubernetes.default.svc", "10.0.0.1", "0:0:0:0:0:0:0:1"}));
  EXPECT_EQ(info.not_before, from - base::Duration::minutes(5));
  EXPECT_EQ(info.not_after, from + base::Duration::hours(24));
  const auto client =
      issue_client(authority, {.name = "system:node:n", .groups = {"system:nodes"}}, validity);
  const auto subject = read_certificate(client.value().certificate_pem).value().subject;
  EXPECT_EQ(subject.name, "system:node:n");
  EXPECT_EQ(subject.groups, std::vector<std::string>{"system:nodes"});
}

TEST(CertificatesTest, NamesAndAuthoritiesThatCannotBeUsedAreRefused) {
  const Validity validity{.from = now()};
  const auto& good = pki().authority;
  EXPECT_EQ(issue_server(good, "s", {"a,DNS:b"}, validity).status().code(), Code::InvalidArgument);
  EXPECT_EQ(issue_server(good, "", {"a"}, validity).status().code(), Code::InvalidArgument);
  EXPECT_EQ(issue_client({good.certificate_pem, pki().client.key_pem}, {"n", {}}, validity)
                .status()
                .code(),
            Code::InvalidArgument);
  EXPECT_EQ(read_certificate("no certificate").status().code(), Code::InvalidArgument);
}

}  // namespace
}  // namespace pelton::net
