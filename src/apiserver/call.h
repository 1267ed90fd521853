// SPDX-License-Identifier: Apache-2.0
// One request on its way through the pipeline: what was asked, by whom, and how it is answered.
//
// Every handler of this folder takes a CallPtr and answers it exactly once, now or later, through
// the functions here; they write the audit line too. Used on the loop only.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "api/registry.h"
#include "apiserver/api_status.h"
#include "apiserver/authorize.h"
#include "apiserver/media_type.h"
#include "apiserver/request_path.h"
#include "base/json.h"
#include "net/http.h"

namespace pelton::apiserver {

/// Decoded query parameters, in order.
class Query {
 public:
  Query() = default;
  explicit Query(std::string_view target);
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// The first value, or "".
  const std::string& get(std::string_view name) const;
  /// All values of that name, in order.
  std::vector<std::string> all(std::string_view name) const;
  /// As upstream: "0" and "false" (of any case) are false, every other text is true.
  std::optional<bool> boolean(std::string_view name) const;
  /// BadRequest where it is no integer >= 0.
  base::Result<std::optional<int64_t>> integer(std::string_view name) const;

 private:
  const std::string* find(std::string_view name) const;
  std::vector<std::pair<std::string, std::string>> parameters_;
};

struct Call {
  net::Request request;
  net::ResponseSinkPtr sink;
  RequestPath path;
  Query query;
  std::shared_ptr<const api::Registry> registry;      ///< as it was when the request came
  const api::ResourceInfo* resource = nullptr;        ///< null: not a resource
  const api::SubresourceInfo* subresource = nullptr;  ///< null: the object itself
  Access access;
  AnswerForm form = AnswerForm::Plain;
  StatusSubject subject;
  bool is_dry_run = false;
  bool is_audited = false;  ///< a mutating request: one line in the log when answered
  /// Texts for `Warning: 299` headers, which kubectl prints.
  std::vector<std::string> warnings;
  size_t lasting_warnings = 0;  ///< the first of them, which hold however often it is tried
  /// Told the code of the answer; writes the audit line.
  std::function<void(const Call&, int code)> on_answer;

  bool is_log() const { return path.subresource == "log"; }
  /// Not answered but switched to another protocol: what the client accepts is no media type.
  bool is_remote() const {
    return path.subresource == "exec" || path.subresource == "attach" ||
           path.subresource == "portforward";
  }
  bool is_scale() const { return path.subresource == "scale"; }
  bool is_status() const { return path.subresource == "status"; }
};
using CallPtr = std::shared_ptr<Call>;

/// Answers with these bytes of JSON.
void answer_bytes(Call& call, int code, std::string_view body);
void answer_json(Call& call, int code, const base::Json& body);
/// Answers with a Status object. The status must not be Ok.
void answer_failure(Call& call, const base::Status& status);
/// Starts a streamed answer (a watch, a log): head with 200; the caller writes and ends.
void start_stream(Call& call, std::string content_type);
/// Before the connection is given away for another protocol: the request counts as answered (101).
void note_switched(Call& call);

}  // namespace pelton::apiserver
