// SPDX-License-Identifier: Apache-2.0
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <map>

#include "net/x509.h"

namespace pelton::net {
namespace {

constexpr std::string_view kAlpn = "\x08http/1.1";
constexpr long kSessionSeconds = 3600;
/// What a record's head and seal take, generously.
constexpr size_t kRecordExtra = 256;

/// Where OpenSSL reads and writes: the bytes of one receive() call, and a string to send.
struct Pipe {
  std::string_view in;
  std::string out;
};

int pipe_read(BIO* bio, char* to, int size) {
  auto* pipe = static_cast<Pipe*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (pipe->in.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  const size_t taken = std::min(pipe->in.size(), static_cast<size_t>(size));
  pipe->in.copy(to, taken);
  pipe->in.remove_prefix(taken);
  return static_cast<int>(taken);
}

int pipe_write(BIO* bio, const char* from, int size) {
  static_cast<Pipe*>(BIO_get_data(bio))->out.append(from, static_cast<size_t>(size));
  return size;
}

long pipe_control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

const BIO_METHOD* pipe_method() {
  static const BIO_METHOD* const kMethod = [] {
    BIO_METHOD* method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pelton pipe");
    BIO_meth_set_read(method, pipe_read);
    BIO_meth_set_write(method, pipe_write);
    BIO_meth_set_ctrl(method, pipe_control);
    return method;
  }();
  return kMethod;
}

template <typename T, void (*Free)(T*)>
struct Deleter {
  void operator()(T* p) const { Free(p); }
};
using ContextPtr = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX, SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, Deleter<SSL, SSL_free>>;
using TicketPtr = std::unique_ptr<SSL_SESSION, Deleter<SSL_SESSION, SSL_SESSION_free>>;

class OpenSslContext final : public TlsContext {
 public:
  explicit OpenSslContext(ContextPtr context) : context_(std::move(context)) {
    SSL_CTX_set_app_data(context_.get(), this);
  }
  SSL_CTX* get() const { return context_.get(); }
  void remember(const std::string& server, TicketPtr ticket) {
    tickets_[server] = std::move(ticket);
  }
  SSL_SESSION* ticket(const std::string& server) const {
    const auto found = tickets_.find(server);
    return found == tickets_.end() ? nullptr : found->second.get();
  }

 private:
  ContextPtr context_;
  std::map<std::string, TicketPtr> tickets_;  ///< of clients, by server: the newest
};

OpenSslContext& unwrap(const TlsContextPtr& context) {
  return static_cast<OpenSslContext&>(*context);
}

class OpenSslSession final : public TlsSession {
 public:
  OpenSslSession(TlsContextPtr context, bool is_server, std::string server_name)
      : context_(std::move(context)),
        server_name_(std::move(server_name)),
        ssl_(SSL_new(unwrap(context_).get())) {
    PELTON_CHECK(ssl_ != nullptr);
    BIO* bio = BIO_new(pipe_method());
    BIO_set_data(bio, &pipe_);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_.get(), bio, bio);  // takes it over
    SSL_set_app_data(ssl_.get(), this);
    if (is_server) {
      SSL_set_accept_state(ssl_.get());
    } else {
      SSL_set_connect_state(ssl_.get());
      expect_server();
      handshake().ignore("the first flight needs nothing from the peer");
    }
  }

  base::Status receive(std::string_view ciphertext, std::string& plaintext) override {
    if (!failure_.ok()) return failure_;
    pipe_.in = ciphertext;
    base::Status status = SSL_is_init_finished(ssl_.get()) ? base::ok() : handshake();
    if (status.ok() && is_established_) status = read_all(plaintext);
    pipe_.in = {};
    if (!status.ok()) failure_ = status;
    return status;
  }

  void send(std::string_view plaintext) override {
    if (!failure_.ok() || plaintext.empty()) return;
    if (!is_established_) {
      waiting_.append(plaintext);
      return;
    }
    ERR_clear_error();
    // Our pipe takes everything, so one call writes it all, in records of up to 16 KiB.
    size_t written = 0;
    pipe_.out.reserve(pipe_.out.size() + plaintext.size() + plaintext.size() / 64 + kRecordExtra);
    if (SSL_write_ex(ssl_.get(), plaintext.data(), plaintext.size(), &written) != 1) {
      failure_ = base::unavailable("TLS: " + openssl_error());
    }
  }

  void close() override {
    ERR_clear_error();
    if (failure_.ok() && is_established_) SSL_shutdown(ssl_.get());
  }

  std::string take_ciphertext() override { return std::exchange(pipe_.out, {}); }
  bool is_established() const override { return is_established_; }
  bool is_closed_by_peer() const override {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  const Identity& peer() const override { return peer_; }
  bool is_resumed() const override { return SSL_session_reused(ssl_.get()) == 1; }

  void on_ticket(SSL_SESSION* session) {
    unwrap(context_).remember(server_name_, TicketPtr(session));
  }

 private:
  void expect_server() {
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(wanted, server_name_.c_str()) != 1) {
      SSL_set1_host(ssl_.get(), server_name_.c_str());
      SSL_set_tlsext_host_name(ssl_.get(), server_name_.c_str());
    }
    if (SSL_SESSION* ticket = unwrap(context_).ticket(server_name_)) {
      SSL_set_session(ssl_.get(), ticket);
    }
  }

  base::Status handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result != 1) return explain(result);
    is_established_ = true;
    if (const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
        certificate != nullptr && SSL_is_server(ssl_.get()) == 1) {
      peer_ = subject_of(certificate);
    }
    send(std::exchange(waiting_, {}));
    return failure_;
  }

