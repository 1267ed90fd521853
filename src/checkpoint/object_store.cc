// SPDX-License-Identifier: Apache-2.0
#include "checkpoint/object_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/strings.h"
#include "checkpoint/crc32c.h"
#include "decide/checkpoint/retry.h"

namespace pelton::checkpoint {
namespace {

using base::Duration;
using base::Status;
using world::HttpCall;

constexpr size_t kDeletesAtOnce = 16;
constexpr int kLessPatience = 8;

std::string encoded(const std::string& key) {
  std::string path;
  for (const std::string_view part : base::split(key, '/')) {
    if (!path.empty() || part.data() != key.data()) path += '/';
    path += base::percent_encode(part);
  }
  return path;
}

std::string checksum_of(std::string_view bytes) {
  const uint32_t sum = crc32c(bytes);
  const char big_endian[] = {static_cast<char>(sum >> 24), static_cast<char>(sum >> 16),
                             static_cast<char>(sum >> 8), static_cast<char>(sum)};
  return base::base64_encode({big_endian, sizeof big_endian});
}

/// A 200 may carry an error all the same (CompleteMultipartUpload, once it has begun to answer).
bool is_error_in_success(const HttpCall& call) {
  return call.status == 200 && call.text.find("<Error>") != std::string::npos;
}

bool is_success(const HttpCall& call) {
  return call.status / 100 == 2 && !is_error_in_success(call);
}

Duration retry_after(const HttpCall& call) {
  const auto it = call.answered.find("retry-after");
  if (it == call.answered.end()) return {};
  const auto seconds = base::parse_int(it->second);
  return Duration::seconds(seconds.ok() ? std::clamp<int64_t>(*seconds, 0, 3600) : 0);
}

struct Advice {
  std::string_view code;  ///< S3's
  base::Code ours;
  std::string_view next_step;
};
constexpr Advice kAdvice[] = {
    {"NoSuchBucket", base::Code::FailedPrecondition,
     "make the bucket, or correct its name or AWS_ENDPOINT_URL"},
    {"InvalidAccessKeyId", base::Code::Unauthenticated,
     "AWS_ACCESS_KEY_ID names no key there: correct it"},
    {"SignatureDoesNotMatch", base::Code::Unauthenticated,
     "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID: correct it"},
    {"ExpiredToken", base::Code::Unauthenticated,
     "AWS_SESSION_TOKEN has expired: get new credentials"},
    {"InvalidToken", base::Code::Unauthenticated,
     "AWS_SESSION_TOKEN does not belong to AWS_ACCESS_KEY_ID: get new credentials"},
    {"AccessDenied", base::Code::Forbidden,
     "allow this to the owner of AWS_ACCESS_KEY_ID, or use another's"},
    {"PermanentRedirect", base::Code::FailedPrecondition,
     "the bucket is in another region: set AWS_REGION to it"},
    {"AuthorizationHeaderMalformed", base::Code::FailedPrecondition,
     "the bucket is in another region: set AWS_REGION to it"},
    {"RequestTimeTooSkewed", base::Code::FailedPrecondition, "set this machine's clock"},
    {"QuotaExceeded", base::Code::ResourceExhausted, "make room in the store"},
};

const Advice& advice_for(const std::string& code, int status) {
  static constexpr Advice kOther{"", base::Code::Unavailable, "see whether the store is well"};
  for (const Advice& each : kAdvice) {
    if (each.code == code) return each;
  }
  if (status == 403) return advice_for("AccessDenied", 0);
  if (status == 301) return advice_for("PermanentRedirect", 0);
  if (status == 507) return advice_for("QuotaExceeded", 0);
  return kOther;
}

}  // namespace

ObjectStore::ObjectStore(StoreOptions options, std::unique_ptr<world::HttpClient> client)
    : options_(std::move(options)), client_(std::move(client)) {}

/// `query` with its names sorted and its values encoded, as it is signed.
HttpCall ObjectStore::call(std::string method, const std::string& key, std::string query) const {
  HttpCall made;
  made.method = std::move(method);
  made.url = options_.url + "/" + encoded(key);
  if (!query.empty()) made.url += "?" + query;
  // The bytes have checksums of their own (ours, and CRC-32C on the way).
  made.headers.push_back("x-amz-content-sha256: UNSIGNED-PAYLOAD");
  if (!options_.session_token.empty()) {
    made.headers.push_back("x-amz-security-token: " + options_.session_token);
  }
  return made;
}

ObjectStore::Outcome ObjectStore::perform(std::vector<HttpCall>& calls) {
  Outcome outcome;
  const Duration patience = is_down_ ? options_.patience / kLessPatience : options_.patience;
  bool has_given_up = false;
  client_->perform(calls, [&](const HttpCall& call, int tries, Duration elapsed) {
    decide::checkpoint::Tried tried;
    tried.status = call.status;
    // S3's 400 RequestTimeout: the body did not come in time.
    tried.is_transient =
        is_error_in_success(call) ||
        (call.status == 400 && call.text.find("<Code>RequestTimeout<") != std::string::npos);
    tried.tries = tries;
    tried.elapsed = elapsed;
    tried.asked = retry_after(call);
    tried.jitter = base::hash64(call.url, static_cast<uint64_t>(elapsed.ns()));
    const auto delay = decide::checkpoint::decide_again(tried, patience);
    const bool is_transient = tried.status == 0 || tried.status >= 500 || tried.is_transient;
    if (delay && is_transient) outcome.may_have_happened = true;
    if (!delay && is_transient) has_given_up = true;
    outcome.tries = std::max(outcome.tries, tries);
    outcome.elapsed = std::max(outcome.elapsed, elapsed);
    return delay;
  });
  is_down_ = has_given_up;
  return outcome;
}

ObjectStore::Outcome ObjectStore::perform(HttpCall& call) {
  std::vector<HttpCall> calls;
  calls.push_back(std::move(call));
  const Outcome outcome = perform(calls);
  call = std::move(calls.front());
  return outcome;
}

Status ObjectStore::error_of(const HttpCall& call, const Outcome& outcome) const {
  const size_t base_size = std::min(call.url.size(), options_.url.size() + 1);
  const std::string path = call.url.substr(base_size, call.url.find('?') - base_size);
  const std::string object =
      fmt::format("{}{}/{}", kStoreScheme, options_.bucket, base::percent_decode(path));
  const std::string tried =
      outcome.tries < 2
          ? ""
          : fmt::format(" ({} tries in {:.1f} s)", outcome.tries, outcome.elapsed.to_seconds());
  if (call.status == 0) {
    return base::unavailable(
        fmt::format("{}: {} got no answer from {}: {}{}: see whether the "
                    "store is up and AWS_ENDPOINT_URL is right",
                    object, call.method, options_.url, call.failure, tried));
  }
  const StoreError error = store_error_of(call.text);
  if (call.status == 404 && (error.code.empty() || error.code == "NoSuchKey")) {
    return base::not_found(fmt::format("{}: there is no such object", object));
  }
  const Advice& advice = advice_for(error.code, call.status);
  std::string text = fmt::format("{}: {}: {} {}", object, call.method, call.status, error.code);
  if (!error.message.empty()) text += " (" + error.message + ")";
  text += fmt::format("{}: {}", tried, advice.next_step);
  if (!error.region.empty()) text += " (" + error.region + ")";
  return {advice.ours, std::move(text)};
}

Status ObjectStore::put(const std::string& key, std::string_view bytes, bool is_new,
                        Outcome& outcome) {
  HttpCall made = call("PUT", key);
  made.body = bytes;
  made.headers.push_back("x-amz-checksum-crc32c: " + checksum_of(bytes));
  if (is_new) made.headers.push_back("If-None-Match: *");
  outcome = perform(made);
  if (is_success(made)) return base::ok();
  Status error = error_of(made, outcome);
  if (made.status != 412) return error;
  return {base::Code::AlreadyExists, error.message()};
}

Status ObjectStore::put(const std::string& key, std::string_view bytes) {
  Outcome outcome;
  return put(key, bytes, false, outcome);
}

Status ObjectStore::create(const std::string& key, std::string_view bytes) {
  Outcome outcome;
  Status status = put(key, bytes, true, outcome);
  if (status.code() == base::Code::Unavailable) {
    return {base::Code::OutcomeUnknown, status.message()};  // a try may have come through
  }
  if (status.code() != base::Code::AlreadyExists || !outcome.may_have_happened) return status;
  // Was it we, before the answer was lost?
  std::string found(bytes.size() + 1, '\0');
  PELTON_ASSIGN(const size_t size, get(key, 0, found.data(), found.size()));
  found.resize(size);
  return found == bytes ? base::ok() : status;
}

base::Result<size_t> ObjectStore::get(const std::string& key, uint64_t offset, char* to,
                                      size_t size) {
  if (size == 0) return size_t{0};
  HttpCall made = call("GET", key);
  made.headers.push_back(fmt::format("Range: bytes={}-{}", offset, offset + size - 1));
  made.to = to;
  made.room = size;
  const Outcome outcome = perform(made);
  if (made.status == 416) return size_t{0};
  if (made.status == 206 || (made.status == 200 && offset == 0)) return made.got;
  if (is_success(made)) {
    return Status(base::Code::Unimplemented,
                  fmt::format("{}{}/{}: the store does not honour Range: use one that does",
                              kStoreScheme, options_.bucket, key));
  }
  return error_of(made, outcome);
}

base::Result<std::optional<uint64_t>> ObjectStore::size_of(const std::string& key) {
  HttpCall made = call("HEAD", key);
  const Outcome outcome = perform(made);
  if (made.status == 404) return std::optional<uint64_t>();
  if (!is_success(made)) return error_of(made, outcome);
  const auto size = base::parse_int(made.answered["content-length"]);
  return std::optional<uint64_t>(size.ok() && *size > 0 ? static_cast<uint64_t>(*size) : 0);
}

base::Result<ListPage> ObjectStore::list(const std::string& prefix, bool is_flat) {
  ListPage all;
  std::string token;
  do {
    std::string query;
    if (!token.empty()) query += "continuation-token=" + base::percent_encode(token) + "&";
    if (!is_flat) query += "delimiter=%2F&";
    query += "list-type=2&prefix=" + base::percent_encode(prefix);
    HttpCall made = call("GET", "", query);
    const Outcome outcome = perform(made);
    if (!is_success(made)) return error_of(made, outcome);
    auto page = list_page_of(made.text);
    if (!page.ok()) return Status(page.error()).with(kStoreScheme.data() + options_.bucket);
    std::move(page->objects.begin(), page->objects.end(), std::back_inserter(all.objects));
    std::move(page->prefixes.begin(), page->prefixes.end(), std::back_inserter(all.prefixes));
    if (page->next == token && !token.empty()) {
      return Status(base::Code::DataLoss, kStoreScheme.data() + options_.bucket +
                                              ": the store's list does not go on: the same "
                                              "continuation token comes again");
    }
    token = page->next;
  } while (!token.empty());
  return all;
}

Status ObjectStore::each_of(std::vector<HttpCall> calls) {
  Status first;
  for (size_t at = 0; at < calls.size(); at += kDeletesAtOnce) {
    std::vector<HttpCall> some;
    for (size_t i = at; i < std::min(calls.size(), at + kDeletesAtOnce); ++i) {
      some.push_back(std::move(calls[i]));
    }
    const Outcome outcome = perform(some);
    for (const HttpCall& each : some) {
      if (!is_success(each) && each.status != 404 && first.ok()) first = error_of(each, outcome);
    }
    if (!first.ok()) break;
  }
  return first;
}

Status ObjectStore::remove(const std::vector<std::string>& keys) {
  std::vector<HttpCall> calls;
  for (const std::string& key : keys) calls.push_back(call("DELETE", key));
  return each_of(std::move(calls));
}

base::Result<std::string> ObjectStore::begin_upload(const std::string& key) {
  HttpCall made = call("POST", key, "uploads=");
  made.headers.push_back("x-amz-checksum-algorithm: CRC32C");
  const Outcome outcome = perform(made);
  if (!is_success(made)) return error_of(made, outcome);
  return upload_id_of(made.text);
}

base::Result<ObjectStore::Part> ObjectStore::upload_part(const Upload& upload, size_t number,
                                                         std::string_view bytes) {
  Part part{"", checksum_of(bytes)};
  HttpCall made =
      call("PUT", upload.key,
           fmt::format("partNumber={}&uploadId={}", number, base::percent_encode(upload.id)));
  made.body = bytes;
  made.headers.push_back("x-amz-checksum-crc32c: " + part.checksum);
  const Outcome outcome = perform(made);
  if (!is_success(made)) return error_of(made, outcome);
  part.etag = made.answered["etag"];
  return part;
}

Status ObjectStore::complete(const Upload& upload, const std::vector<Part>& parts, uint64_t size) {
  std::string body = "<CompleteMultipartUpload>";
  for (size_t i = 0; i < parts.size(); ++i) {
    body += fmt::format(
        "<Part><ChecksumCRC32C>{}</ChecksumCRC32C><ETag>{}</ETag><PartNumber>{}</PartNumber></"
        "Part>",
        parts[i].checksum, parts[i].etag, i + 1);
  }
  body += "</CompleteMultipartUpload>";
  HttpCall made = call("POST", upload.key, "uploadId=" + base::percent_encode(upload.id));
  made.body = body;
  const Outcome outcome = perform(made);
  if (is_success(made)) return base::ok();
  // The upload is gone once it is complete: was it we, before the answer was lost?
  if (made.status == 404 && outcome.may_have_happened) {
    PELTON_ASSIGN(const auto found, size_of(upload.key));
    if (found == size) return base::ok();
  }
  return error_of(made, outcome);
}

Status ObjectStore::abort(const std::vector<Upload>& uploads) {
  std::vector<HttpCall> calls;
  for (const Upload& each : uploads) {
    calls.push_back(call("DELETE", each.key, "uploadId=" + base::percent_encode(each.id)));
  }
  return each_of(std::move(calls));
}

base::Result<std::vector<Upload>> ObjectStore::uploads(const std::string& prefix) {
  std::vector<Upload> all;
  Upload next;
  for (;;) {
    std::string query;
    if (!next.key.empty()) query += "key-marker=" + base::percent_encode(next.key) + "&";
    query += "prefix=" + base::percent_encode(prefix) + "&";
    if (!next.key.empty()) {
      query += "upload-id-marker=" + base::percent_encode(next.id) + "&";
    }
    HttpCall made = call("GET", "", query + "uploads=");
    const Outcome outcome = perform(made);
    if (!is_success(made)) return error_of(made, outcome);
    PELTON_ASSIGN(const auto page, uploads_page_of(made.text));
    all.insert(all.end(), page.uploads.begin(), page.uploads.end());
    if (page.is_last || (page.next.key == next.key && page.next.id == next.id)) return all;
    next = page.next;
  }
}

Status ObjectStore::check_create(const std::string& key) {
  constexpr std::string_view kText = "does the store honour If-None-Match?\n";
  Status status = create(key, kText);
  // Now it is there for certain, and other bytes are never taken for these.
  if (status.ok()) status = create(key, "it does not\n");
  if (status.code() == base::Code::AlreadyExists) return base::ok();
  if (!status.ok() && status.message().find("NotImplemented") == std::string::npos) return status;
  return {
      base::Code::FailedPrecondition, "NoConditionalPut",
      fmt::format("{}{}/{}: {} does not honour a PUT with If-None-Match: two attempts of a job "
                  "could both commit there. Use a store that does (Amazon S3, MinIO, SeaweedFS, "
                  "recent Ceph), or a directory",
                  kStoreScheme, options_.bucket, key, options_.url)};
}

}  // namespace pelton::checkpoint
