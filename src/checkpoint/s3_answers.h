// SPDX-License-Identifier: Apache-2.0
// What an S3-compatible store says, out of its XML. It comes from a network: any text is fine here.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pelton::checkpoint {

struct Object {
  std::string key;
  uint64_t size = 0;
};
/// A part of a listing (ListObjectsV2).
struct ListPage {
  std::vector<Object> objects;
  std::vector<std::string> prefixes;  ///< with the delimiter at their end
  std::string next;                   ///< continuation token; empty: this was the last
};
/// DataLoss says what is wrong: another document, a truncated list that names no next one.
base::Result<ListPage> list_page_of(std::string_view xml);

/// A multipart upload that has not been completed.
struct Upload {
  std::string key, id;
};
/// ListMultipartUploads.
struct UploadsPage {
  std::vector<Upload> uploads;
  bool is_last = true;
  Upload next;  ///< where the next page begins
};
base::Result<UploadsPage> uploads_page_of(std::string_view xml);

/// The UploadId of CreateMultipartUpload. DataLoss: there is none.
base::Result<std::string> upload_id_of(std::string_view xml);

/// An <Error>; all empty where it is none.
struct StoreError {
  std::string code, message, region;
};
StoreError store_error_of(std::string_view xml);

}  // namespace pelton::checkpoint
