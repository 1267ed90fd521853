// SPDX-License-Identifier: Apache-2.0
#include "control/reconciler.h"

#include "api/object.h"

namespace pelton::control {

Key own_key(const base::Json& object) {
  return {api::namespace_of(object), api::name_of(object)};
}

Keys keys_of_controller(const base::Json& object, std::string_view kind) {
  const base::Json* controller = api::controller_of(object);
  if (controller == nullptr || (*controller)["kind"].as_string() != kind) return {};
  return {{api::namespace_of(object), (*controller)["name"].as_string()}};
}

Keys keys_of_self_or_controller(const base::Json& object, std::string_view kind) {
  if (object["kind"].as_string() == kind) return {own_key(object)};
  return keys_of_controller(object, kind);
}

}  // namespace pelton::control
