// SPDX-License-Identifier: Apache-2.0
// Against a store in memory that does what it is told to, wrong things too.
#include "checkpoint/object_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <set>

#include "base/strings.h"
#include "checkpoint/crc32c.h"

namespace pelton::checkpoint {
namespace {

using ::testing::HasSubstr;
using world::HttpCall;

/// Objects by path; lists two names a page. Each try takes a fault from the front, if there is one.
class FakeStore final : public world::HttpClient {
 public:
  enum class Fault { None, Lost, Error500, SlowDown, ErrorIn200 };

  void perform(std::vector<HttpCall>& calls, const world::TryAgain& again) override {
    for (HttpCall& call : calls) {
      base::Duration elapsed;
      for (int tries = 1;; ++tries) {
        attempt(call);
        const auto delay = again(call, tries, elapsed);
        if (!delay) break;
        elapsed = elapsed + *delay;
      }
    }
  }

  std::map<std::string, std::string> objects;
  std::set<std::string> uploads;
  std::deque<Fault> faults;
  std::vector<std::string> seen;
  bool is_conditional = true;
  std::string refusal;  ///< the code of a 403 to everything

 private:
  void attempt(HttpCall& call) {
    call.status = 0;
    call.text.clear();
    call.got = 0;
    call.answered.clear();
    call.failure = "the connection ended";
    const Fault fault = faults.empty() ? Fault::None : faults.front();
    if (!faults.empty()) faults.pop_front();
    const std::string path = call.url.substr(std::string_view("http://store/bucket/").size());
    seen.push_back(call.method + " " + path);
    if (fault == Fault::Error500)
      return answer(call, 500, "<Error><Code>InternalError</Code></Error>");
    if (fault == Fault::SlowDown) return answer(call, 503, "<Error><Code>SlowDown</Code></Error>");
    if (!refusal.empty()) {
      return answer(call, 403, "<Error><Code>" + refusal + "</Code></Error>");
    }
    serve(call, path.substr(0, path.find('?')), path);
    if (fault == Fault::Lost) call.status = 0;
    if (fault == Fault::ErrorIn200) answer(call, 200, "<Error><Code>InternalError</Code></Error>");
  }

  static void answer(HttpCall& call, int status, std::string text = "") {
    call.status = status;
    call.text = std::move(text);
  }

  void serve(HttpCall& call, const std::string& key, const std::string& path) {
    const bool is_new = std::find(call.headers.begin(), call.headers.end(), "If-None-Match: *") !=
                        call.headers.end();
    if (path.find("uploadId=") != std::string::npos && call.method == "POST") {
      if (uploads.erase(key) == 0) {
        return answer(call, 404, "<Error><Code>NoSuchUpload</Code></Error>");
      }
      objects[key] = "whole";
      return answer(call, 200, "<CompleteMultipartUploadResult/>");
    }
    if (path.find("list-type=2") != std::string::npos) return list(call, path);
    if (call.method == "PUT") {
      if (is_new && is_conditional && objects.contains(key)) {
        return answer(call, 412, "<Error><Code>PreconditionFailed</Code></Error>");
      }
      objects[key] = call.body;
      return answer(call, 200);
    }
    const auto it = objects.find(key);
    if (it == objects.end()) return answer(call, 404, "<Error><Code>NoSuchKey</Code></Error>");
    call.answered["content-length"] = std::to_string(it->second.size());
    answer(call, call.method == "GET" ? 206 : 200);
    if (call.method == "GET") {
      call.got = std::min(call.room, it->second.size());
      std::copy_n(it->second.begin(), call.got, call.to);
    }
  }

