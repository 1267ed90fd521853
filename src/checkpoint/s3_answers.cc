// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/s3_answers.h"

#include <pugixml.hpp>

#include "base/strings.h"

namespace pelton::checkpoint {
namespace {

/// The document's element, if it is the one that is meant.
base::Result<pugi::xml_node> parsed(pugi::xml_document& document, std::string_view xml,
                                    const char* name) {
  const auto result = document.load_buffer(xml.data(), xml.size());
  const pugi::xml_node node = document.child(name);
  if (result && node) return node;
  return base::Status(base::Code::DataLoss,
                      std::string("the store's answer is no ") + name + ": " +
                          (result ? "it is something else" : result.description()));
}

std::string text_of(const pugi::xml_node& node, const char* name) {
  return node.child(name).text().as_string();
}

bool is_true(const pugi::xml_node& node, const char* name) {
  return text_of(node, name) == "true";
}

}  // namespace

base::Result<ListPage> list_page_of(std::string_view xml) {
  pugi::xml_document document;
  PELTON_ASSIGN(const pugi::xml_node list, parsed(document, xml, "ListBucketResult"));
  ListPage page;
  for (const pugi::xml_node& each : list.children("Contents")) {
    const auto size = base::parse_int(text_of(each, "Size"));
    page.objects.push_back(
        {text_of(each, "Key"), size.ok() && *size > 0 ? static_cast<uint64_t>(*size) : 0});
  }
  for (const pugi::xml_node& each : list.children("CommonPrefixes")) {
    page.prefixes.push_back(text_of(each, "Prefix"));
  }
  if (is_true(list, "IsTruncated")) {
    page.next = text_of(list, "NextContinuationToken");
    if (page.next.empty()) {
      return base::Status(base::Code::DataLoss,
                          "the store's ListBucketResult is truncated without a "
                          "NextContinuationToken: does it know ListObjectsV2?");
    }
  }
  return page;
}

base::Result<UploadsPage> uploads_page_of(std::string_view xml) {
  pugi::xml_document document;
  PELTON_ASSIGN(const pugi::xml_node list, parsed(document, xml, "ListMultipartUploadsResult"));
  UploadsPage page;
  for (const pugi::xml_node& each : list.children("Upload")) {
    page.uploads.push_back({text_of(each, "Key"), text_of(each, "UploadId")});
  }
  page.next = {text_of(list, "NextKeyMarker"), text_of(list, "NextUploadIdMarker")};
  page.is_last = !is_true(list, "IsTruncated") || page.next.key.empty();
  return page;
}

base::Result<std::string> upload_id_of(std::string_view xml) {
  pugi::xml_document document;
  PELTON_ASSIGN(const pugi::xml_node made, parsed(document, xml, "InitiateMultipartUploadResult"));
  std::string id = text_of(made, "UploadId");
  if (id.empty()) {
    return base::Status(base::Code::DataLoss, "the store's answer names no UploadId");
  }
  return id;
}

StoreError store_error_of(std::string_view xml) {
  pugi::xml_document document;
  const auto error = parsed(document, xml, "Error");
  if (!error.ok()) return {};
  return {text_of(*error, "Code"), text_of(*error, "Message"), text_of(*error, "Region")};
}

}  // namespace pelton::checkpoint
