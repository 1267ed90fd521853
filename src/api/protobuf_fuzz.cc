// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>

#include "api/protobuf.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes("k8s\0", 4);
  bytes.append(reinterpret_cast<const char*>(data), size);
  auto value = pelton::api::parse_protobuf(bytes);
  // Whatever is accepted can be said as JSON.
  if (value.ok() && !pelton::base::Json::parse(value->dump()).ok()) __builtin_trap();
  return 0;
}
