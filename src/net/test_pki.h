// SPDX-License-Identifier: Apache-2.0
// For tests: an authority, a server's and a client's credential, made once per process.
#pragma once
#include "net/certificates.h"

namespace pelton::net {

struct TestPki {
  Credential authority, server, client, stranger;

  /// `now` must be the machine's time: OpenSSL checks validity against that.
  static const TestPki& get(base::Instant now) {
    static const TestPki kPki = make({.from = now, .lifetime = base::Duration::hours(1)});
    return kPki;
  }
  TlsContextPtr server_context(bool knows_clients = true) const {
    return TlsContext::server({.credential = server,
                               .client_ca_pem = knows_clients ? authority.certificate_pem : ""})
        .value();
  }
  TlsContextPtr client_context(bool has_credential = true) const {
    return TlsContext::client({.ca_pem = authority.certificate_pem,
                               .credential = has_credential ? client : Credential()})
        .value();
  }

 private:
  static TestPki make(const Validity& validity) {
    TestPki pki;
    pki.authority = make_authority("test authority", validity).value();
    pki.server =
        issue_server(pki.authority, "test server", {"127.0.0.1", "localhost"}, validity).value();
    pki.client =
        issue_client(pki.authority, {.name = "admin", .groups = {"system:masters", "g"}}, validity)
            .value();
    const Credential other = make_authority("another authority", validity).value();
    pki.stranger = issue_client(other, {.name = "admin", .groups = {}}, validity).value();
    return pki;
  }
};

}  // namespace pelton::net
