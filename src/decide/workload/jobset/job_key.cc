// SPDX-License-Identifier: Apache-2.0
#include <openssl/sha.h>

#include "base/strings.h"
#include "decide/workload/jobset/children.h"

namespace pelton::decide::workload {

std::string job_key(std::string_view namespace_name, std::string_view job_name) {
  std::string text(namespace_name);
  text.append("/").append(job_name);
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base::hex_encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

}  // namespace pelton::decide::workload
