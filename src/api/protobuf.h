// SPDX-License-Identifier: Apache-2.0
// Kubernetes' protobuf encoding of objects, read into the same JSON as everything else.
//
// Go's typed clients (kubectl create is one) send it. Only requests are read; answers are JSON,
// which every client accepts. Field numbers come from a generated table (api/tables/wire.cc), types
// from the table of fields. Pure; the bytes are untrusted.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "base/json.h"
#include "base/status.h"

namespace pelton::api {

/// "application/vnd.kubernetes.protobuf".
inline constexpr std::string_view kProtobufMediaType = "application/vnd.kubernetes.protobuf";

/// Reads one object in its envelope (magic bytes, runtime.Unknown with apiVersion, kind and the
/// object). InvalidArgument: no envelope, a kind without protobuf form, bytes that are no such
/// message, nesting deeper than 64, text that is not UTF-8.
base::Result<base::Json> parse_protobuf(std::string_view bytes);

/// One field of a message on the wire.
struct WireField {
  uint32_t number;
  std::string_view json_name;  ///< "" where the field's message is inlined
  int inlined;                 ///< index of the inlined message, or -1
  bool omits_zero;  ///< a zero (or empty text) means that it was not set: no pointer in Go
};

struct WireMessage {
  std::string_view type_name;  ///< as in the table of fields: "io.k8s.api.core.v1.Pod"
  std::span<const WireField> fields;
};

/// Sorted by type name.
std::span<const WireMessage> wire_messages();

}  // namespace pelton::api
