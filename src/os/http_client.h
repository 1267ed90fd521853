// SPDX-License-Identifier: Apache-2.0
// HTTP calls by libcurl, signed for a cloud's API (AWS Signature Version 4).
//
// libcurl is loaded when the first client is made, and not linked: this code also runs inside other
// people's programs, whose machine has it only where it is needed.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "base/time.h"
#include "world/http_client.h"

namespace pelton::os {

struct HttpClientOptions {
  std::string access_key, secret_key;
  std::string signing;     ///< libcurl's CURLOPT_AWS_SIGV4: "aws:amz:us-east-1:s3"
  std::string ca_file;     ///< of certificates to trust; empty: the system's
  base::Duration silence;  ///< a try during which so long no byte moves has failed
};

/// Unavailable: this machine has no libcurl, or one without signatures (older than 7.75); says
/// which package to install. Made after a fork: its connections do not survive one.
base::Result<std::unique_ptr<world::HttpClient>> make_http_client(HttpClientOptions options);

}  // namespace pelton::os
