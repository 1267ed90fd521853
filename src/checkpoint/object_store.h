// SPDX-License-Identifier: Apache-2.0
// An S3-compatible object store: one bucket, as a checkpoint needs it.
//
// Calls block until the store has answered, or for as long as the patience lasts: what may change
// is tried again (decide/checkpoint/retry.h). So they are made where waiting is fine: on the loop
// of a checkpointer, which is a thread of its own, and on threads beside it. Any thread.
//
// Errors name operation, bucket, key, the store's status and the next step: Unauthenticated and
// Forbidden (credentials), FailedPrecondition (no such bucket, another region), Unavailable (no
// answer, or not a good one, within the patience).
#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "checkpoint/s3_answers.h"
#include "world/http_client.h"

namespace pelton::checkpoint {

inline constexpr std::string_view kStoreScheme = "s3://";

struct StoreOptions {
  std::string bucket;
  std::string url;  ///< of the bucket: "https://bucket.s3.eu-west-1.amazonaws.com"
  std::string region, access_key, secret_key, session_token, ca_file;
  base::Duration patience;  ///< with one call, all its tries together
  base::Duration silence;   ///< with one try that stands still
};
/// For "s3://bucket/prefix", from the variables that all tools of the field know:
/// AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL (then the bucket is named in the path), AWS_REGION or
/// AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_CA_BUNDLE;
/// and ours, PELTON_STORE_PATIENCE, in seconds. InvalidArgument names the variable or what is wrong
/// in the URL.
base::Result<StoreOptions> store_options(std::string_view url,
                                         const std::map<std::string, std::string>& environment);

class ObjectStore {
 public:
  struct Part {
    std::string etag, checksum;
  };

  ObjectStore(StoreOptions options, std::unique_ptr<world::HttpClient> client);

  const std::string& bucket() const { return options_.bucket; }

  base::Status put(const std::string& key, std::string_view bytes);
  /// AlreadyExists where the key is there: of several who create it, one succeeds. Who loses the
  /// store's answer looks whose bytes are there; so bytes that are equal to ours count as ours.
  base::Status create(const std::string& key, std::string_view bytes);
  /// Up to `size` bytes; fewer at the end of the object. NotFound.
  base::Result<size_t> get(const std::string& key, uint64_t offset, char* to, size_t size);
  /// Absent: there is no such object.
  base::Result<std::optional<uint64_t>> size_of(const std::string& key);
  /// All objects whose key begins with `prefix`; with is_flat false only up to the next '/', the
  /// rest as prefixes.
  base::Result<ListPage> list(const std::string& prefix, bool is_flat);
  /// Absent ones are fine.
  base::Status remove(const std::vector<std::string>& keys);

  /// A multipart upload: parts are numbered from 1, all but the last of at least 5 MiB, in any
  /// order.
  base::Result<std::string> begin_upload(const std::string& key);
  base::Result<Part> upload_part(const Upload& upload, size_t number, std::string_view bytes);
  base::Status complete(const Upload& upload, const std::vector<Part>& parts, uint64_t size);
  base::Status abort(const std::vector<Upload>& uploads);
  base::Result<std::vector<Upload>> uploads(const std::string& prefix);

  /// FailedPrecondition: the store does not honour If-None-Match, so create() means nothing there.
  /// Leaves an object at `key`.
  base::Status check_create(const std::string& key);

 private:
  /// What the tries of some calls came to.
  struct Outcome {
    int tries = 0;
    base::Duration elapsed;
    bool may_have_happened = false;  ///< a try without an answer, or with one that says nothing
  };
  world::HttpCall call(std::string method, const std::string& key, std::string query = "") const;
  Outcome perform(std::vector<world::HttpCall>& calls);
  Outcome perform(world::HttpCall& call);
  base::Status put(const std::string& key, std::string_view bytes, bool is_new, Outcome& outcome);
  base::Status each_of(std::vector<world::HttpCall> calls);
  base::Status error_of(const world::HttpCall& call, const Outcome& outcome) const;

  const StoreOptions options_;
  const std::unique_ptr<world::HttpClient> client_;
  /// The last call gave up: those after it give up sooner, until one succeeds.
  std::atomic<bool> is_down_ = false;
};

}  // namespace pelton::checkpoint
