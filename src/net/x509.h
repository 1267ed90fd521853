// SPDX-License-Identifier: Apache-2.0
// Certificates and keys as OpenSSL's objects. Internal to net/: only its TLS sources include this.
#pragma once
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "net/http.h"

namespace pelton::net {

struct X509Deleter {
  void operator()(X509* p) const { X509_free(p); }
  void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
};
using X509Ptr = std::unique_ptr<X509, X509Deleter>;
using KeyPtr = std::unique_ptr<EVP_PKEY, X509Deleter>;

/// At least one. InvalidArgument where there is none.
base::Result<std::vector<X509Ptr>> read_certificates(const std::string& pem);
base::Result<KeyPtr> read_key(const std::string& pem);
/// CN and every O of the subject.
Identity subject_of(const X509* certificate);
/// The oldest error that OpenSSL noted in this thread, in words; forgets all.
std::string openssl_error();

}  // namespace pelton::net
