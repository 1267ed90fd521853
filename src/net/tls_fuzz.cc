// SPDX-License-Identifier: Apache-2.0
// A server's TLS session fed with arbitrary bytes in two pieces: no crash, no plaintext made up.
#include <cstdint>

#include "net/test_pki.h"
#include "net/tls.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using pelton::net::TlsSession;
  static const auto kContext =
      pelton::net::TestPki::get(pelton::base::Instant::from_unix_seconds(1'800'000'000))
          .server_context();
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto session = TlsSession::accept(kContext);
  std::string plaintext;
  for (const auto piece : {bytes.substr(0, size / 2), bytes.substr(size / 2)}) {
    session->receive(piece, plaintext).ignore("most inputs are no TLS");
    session->take_ciphertext();
  }
  PELTON_CHECK(plaintext.empty());
  return 0;
}
