// SPDX-License-Identifier: Apache-2.0
#include "net/certificates.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "net/x509.h"

namespace pelton::net {
namespace {

constexpr base::Duration kClockSkew = base::Duration::minutes(5);

base::Status failure(const std::string& what) {
  return base::internal_error(what + ": " + openssl_error());
}

base::Result<std::string> to_pem(int (*write)(BIO*, const void*), const void* object) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  if (write(bio.get(), object) != 1) return failure("writing PEM");
  char* text = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &text);
  return std::string(text, static_cast<size_t>(size));
}

int write_certificate(BIO* bio, const void* object) {
  return PEM_write_bio_X509(bio, static_cast<const X509*>(object));
}

int write_key(BIO* bio, const void* object) {
  return PEM_write_bio_PKCS8PrivateKey(bio, static_cast<const EVP_PKEY*>(object), nullptr, nullptr,
                                       0, nullptr, nullptr);
}

bool add_name(X509_NAME* name, const char* field, const std::string& value) {
  // -1, 0: appended, as one more relative name.
  return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool add_extension(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  if (extension == nullptr) return false;
  const bool is_added = X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return is_added;
}

bool set_times(X509* certificate, const Validity& validity) {
  const base::Instant begin = validity.from - kClockSkew;
  const base::Instant end = validity.from + validity.lifetime;
  return ASN1_TIME_set(X509_getm_notBefore(certificate), begin.unix_seconds()) != nullptr &&
         ASN1_TIME_set(X509_getm_notAfter(certificate), end.unix_seconds()) != nullptr;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = static_cast<unsigned char>((bytes[0] & 0x7f) | 0x40);  // positive, of full length
  BIGNUM* number = BN_bin2bn(bytes, sizeof bytes, nullptr);
  const bool is_set = BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nullptr;
  BN_free(number);
  return is_set;
}

/// What differs between the kinds of certificate.
struct Profile {
  Identity subject;
  const char* basic_constraints;
  const char* key_usage;
  const char* extended_key_usage;  ///< nullptr: none
  std::string alternative_names;   ///< empty: none
};

/// With no authority it is signed by itself.
base::Result<Credential> issue(const Profile& profile, const Credential* authority,
                               const Validity& validity) {
  if (profile.subject.name.empty()) {
    return base::invalid_argument("a certificate needs a common name");
  }
  const KeyPtr key(EVP_EC_gen("P-256"));
  const X509Ptr certificate(X509_new());
  if (!key || !certificate) return failure("making a key");
  X509* const x = certificate.get();
  X509Ptr issuer;
  KeyPtr issuer_key;
  if (authority != nullptr) {
    PELTON_ASSIGN(auto chain, read_certificates(authority->certificate_pem));
    PELTON_ASSIGN(issuer_key, read_key(authority->key_pem));
    issuer = std::move(chain[0]);
    if (X509_check_private_key(issuer.get(), issuer_key.get()) != 1) {
      ERR_clear_error();
      return base::invalid_argument("the authority's key does not fit its certificate");
    }
  }
  X509* const signer = issuer ? issuer.get() : x;
  X509_NAME* const name = X509_get_subject_name(x);
  bool is_good = X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
                 set_times(x, validity) && X509_set_pubkey(x, key.get()) == 1;
  for (const auto& group : profile.subject.groups) is_good = is_good && add_name(name, "O", group);
  is_good = is_good && add_name(name, "CN", profile.subject.name) &&
            X509_set_issuer_name(x, X509_get_subject_name(signer)) == 1 &&
            add_extension(x, signer, NID_basic_constraints, profile.basic_constraints) &&
            add_extension(x, signer, NID_key_usage, profile.key_usage) &&
            add_extension(x, signer, NID_subject_key_identifier, "hash") &&
            add_extension(x, signer, NID_authority_key_identifier, "keyid");
  if (is_good && profile.extended_key_usage != nullptr) {
    is_good = add_extension(x, signer, NID_ext_key_usage, profile.extended_key_usage);
  }
  if (is_good && !profile.alternative_names.empty()) {
    is_good = add_extension(x, signer, NID_subject_alt_name, profile.alternative_names);
  }
  EVP_PKEY* const signing_key = issuer_key ? issuer_key.get() : key.get();
  if (!is_good || X509_sign(x, signing_key, EVP_sha256()) == 0) {
    return failure("making the certificate of " + profile.subject.name);
  }
  Credential out;
  PELTON_ASSIGN(out.certificate_pem, to_pem(write_certificate, x));
  PELTON_ASSIGN(out.key_pem, to_pem(write_key, key.get()));
  return out;
}

/// "IP:127.0.0.1,DNS:localhost", or InvalidArgument for a name that would say something else there.
base::Result<std::string> to_alternative_names(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& name : names) {
    ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.c_str());
    const bool is_address = address != nullptr;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    const bool is_dns = !name.empty() && name.size() <= 253 &&
                        name.find_first_not_of(
                            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                            "0123456789-.*_") == std::string::npos;
    if (!is_address && !is_dns) {
      return base::invalid_argument("\"" + name + "\" is neither a DNS name nor an IP address");
    }
    if (!out.empty()) out += ',';
    out += (is_address ? "IP:" : "DNS:") + name;
  }
  return out;
}