  void list(HttpCall& call, const std::string& path) {
    std::string after;
    if (const size_t at = path.find("continuation-token="); at != std::string::npos) {
      after = base::percent_decode(path.substr(at + 19, path.find('&', at) - at - 19));
    }
    std::string text = "<ListBucketResult>", last;
    auto it = objects.upper_bound(after);
    for (int i = 0; i < 2 && it != objects.end(); ++i, ++it) {
      text += "<Contents><Key>" + it->first + "</Key><Size>" + std::to_string(it->second.size()) +
              "</Size></Contents>";
      last = it->first;
    }
    if (it != objects.end()) {
      text += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + last +
              "</NextContinuationToken>";
    }
    answer(call, 200, text + "</ListBucketResult>");
  }
};

using Fault = FakeStore::Fault;

class Store : public ::testing::Test {
 protected:
  Store() {
    auto fake = std::make_unique<FakeStore>();
    fake_ = fake.get();
    StoreOptions options;
    options.bucket = "bucket";
    options.url = "http://store/bucket";
    options.patience = base::Duration::seconds(10);
    store_ = std::make_unique<ObjectStore>(options, std::move(fake));
  }
  FakeStore* fake_;
  std::unique_ptr<ObjectStore> store_;
};

TEST_F(Store, OfSeveralWhoCreateAKeyOneSucceeds) {
  EXPECT_TRUE(store_->create("log/1", "a").ok());
  EXPECT_EQ(store_->create("log/1", "b").code(), base::Code::AlreadyExists);
  EXPECT_EQ(fake_->objects["log/1"], "a");
}

TEST_F(Store, AnAnswerThatIsLostIsNoLostRace) {
  fake_->faults = {Fault::Lost};
  EXPECT_TRUE(store_->create("log/1", "mine").ok());
  fake_->objects["log/2"] = "theirs";
  fake_->faults = {Fault::Lost, Fault::Error500};
  EXPECT_EQ(store_->create("log/2", "mine").code(), base::Code::AlreadyExists);
  EXPECT_EQ(store_->create("log/1", "mine").code(), base::Code::AlreadyExists)
      << "without a lost answer it was somebody else";
}

TEST_F(Store, WhereNoAnswerComesTheOutcomeIsUnknownAndTheErrorSaysWhatToDo) {
  fake_->faults.assign(100, Fault::Lost);
  const base::Status status = store_->create("log/1", "mine");
  EXPECT_EQ(status.code(), base::Code::OutcomeUnknown);
  EXPECT_THAT(status.message(), HasSubstr("s3://bucket/log/1: PUT got no answer"));
  EXPECT_THAT(status.message(), HasSubstr("the connection ended"));
  EXPECT_THAT(status.message(), HasSubstr("tries in"));
  const size_t tries = fake_->seen.size();
  fake_->seen.clear();
  EXPECT_FALSE(store_->put("x", "y").ok());
  EXPECT_LT(fake_->seen.size(), tries) << "a store that is down is not waited for as long again";
}

TEST_F(Store, WhatPassesIsTriedAgain) {
  fake_->faults = {Fault::Error500, Fault::SlowDown, Fault::Lost};
  EXPECT_TRUE(store_->put("x", "y").ok());
  EXPECT_EQ(fake_->seen.size(), 4u);
}

TEST_F(Store, ACompletedUploadWhoseAnswerIsLostIsComplete) {
  const Upload upload{"data", "u"};
  fake_->uploads = {"data"};
  fake_->faults = {Fault::ErrorIn200};
  EXPECT_TRUE(store_->complete(upload, {{"e", "c"}}, 5).ok()) << "completed, and an error in a 200";
  fake_->objects.clear();
  EXPECT_FALSE(store_->complete(upload, {{"e", "c"}}, 5).ok()) << "somebody aborted it";
  fake_->uploads = {"data"};
  fake_->faults = {Fault::Lost};
  EXPECT_FALSE(store_->complete(upload, {{"e", "c"}}, 6).ok()) << "an object of another size";
}

TEST_F(Store, AListIsReadToItsLastPage) {
  for (const char* key : {"p/a", "p/b", "p/c", "p/d", "p/e +&"}) fake_->objects[key] = "xy";
  const auto page = store_->list("p/", true);
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->objects.size(), 5u);
  EXPECT_EQ(page->objects[4].key, "p/e +&");
  EXPECT_EQ(page->objects[4].size, 2u);
  EXPECT_EQ(fake_->seen[2], "GET ?continuation-token=p%2Fd&list-type=2&prefix=p%2F");
}

TEST_F(Store, OneThatIgnoresTheConditionIsRefused) {
  EXPECT_TRUE(store_->check_create("probe").ok());
  fake_->faults = {Fault::Lost, Fault::None, Fault::None, Fault::Lost};
  EXPECT_TRUE(store_->check_create("other").ok()) << "lost answers change nothing";
  fake_->is_conditional = false;
  const base::Status status = store_->check_create("probe");
  EXPECT_EQ(status.code(), base::Code::FailedPrecondition);
  EXPECT_THAT(status.message(), HasSubstr("If-None-Match"));
}

TEST_F(Store, RefusalsNameTheVariableToCorrect) {
  for (const auto& [code, text] : std::vector<std::pair<std::string, std::string>>{
           {"InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"},
           {"SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"},
           {"ExpiredToken", "AWS_SESSION_TOKEN"},
           {"AccessDenied", "allow this to the owner"}}) {
    fake_->refusal = code;
    const base::Status status = store_->put("x", "y");
    EXPECT_THAT(status.message(), HasSubstr("s3://bucket/x: PUT: 403 " + code));
    EXPECT_THAT(status.message(), HasSubstr(text));
  }
  EXPECT_EQ(fake_->seen.size(), 4u) << "none is tried again";
}

TEST(StoreOptions, WhatIsMissingIsNamed) {
  std::map<std::string, std::string> environment;
  const auto error_of = [&](const char* url) {
    const auto options = store_options(url, environment);
    return options.ok() ? std::string() : options.error().message();
  };
  EXPECT_THAT(error_of("s3:///x"), HasSubstr("no name of a bucket"));
  EXPECT_THAT(error_of("s3://Under_score/x"), HasSubstr("no name of a bucket"));
  EXPECT_THAT(error_of("s3://bucket/x"), HasSubstr("AWS_ACCESS_KEY_ID: is not set"));
  environment["AWS_ACCESS_KEY_ID"] = "a";
  EXPECT_THAT(error_of("s3://bucket/x"), HasSubstr("AWS_SECRET_ACCESS_KEY: is not set"));
  environment["AWS_SECRET_ACCESS_KEY"] = "b";
  EXPECT_THAT(error_of("s3://bucket/x"), HasSubstr("AWS_REGION: is not set"));
  environment["AWS_DEFAULT_REGION"] = "eu-west-1";
  EXPECT_EQ(store_options("s3://bucket/x", environment)->url,
            "https://bucket.s3.eu-west-1.amazonaws.com");
  environment["AWS_ENDPOINT_URL"] = "ftp://x";
  EXPECT_THAT(error_of("s3://bucket/x"), HasSubstr("AWS_ENDPOINT_URL"));
  environment["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9000/";
  EXPECT_EQ(store_options("s3://bucket/x", environment)->url, "http://127.0.0.1:9000/bucket");
  environment["PELTON_STORE_PATIENCE"] = "soon";
  EXPECT_THAT(error_of("s3://bucket/x"), HasSubstr("PELTON_STORE_PATIENCE"));
}

TEST(Answers, AreReadOrRefused) {
  const auto page = list_page_of(
      "<?xml version='1.0'?><ListBucketResult xmlns='x'><Contents><Key>a&amp;b</Key><Size>7</Size>"
      "</Contents><CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes></ListBucketResult>");
  ASSERT_TRUE(page.ok());
  EXPECT_EQ(page->objects[0].key, "a&b");
  EXPECT_EQ(page->objects[0].size, 7u);
  EXPECT_EQ(page->prefixes[0], "p/");
  EXPECT_FALSE(list_page_of("<ListBucketResult>").ok());
  EXPECT_FALSE(list_page_of("<html/>").ok());
  EXPECT_FALSE(
      list_page_of("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>").ok());
  EXPECT_FALSE(upload_id_of("<InitiateMultipartUploadResult/>").ok());
  EXPECT_EQ(store_error_of("gateway timeout").code, "");
}

TEST(Crc32c, IsCastagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
}

}  // namespace
}  // namespace pelton::checkpoint