  base::Status read_all(std::string& plaintext) {
    static thread_local std::string record(SSL3_RT_MAX_PLAIN_LENGTH, '\0');
    for (;;) {
      ERR_clear_error();
      size_t read = 0;
      const int result = SSL_read_ex(ssl_.get(), record.data(), record.size(), &read);
      if (result != 1) return explain(result);
      plaintext.append(record, 0, read);
    }
  }

  /// Ok where only more bytes are needed or the peer closed.
  base::Status explain(int result) {
    const int error = SSL_get_error(ssl_.get(), result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return base::ok();
    const long verified = SSL_get_verify_result(ssl_.get());
    if (verified != X509_V_OK) {
      return {base::Code::Unauthenticated,
              std::string("TLS: the peer's certificate is not accepted: ") +
                  X509_verify_cert_error_string(verified)};
    }
    const unsigned long code = ERR_peek_error();
    const int reason = ERR_GET_REASON(code);
    const bool is_about_certificate =
        ERR_GET_LIB(code) == ERR_LIB_SSL &&
        (reason == SSL_R_SSLV3_ALERT_BAD_CERTIFICATE || reason == SSL_R_TLSV1_ALERT_UNKNOWN_CA ||
         reason == SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED ||
         reason == SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN ||
         reason == SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED);
    const std::string message = "TLS: " + openssl_error();
    if (!is_about_certificate) return base::unavailable(message);
    return {base::Code::Unauthenticated, message + " (said by the peer about our certificate)"};
  }

  TlsContextPtr context_;
  std::string server_name_;
  Pipe pipe_;
  SslPtr ssl_;
  bool is_established_ = false;
  std::string waiting_;
  Identity peer_;
  base::Status failure_;
};

/// Takes the reference that OpenSSL offers.
int on_new_ticket(SSL* ssl, SSL_SESSION* session) {
  static_cast<OpenSslSession*>(SSL_get_app_data(ssl))->on_ticket(session);
  return 1;
}

/// Our one protocol where the client knows it too, else none.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(kAlpn.data());
  if (SSL_select_next_proto(&chosen, out_size, ours, kAlpn.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_NOACK;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

base::Status use_credential(SSL_CTX* context, const Credential& credential) {
  PELTON_ASSIGN(const auto chain, read_certificates(credential.certificate_pem));
  PELTON_ASSIGN(const auto key, read_key(credential.key_pem));
  if (SSL_CTX_use_certificate(context, chain[0].get()) != 1) {
    return base::invalid_argument("the certificate cannot be used: " + openssl_error());
  }
  for (size_t i = 1; i < chain.size(); ++i) SSL_CTX_add1_chain_cert(context, chain[i].get());
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return base::invalid_argument("the private key does not fit its certificate");
  }
  return base::ok();
}

base::Status trust(SSL_CTX* context, const std::string& ca_pem, bool name_to_peer) {
  PELTON_ASSIGN(const auto authorities, read_certificates(ca_pem));
  for (const auto& authority : authorities) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context), authority.get());
    if (name_to_peer) SSL_CTX_add_client_CA(context, authority.get());
  }
  return base::ok();
}

ContextPtr new_context(const SSL_METHOD* method) {
  ContextPtr context(SSL_CTX_new(method));
  PELTON_CHECK(context != nullptr);
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_timeout(context.get(), kSessionSeconds);
  return context;
}

}  // namespace

base::Result<TlsContextPtr> TlsContext::server(const TlsServerConfig& config) {
  ContextPtr context = new_context(TLS_server_method());
  if (base::Status status = use_credential(context.get(), config.credential); !status.ok()) {
    return std::move(status).with("the server's credential");
  }
  if (!config.client_ca_pem.empty()) {
    if (base::Status status = trust(context.get(), config.client_ca_pem, true); !status.ok()) {
      return std::move(status).with("the authority of clients");
    }
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  }
  // Resumed sessions carry the client's certificate in the ticket, sealed by a key of this context.
  SSL_CTX_set_session_id_context(context.get(), reinterpret_cast<const unsigned char*>("pelton"),
                                 6);
  SSL_CTX_set_num_tickets(context.get(), 1);
  SSL_CTX_set_alpn_select_cb(context.get(), choose_protocol, nullptr);
  return TlsContextPtr(std::make_shared<OpenSslContext>(std::move(context)));
}

base::Result<TlsContextPtr> TlsContext::client(const TlsClientConfig& config) {
  ContextPtr context = new_context(TLS_client_method());
  if (!config.is_any_trusted) {
    if (base::Status status = trust(context.get(), config.ca_pem, false); !status.ok()) {
      return std::move(status).with("the authority of servers");
    }
  }
  if (!config.credential.certificate_pem.empty()) {
    if (base::Status status = use_credential(context.get(), config.credential); !status.ok()) {
      return std::move(status).with("the client's credential");
    }
  }
  SSL_CTX_set_verify(context.get(), config.is_any_trusted ? SSL_VERIFY_NONE : SSL_VERIFY_PEER,
                     nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context.get(), on_new_ticket);
  SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>(kAlpn.data()),
                          kAlpn.size());
  return TlsContextPtr(std::make_shared<OpenSslContext>(std::move(context)));
}

std::unique_ptr<TlsSession> TlsSession::accept(TlsContextPtr context) {
  return std::make_unique<OpenSslSession>(std::move(context), true, "");
}

std::unique_ptr<TlsSession> TlsSession::connect(TlsContextPtr context,
                                                const std::string& server_name) {
  return std::make_unique<OpenSslSession>(std::move(context), false, server_name);
}

}  // namespace pelton::net
