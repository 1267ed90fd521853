// SPDX-License-Identifier: Apache-2.0
// Which form of an answer a client accepts, and which form of a body it sent.
//
// kubectl asks "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"; client-go may put
// protobuf first with JSON behind it. The first form that we can give wins; we give JSON only.
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace pelton::apiserver {

enum class AnswerForm : uint8_t {
  Plain,                      ///< the object or list itself
  Table,                      ///< meta.k8s.io/v1 Table
  PartialObjectMetadata,      ///< metadata only
  PartialObjectMetadataList,  ///< metadata only
  Discovery,                  ///< apidiscovery.k8s.io/v2 APIGroupDiscoveryList
};

/// The form for an Accept header ("" accepts all). NotAcceptable where none of its types is JSON.
base::Result<AnswerForm> negotiate_answer(std::string_view accept);

/// "application/json; charset=utf-8" -> "application/json", lower case.
std::string media_type(std::string_view content_type);

}  // namespace pelton::apiserver
