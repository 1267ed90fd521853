// SPDX-License-Identifier: Apache-2.0
// TLS 1.2 and 1.3 without sockets: bytes in, bytes out.
//
// A TlsContext holds parsed keys and trust and is shared by many sessions; a TlsSession is one
// connection's state. The owner moves bytes between it and a connection (net/channel.h does).
// Sessions are resumed by tickets, so that a reconnecting client pays no signature.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "net/http.h"

namespace pelton::net {

/// A certificate (with its chain, leaf first) and its private key, both as PEM.
struct Credential {
  std::string certificate_pem;
  std::string key_pem;
};

struct TlsServerConfig {
  Credential credential;
  /// Certificates of the authorities whose clients are known. Empty: clients are not asked. A
  /// client without a certificate is let in with an empty Identity; one with a certificate that
  /// does not verify is refused.
  std::string client_ca_pem;
};

struct TlsClientConfig {
  std::string ca_pem;           ///< who signs servers; nothing else is trusted
  bool is_any_trusted = false;  ///< whatever the server shows is accepted, as probes of pods do
  Credential credential;        ///< empty: no client certificate
};

class TlsContext {
 public:
  virtual ~TlsContext() = default;
  /// InvalidArgument names the PEM that cannot be read or does not fit its key.
  static base::Result<std::shared_ptr<TlsContext>> server(const TlsServerConfig& config);
  static base::Result<std::shared_ptr<TlsContext>> client(const TlsClientConfig& config);
};
using TlsContextPtr = std::shared_ptr<TlsContext>;

class TlsSession {
 public:
  virtual ~TlsSession() = default;
  /// The server's side of a new connection.
  static std::unique_ptr<TlsSession> accept(TlsContextPtr context);
  /// The client's side. The server's certificate must be valid for `server_name`, a DNS name or
  /// an IP literal. The first flight is ready in take_ciphertext().
  static std::unique_ptr<TlsSession> connect(TlsContextPtr context, const std::string& server_name);

  /// Takes bytes from the peer and appends what they say to `plaintext`. After an error (the alert
  /// for the peer is in take_ciphertext()) the session is dead: Unauthenticated where a certificate
  /// was not accepted, Unavailable otherwise.
  virtual base::Status receive(std::string_view ciphertext, std::string& plaintext) = 0;
  /// Queues plaintext; before the handshake is done it waits.
  virtual void send(std::string_view plaintext) = 0;
  /// Tells the peer that nothing more comes.
  virtual void close() = 0;
  /// Bytes for the peer, since the last call.
  virtual std::string take_ciphertext() = 0;
  virtual bool is_established() const = 0;
  /// The peer said that nothing more comes.
  virtual bool is_closed_by_peer() const = 0;
  /// From the verified client certificate: CN and every O. Empty where there is none.
  virtual const Identity& peer() const = 0;
  virtual bool is_resumed() const = 0;
};

}  // namespace pelton::net
