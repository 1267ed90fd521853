// SPDX-License-Identifier: Apache-2.0
#include "net/x509.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace pelton::net {
namespace {

struct BioDeleter {
  void operator()(BIO* p) const { BIO_free(p); }
};
using BioPtr = std::unique_ptr<BIO, BioDeleter>;

BioPtr view_of(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

/// OpenSSL would ask the terminal for a password of an encrypted key: we have none.
int no_password(char*, int, int, void*) {
  return 0;
}

}  // namespace

std::string openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "the connection broke";
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "error " + std::to_string(code);
}

base::Result<std::vector<X509Ptr>> read_certificates(const std::string& pem) {
  std::vector<X509Ptr> out;
  const BioPtr bio = view_of(pem);
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)) {
    out.emplace_back(certificate);
  }
  ERR_clear_error();
  if (out.empty()) return base::invalid_argument("there is no PEM certificate in it");
  return out;
}

base::Result<KeyPtr> read_key(const std::string& pem) {
  KeyPtr key(PEM_read_bio_PrivateKey(view_of(pem).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  if (!key) return base::invalid_argument("there is no unencrypted PEM private key in it");
  return key;
}

Identity subject_of(const X509* certificate) {
  Identity out;
  const X509_NAME* subject = X509_get_subject_name(certificate);
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const X509_NAME_ENTRY* entry = X509_NAME_get_entry(subject, i);
    const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    unsigned char* text = nullptr;
    const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(entry));
    if (size < 0) continue;
    std::string value(reinterpret_cast<const char*>(text), static_cast<size_t>(size));
    OPENSSL_free(text);
    if (kind == NID_commonName) out.name = std::move(value);
    if (kind == NID_organizationName) out.groups.push_back(std::move(value));
  }
  return out;
}

}  // namespace pelton::net
