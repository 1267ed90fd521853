// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "checkpoint/object_store.h"

namespace pelton::checkpoint {
namespace {

constexpr int64_t kPatienceSeconds = 120, kMostPatienceSeconds = 24 * 3600;
/// A try that stands still has failed after this part of the patience.
constexpr int64_t kSilencePart = 4;

bool is_bucket_name(std::string_view name) {
  return name.size() >= 3 && name.size() <= 63 && std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
         });
}

base::Status missing(const char* name, const char* what) {
  return base::invalid_argument(fmt::format("{}: is not set: {}", name, what));
}

}  // namespace

base::Result<StoreOptions> store_options(std::string_view url,
                                         const std::map<std::string, std::string>& environment) {
  const auto value_of = [&](const char* name) {
    const auto it = environment.find(name);
    return it == environment.end() ? std::string() : it->second;
  };
  StoreOptions options;
  if (!url.starts_with(kStoreScheme)) {
    return base::invalid_argument(fmt::format("{}: must be s3://BUCKET/PREFIX", url));
  }
  const std::string_view rest = url.substr(kStoreScheme.size());
  options.bucket = rest.substr(0, rest.find('/'));
  if (!is_bucket_name(options.bucket)) {
    return base::invalid_argument(fmt::format(
        "{}: \"{}\" is no name of a bucket: write s3://BUCKET/PREFIX", url, options.bucket));
  }
  options.access_key = value_of("AWS_ACCESS_KEY_ID");
  options.secret_key = value_of("AWS_SECRET_ACCESS_KEY");
  options.session_token = value_of("AWS_SESSION_TOKEN");
  options.ca_file = value_of("AWS_CA_BUNDLE");
  constexpr const char* kWhose = "the store wants the credentials of one who may write there";
  if (options.access_key.empty()) return missing("AWS_ACCESS_KEY_ID", kWhose);
  if (options.secret_key.empty()) return missing("AWS_SECRET_ACCESS_KEY", kWhose);
  std::string endpoint = value_of("AWS_ENDPOINT_URL_S3");
  if (endpoint.empty()) endpoint = value_of("AWS_ENDPOINT_URL");
  options.region = value_of("AWS_REGION");
  if (options.region.empty()) options.region = value_of("AWS_DEFAULT_REGION");
  if (options.region.empty() && endpoint.empty()) {
    return missing("AWS_REGION",
                   "name the bucket's region, or the store's address in AWS_ENDPOINT_URL");
  }
  if (options.region.empty()) options.region = "us-east-1";  // what stores that have none expect
  if (!endpoint.empty()) {
    if (!endpoint.starts_with("http://") && !endpoint.starts_with("https://")) {
      return base::invalid_argument(
          fmt::format("AWS_ENDPOINT_URL: \"{}\" must begin with http:// or https://", endpoint));
    }
    while (endpoint.ends_with('/')) endpoint.pop_back();
    options.url = endpoint + "/" + options.bucket;
  } else if (options.bucket.find('.') != std::string::npos) {  // no certificate has such a name
    options.url = fmt::format("https://s3.{}.amazonaws.com/{}", options.region, options.bucket);
  } else {
    options.url = fmt::format("https://{}.s3.{}.amazonaws.com", options.bucket, options.region);
  }
  int64_t seconds = kPatienceSeconds;
  if (const std::string given = value_of("PELTON_STORE_PATIENCE"); !given.empty()) {
    const auto number = base::parse_int(given);
    if (!number.ok() || *number < 1 || *number > kMostPatienceSeconds) {
      return base::invalid_argument(
          fmt::format("PELTON_STORE_PATIENCE: \"{}\" must be seconds from 1 to {}", given,
                      kMostPatienceSeconds));
    }
    seconds = *number;
  }
  options.patience = base::Duration::seconds(seconds);
  options.silence = std::max(options.patience / kSilencePart, base::Duration::seconds(1));
  return options;
}

}  // namespace pelton::checkpoint
