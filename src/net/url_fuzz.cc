// SPDX-License-Identifier: Apache-2.0
// A URL that is accepted is accepted again from its parts, with the same meaning.
#include <cstdint>

#include "net/url.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto url = pelton::net::parse_url({reinterpret_cast<const char*>(data), size});
  if (!url.ok()) return 0;
  const auto again = pelton::net::parse_url(url->scheme + "://" + url->authority() + url->target);
  PELTON_CHECK(again.ok() && again->port == url->port && again->target == url->target);
  return 0;
}
