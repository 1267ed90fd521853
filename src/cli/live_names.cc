// SPDX-License-Identifier: Apache-2.0
#include "cli/live_names.h"

#include "api/columns.h"
#include "api/object.h"
#include "cli/admin_client.h"
#include "cli/blocking.h"
#include "os/os_world.h"

namespace pelton::cli {
namespace {

/// Longer than this, nobody waits for a TAB.
constexpr base::Duration kPatience = base::Duration::seconds(1);

using List = base::Result<client::ObjectList>;

List list_briefly(os::OsWorld& os, AdminClient& admin, const std::string& kind,
                  const std::string& namespace_name) {
  world::Timer timer(os.world().timers);
  return await<List>(os, [&](std::function<void(List)> done) {
    timer.start(kPatience, [done] { done(base::unavailable("no answer in time")); });
    admin.client().list(kind, namespace_name, {.resource_version = "0"}, done);
  });
}

/// A pod's state in one word, as kubectl has it; nothing for the other kinds.
std::string description_of(const base::Json& object, base::Instant now) {
  if (object["kind"].as_string() != "Pod") return "";
  constexpr size_t kStatus = 2;
  return api::cells_of(*client::find_resource("Pod"), object, now)[kStatus].as_string();
}

std::vector<Candidate> names_now(const std::string& kind, const std::string& data_dir,
                                 const std::string& namespace_name) {
  auto os = os::make_world({.log_level = base::Severity::Error, .log_to_stderr = false});
  if (!os.ok()) return {};
  auto admin = AdminClient::make((*os)->world(), data_directory(data_dir));
  if (!admin.ok()) return {};
  const List list = list_briefly(**os, **admin, kind, namespace_name);
  if (!list.ok()) return {};
  std::vector<Candidate> names;
  for (const base::Json& object : list->items) {
    names.push_back({api::name_of(object), description_of(object, (*os)->world().clock.now())});
  }
  return names;
}

}  // namespace

Values live_names(std::string kind, const std::string& data_dir,
                  const std::string& namespace_name) {
  return Values::asked([kind = std::move(kind), &data_dir, &namespace_name] {
    return names_now(kind, data_dir, namespace_name);
  });
}

Values live_names(std::string kind, const std::string& data_dir) {
  return Values::asked(
      [kind = std::move(kind), &data_dir] { return names_now(kind, data_dir, ""); });
}

}  // namespace pelton::cli
