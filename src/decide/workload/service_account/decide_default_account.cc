// SPDX-License-Identifier: Apache-2.0
#include "decide/workload/service_account/decide_default_account.h"

#include "api/object.h"

namespace pelton::decide::workload {

using base::Json;

Decision decide_default_account(const Json& namespace_object, const Json* account) {
  Decision out;
  if (account != nullptr || api::is_being_deleted(namespace_object)) return out;
  out.create(
      Json::object({{"apiVersion", "v1"},
                    {"kind", "ServiceAccount"},
                    {"metadata", Json::object({{"name", kDefaultAccount},
                                               {"namespace", api::name_of(namespace_object)}})}}),
      "every namespace has a default service account");
  return out;
}

}  // namespace pelton::decide::workload
