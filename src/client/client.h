// SPDX-License-Identifier: Apache-2.0
// Verbs on objects of a Kubernetes API, over one Transport.
//
// Objects go in and out as JSON; their path follows from apiVersion and kind by the registry of
// api/. Every call ends in exactly one `done` on the loop, never from within the call, unless the
// Client dies first: then it is abandoned silently. Errors are Kubernetes Statuses read into
// base::Status (code, reason, causes). A write that got no answer is Code::OutcomeUnknown; a read
// that got none is Unavailable. Nothing is retried here.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/registry.h"
#include "base/json.h"
#include "base/status.h"
#include "base/time.h"
#include "client/cache.h"
#include "client/transport.h"
#include "world/timers.h"

namespace pelton::client {

struct ListOptions {
  std::string label_selector;
  std::string field_selector;
  int64_t limit = 500;           ///< per page; pages are fetched until the end
  std::string resource_version;  ///< "" is the newest; "0" whatever the server has at hand
};

struct ObjectList {
  base::Json::Array items;  ///< with apiVersion and kind filled in
  uint64_t revision = 0;    ///< of the list: where a watch begins
};

struct DeleteOptions {
  std::string uid;               ///< precondition, where not empty
  std::string resource_version;  ///< precondition, where not empty
  std::optional<int64_t> grace_period_seconds;
  std::string propagation_policy;  ///< "Background", "Foreground", "Orphan" or "" (the default)
};

enum class PatchType : uint8_t { Merge, Json, StrategicMerge };

/// Which pod goes to which node.
struct PodBinding {
  std::string pod_name;
  std::string pod_uid;
  std::string node_name;
  bool operator==(const PodBinding&) const = default;
};

struct Response {
  int status = 0;
  net::Headers headers;
  std::string body;
};

enum class WatchEventType : uint8_t { Added, Modified, Deleted, Bookmark };

struct WatchOptions {
  std::string label_selector;
  std::string field_selector;
  uint64_t from_revision = 0;                           ///< events after it; of a list
  base::Duration timeout = base::Duration::minutes(5);  ///< the server ends it then, normally
};

struct WatchEvents {
  std::function<void(WatchEventType, base::Json object)> on_event;
  /// Last. Ok: the server ended it, go on from the last revision. Gone: list anew. Others: back
  /// off.
  std::function<void(base::Status)> on_end;
};

/// A running watch; destroying it ends it silently, also from within its own events.
class Watch {
 public:
  virtual ~Watch() = default;
};

class Client {
 public:
  using ObjectDone = std::function<void(base::Result<base::Json>)>;
  using ListDone = std::function<void(base::Result<ObjectList>)>;
  using ResponseDone = std::function<void(base::Result<Response>)>;

  /// Both must outlive the client. `timeout` bounds each exchange except watches.
  Client(Transport& transport, world::Timers& timers,
         base::Duration timeout = base::Duration::seconds(30));
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void get(const ObjectKey& key, ObjectDone done);
  void list(std::string_view kind, std::string_view namespace_name, ListOptions options,
            ListDone done);
  void create(const base::Json& object, ObjectDone done);
  /// Replaces; metadata.resourceVersion (and uid) in the object are preconditions where present.
  void update(const base::Json& object, ObjectDone done);
  void update_status(const base::Json& object, ObjectDone done);
  /// namespaces/NAME/finalize: replaces spec.finalizers.
  void finalize(const base::Json& namespace_object, ObjectDone done);
  /// `subresource`: "" or "status".
  void patch(const ObjectKey& key, PatchType type, const base::Json& patch,
             std::string_view subresource, ObjectDone done);
  /// Gives the object as it is left (graceful, finalizers) or a Status object.
  void remove(const ObjectKey& key, const DeleteOptions& options, ObjectDone done);
  /// pods/NAME/binding.
  void bind(std::string_view namespace_name, const PodBinding& binding, ObjectDone done);
  /// All or none, by the virtual resource of pelton.dev. NotFound or Unimplemented where the server
  /// has no such resource.
  void bind_gang(std::string_view namespace_name, std::string_view gang_name,
                 const std::vector<PodBinding>& bindings, ObjectDone done);
  /// Anything else; every HTTP status is a Response.
  void raw(net::Request request, ResponseDone done);

  std::unique_ptr<Watch> watch(std::string_view kind, std::string_view namespace_name,
                               const WatchOptions& options, WatchEvents events);

 private:
  struct Call;
  struct ListRun;
  void send(net::Request request, ObjectDone done);
  void write(std::string_view method, const base::Json& object, std::string_view subresource,
             ObjectDone done);
  void list_page(std::shared_ptr<ListRun> run, const std::string& token);
  void fail(base::Status status, ObjectDone done);
  void fail_later(std::function<void()> tell);
  void finish(uint64_t id, base::Result<Response> result);

  Transport& transport_;
  world::Timers& timers_;
  base::Duration timeout_;
  uint64_t next_id_ = 1;
  std::map<uint64_t, std::unique_ptr<Call>> calls_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

/// The resource of a kind that Pelton knows; nullptr where it knows none.
const api::ResourceInfo* find_resource(std::string_view kind);
/// "/api/v1/namespaces/default/pods/a"; an empty name is the collection, an empty namespace of a
/// namespaced kind is all namespaces.
std::string path_of(const api::ResourceInfo& resource, std::string_view namespace_name,
                    std::string_view name = "", std::string_view subresource = "");
/// Reads an answer that is an error: a Kubernetes Status, or any text. `is_write` decides whether
/// a server's timeout means OutcomeUnknown.
base::Status status_from_response(int http_status, std::string_view body, bool is_write);
/// The same of a Status object.
base::Status status_from_object(const base::Json& status, bool is_write);

}  // namespace pelton::client
