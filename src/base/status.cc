// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

namespace pelton::base {

const char* code_name(Code code) {
  switch (code) {
    case Code::Ok:
      return "Ok";
    case Code::InvalidArgument:
      return "InvalidArgument";
    case Code::NotFound:
      return "NotFound";
    case Code::AlreadyExists:
      return "AlreadyExists";
    case Code::Conflict:
      return "Conflict";
    case Code::Forbidden:
      return "Forbidden";
    case Code::Unauthenticated:
      return "Unauthenticated";
    case Code::FailedPrecondition:
      return "FailedPrecondition";
    case Code::ResourceExhausted:
      return "ResourceExhausted";
    case Code::Gone:
      return "Gone";
    case Code::Unavailable:
      return "Unavailable";
    case Code::OutcomeUnknown:
      return "OutcomeUnknown";
    case Code::DataLoss:
      return "DataLoss";
    case Code::Unimplemented:
      return "Unimplemented";
    case Code::Internal:
      return "Internal";
  }
  return "Internal";
}

std::string Status::to_string() const {
  if (ok()) return "Ok";
  std::string text = reason_.empty() ? code_name(code_) : reason_;
  return text + ": " + message_;
}

}  // namespace pelton::base
