// SPDX-License-Identifier: Apache-2.0
#include "apiserver/media_type.h"

#include "apiserver/api_status.h"
#include "base/strings.h"

namespace pelton::apiserver {

namespace {
/// The value of ;name=value in one element of an Accept header.
std::string parameter(std::string_view element, std::string_view name) {
  for (std::string_view piece : base::split(element, ';')) {
    piece = base::trim(piece);
    const size_t equals = piece.find('=');
    if (equals != std::string_view::npos &&
        base::equals_ignore_case(base::trim(piece.substr(0, equals)), name)) {
      return std::string(base::trim(piece.substr(equals + 1)));
    }
  }
  return {};
}

/// Whether this element of Accept is a form of JSON that we have; sets `form`.
bool can_give(std::string_view element, AnswerForm& form) {
  const std::string type = media_type(element);
  if (type == "*/*" || type == "application/*") {
    form = AnswerForm::Plain;
    return true;
  }
  if (type != "application/json") return false;
  const std::string as = parameter(element, "as");
  const std::string group = parameter(element, "g");
  const std::string version = parameter(element, "v");
  if (as.empty()) {
    form = AnswerForm::Plain;
    return true;
  }
  if (group == "apidiscovery.k8s.io" && version == "v2" && as == "APIGroupDiscoveryList") {
    form = AnswerForm::Discovery;
    return true;
  }
  if (group != "meta.k8s.io" || version != "v1") return false;
  if (as == "Table") {
    form = AnswerForm::Table;
  } else if (as == "PartialObjectMetadata") {
    form = AnswerForm::PartialObjectMetadata;
  } else if (as == "PartialObjectMetadataList") {
    form = AnswerForm::PartialObjectMetadataList;
  } else {
    return false;
  }
  return true;
}
}  // namespace

std::string media_type(std::string_view content_type) {
  return base::to_lower(base::trim(content_type.substr(0, content_type.find(';'))));
}

base::Result<AnswerForm> negotiate_answer(std::string_view accept) {
  if (base::trim(accept).empty()) return AnswerForm::Plain;
  AnswerForm form = AnswerForm::Plain;
  for (std::string_view element : base::split(accept, ',')) {
    if (can_give(base::trim(element), form)) return form;
  }
  return not_acceptable("application/json");
}

}  // namespace pelton::apiserver