base::Instant to_instant(const ASN1_TIME* time) {
  const std::unique_ptr<ASN1_TIME, void (*)(ASN1_TIME*)> epoch(ASN1_TIME_set(nullptr, 0),
                                                               ASN1_TIME_free);
  int days = 0, seconds = 0;
  ASN1_TIME_diff(&days, &seconds, epoch.get(), time);
  return base::Instant::from_unix_seconds(int64_t{days} * 86'400 + seconds);
}

std::string format_address(const ASN1_OCTET_STRING* address) {
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  std::string out;
  if (ASN1_STRING_length(address) == 4) {
    for (int i = 0; i < 4; ++i) out += (i == 0 ? "" : ".") + std::to_string(bytes[i]);
    return out;
  }
  for (int i = 0; i + 1 < ASN1_STRING_length(address); i += 2) {
    char group[8];
    std::snprintf(group, sizeof group, "%s%x", i == 0 ? "" : ":", bytes[i] << 8 | bytes[i + 1]);
    out += group;
  }
  return out;
}

std::vector<std::string> alternative_names_of(const X509* certificate) {
  std::vector<std::string> names, addresses;
  auto* all = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(all); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all, i);
    if (name->type == GEN_DNS) {
      names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                         static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      addresses.push_back(format_address(name->d.iPAddress));
    }
  }
  GENERAL_NAMES_free(all);
  names.insert(names.end(), addresses.begin(), addresses.end());
  return names;
}

}  // namespace

base::Result<Credential> make_authority(const std::string& common_name, const Validity& validity) {
  return issue({.subject = {.name = common_name, .groups = {}},
                .basic_constraints = "critical,CA:TRUE",
                .key_usage = "critical,digitalSignature,keyCertSign,cRLSign",
                .extended_key_usage = nullptr,
                .alternative_names = {}},
               nullptr, validity);
}

base::Result<Credential> issue_server(const Credential& authority, const std::string& common_name,
                                      const std::vector<std::string>& names,
                                      const Validity& validity) {
  PELTON_ASSIGN(std::string alternative, to_alternative_names(names));
  return issue({.subject = {.name = common_name, .groups = {}},
                .basic_constraints = "critical,CA:FALSE",
                .key_usage = "critical,digitalSignature",
                .extended_key_usage = "serverAuth",
                .alternative_names = std::move(alternative)},
               &authority, validity);
}

base::Result<Credential> issue_client(const Credential& authority, const Identity& identity,
                                      const Validity& validity) {
  return issue({.subject = identity,
                .basic_constraints = "critical,CA:FALSE",
                .key_usage = "critical,digitalSignature",
                .extended_key_usage = "clientAuth",
                .alternative_names = {}},
               &authority, validity);
}

base::Result<CertificateInfo> read_certificate(const std::string& certificate_pem) {
  PELTON_ASSIGN(const auto chain, read_certificates(certificate_pem));
  const X509* x = chain[0].get();
  CertificateInfo info;
  info.subject = subject_of(x);
  info.names = alternative_names_of(x);
  info.not_before = to_instant(X509_get0_notBefore(x));
  info.not_after = to_instant(X509_get0_notAfter(x));
  return info;
}

}  // namespace pelton::net
