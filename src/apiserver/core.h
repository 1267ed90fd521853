// SPDX-License-Identifier: Apache-2.0
// What all handlers of the pipeline share, and the one way in which they change an object.
//
// Handlers are free functions over a CorePtr; a callback that waits for the store holds the core,
// so that it may come after the ApiServer is gone. Used on the loop only.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "apiserver/api_server.h"
#include "apiserver/call.h"
#include "apiserver/objects.h"
#include "apiserver/service_ips.h"

namespace pelton::apiserver {

/// An answer under way that lasts (a watch, a log). Owned by Core::streams until it ends.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Ends the answer: the server stops.
  virtual void shut() = 0;
  /// What it shows, or nullptr.
  virtual const api::ResourceInfo* resource() const { return nullptr; }
};

/// A CustomResourceDefinition at the revision at which it was read.
struct StoredDefinition {
  Revision revision = 0;
  std::shared_ptr<const api::custom::Definition> definition;
};

struct Core {
  world::Clock& clock;
  world::Timers& timers;
  world::Random& random;
  base::Log& log;
  std::shared_ptr<const api::Registry> registry;  ///< of new requests; see definitions.h
  ApiServerOptions options;
  IpRange service_range;
  Objects objects;
  /// Cluster IPs of Services whose creation is not durable yet.
  std::set<std::string> ips_under_way = {};
  std::map<uint64_t, std::shared_ptr<Stream>> streams = {};  ///< by order of their beginning
  uint64_t next_stream = 1;
  std::map<std::string, StoredDefinition, std::less<>> definitions = {};  ///< by key
  bool is_sweep_due = false;
  bool is_ready = false;
  bool is_stopped = false;

  /// Owns the stream; returns its number.
  uint64_t adopt(std::shared_ptr<Stream> stream);
  /// Lets go of the stream soon: it may be on the stack now.
  void release(uint64_t stream);
};
using CorePtr = std::shared_ptr<Core>;

/// What a change makes of a stored object.
struct Change {
  enum class Act : uint8_t { Write, Remove, Keep };
  Act act = Act::Keep;
  base::Json object;  ///< as it will be; for Keep and Remove: as it was last
};

/// Decides a change of the stored object; an error ends the attempt and is the answer.
using Decide = std::function<base::Result<Change>(const base::Json& before)>;
/// The change that became durable; its object has the new resourceVersion.
using ChangeDone = std::function<void(base::Result<Change>)>;

struct ObjectName {
  const api::ResourceInfo* resource = nullptr;
  std::string ns;
  std::string name;
  StatusSubject subject() const;
};

/// Reads, decides, commits; where the object changed in between, again on the newer one. Not found
/// is an error. With `dry_run` nothing is committed. `done` comes once, maybe from within.
void modify(const CorePtr& core, const ObjectName& name, bool dry_run, Decide decide,
            ChangeDone done);

/// Answers with one object in the form that the call asked for.
void answer_object(const CorePtr& core, Call& call, int code, const base::Json& object);

/// Whether objects may be made in the call's namespace: NotFound, or Forbidden while it is being
/// deleted. Gives what must not change until the object is made: the Namespace.
base::Result<std::vector<Unchanged>> check_namespace_takes(const CorePtr& core, const Call& call,
                                                           const std::string& object_name);

/// 64 bits from the world's randomness, for generated names.
uint64_t random_number(const CorePtr& core);

// ---- the handlers, one file each ----------------------------------------------------------------
void handle_create(const CorePtr& core, const CallPtr& call);
void handle_replace(const CorePtr& core, const CallPtr& call);
void handle_patch(const CorePtr& core, const CallPtr& call);
void handle_delete(const CorePtr& core, const CallPtr& call);
void handle_delete_collection(const CorePtr& core, const CallPtr& call);
void handle_get(const CorePtr& core, const CallPtr& call);
void handle_list(const CorePtr& core, const CallPtr& call);
void handle_watch(const CorePtr& core, const CallPtr& call);
void handle_pod_binding(const CorePtr& core, const CallPtr& call);
void handle_gang_binding(const CorePtr& core, const CallPtr& call);
/// The scale subresource.
void handle_scale(const CorePtr& core, const CallPtr& call);
/// The object as its Scale.
base::Json shape_scale(const Call& call, const base::Json& object);
void handle_pod_log(const CorePtr& core, const CallPtr& call);
/// exec, attach and portforward.
void handle_pod_remote(const CorePtr& core, const CallPtr& call);

}  // namespace pelton::apiserver
