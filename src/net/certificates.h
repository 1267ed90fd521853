// SPDX-License-Identifier: Apache-2.0
// A small certificate authority: what `pelton up` makes for itself. Keys are EC P-256; all is PEM.
//
// Private keys and serial numbers come from OpenSSL's generator, not from world::Random: no
// simulation depends on them.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"
#include "base/time.h"
#include "net/http.h"
#include "net/tls.h"

namespace pelton::net {

/// When a certificate counts. Begins five minutes before `from`, for clocks that differ.
struct Validity {
  base::Instant from;
  base::Duration lifetime = base::Duration::hours(24 * 365);
};

/// A new self-signed authority. Each of these functions: Internal where OpenSSL fails,
/// InvalidArgument where a given PEM or name cannot be used.
base::Result<Credential> make_authority(const std::string& common_name, const Validity& validity);

/// For servers: valid for each of `names` (DNS names and IP literals).
base::Result<Credential> issue_server(const Credential& authority, const std::string& common_name,
                                      const std::vector<std::string>& names,
                                      const Validity& validity);

/// For clients: the identity's name becomes CN, its groups become O.
base::Result<Credential> issue_client(const Credential& authority, const Identity& identity,
                                      const Validity& validity);

struct CertificateInfo {
  Identity subject;                ///< CN and O
  std::vector<std::string> names;  ///< subject alternative names: DNS, then IP
  base::Instant not_before, not_after;
};

/// Reads the first certificate. InvalidArgument where there is none.
base::Result<CertificateInfo> read_certificate(const std::string& certificate_pem);

}  // namespace pelton::net
