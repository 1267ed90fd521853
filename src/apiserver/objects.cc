// SPDX-License-Identifier: Apache-2.0
#include "apiserver/objects.h"

#include "apiserver/api_status.h"
#include "apiserver/body.h"
#include "apiserver/encoding.h"
#include "base/strings.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

std::string Objects::prefix(const api::ResourceInfo& resource, std::string_view ns) {
  std::string out = resource.store_prefix();
  if (!ns.empty() && resource.is_namespaced) out.append(ns).push_back('/');
  return out;
}

JsonPtr Objects::parse(std::string_view key, Revision revision, const store::Bytes& bytes) const {
  CacheLine& line = cache_[base::hash64(key, revision) % kCacheLines];
  if (line.revision == revision && line.key == key) return line.object;
  Result<Json> object = Json::parse(*bytes);
  // The store checks what it reads against checksums: what does not parse was stored by a bug.
  PELTON_CHECK(object.ok());
  line = {std::string(key), revision, std::make_shared<const Json>(std::move(*object))};
  return line.object;
}

Result<Stored> Objects::get(const api::ResourceInfo& resource, std::string_view ns,
                            std::string_view name) const {
  const std::string key = resource.store_key(resource.is_namespaced ? ns : "", name);
  const std::optional<store::Entry> entry = store_.get(key);
  if (!entry) {
    StatusSubject subject;
    subject.group = resource.group;
    subject.resource = resource.plural;
    subject.name = name;
    return object_not_found(subject);
  }
  return Stored{parse(key, entry->revision, entry->bytes), entry->bytes, entry->revision};
}

void Objects::for_each(const api::ResourceInfo& resource, std::string_view ns,
                       const std::function<void(const Stored&)>& visit) const {
  const Result<store::ListPage> page = store_.list(prefix(resource, ns));
  PELTON_CHECK(page.ok());  // the newest state can always be listed
  for (const store::Entry& entry : page->entries) {
    visit({parse(entry.key, entry.revision, entry.bytes), entry.bytes, entry.revision});
  }
}

namespace {
bool is_pods(const api::ResourceInfo& resource) {
  return resource.group.empty() && resource.plural == "pods";
}

void note(const api::ResourceInfo& resource, bool is_remove, Committed& committed) {
  committed.has_removals = committed.has_removals || is_remove;
  if (resource.custom != nullptr) {
    committed.has_custom = true;
  } else if (resource.group == "apiextensions.k8s.io") {
    committed.has_definitions = true;
  } else if (resource.group.empty() && resource.plural == "namespaces") {
    committed.has_namespaces = true;
  }
}

/// A write of a pod until its commit is over.
struct PodWrite {
  std::string key;
  JsonPtr pod;
  bool is_remove = false;
  uint64_t ticket = 0;
};
}  // namespace

api::Amounts Objects::used_of_node(const api::ResourceInfo& pods, std::string_view node) {
  if (!room_->is_loaded()) {
    room_->set_loaded();
    for_each(pods, "", [&](const Stored& stored) {
      const Json& metadata = (*stored.object)["metadata"];
      room_->note_durable(
          pods.store_key(metadata["namespace"].as_string(), metadata["name"].as_string()),
          *stored.object, false);
    });
  }
  return room_->used(node);
}

void Objects::commit(std::vector<Write> writes, std::vector<Unchanged> unchanged,
                     std::function<void(Result<Revision>)> done) {
  store::Transaction transaction;
  const size_t count = writes.size();
  std::vector<PodWrite> pods;
  Committed committed;
  for (Write& write : writes) {
    note(*write.resource, write.is_remove, committed);
    EncodedObject encoded = std::move(write.encoded);
    if (encoded.bytes.empty()) encoded = encode_object(*write.object);
    if (!write.is_remove) {
      if (Status status = check_size(encoded.bytes.size()); !status.ok()) return done(status);
    }
    if (is_pods(*write.resource)) {
      pods.push_back({write.resource->store_key(write.ns, write.name), std::move(write.object),
                      write.is_remove});
    }
    store::Operation operation;
    operation.kind = write.is_remove ? store::Operation::Kind::Delete : store::Operation::Kind::Put;
    operation.key = write.resource->store_key(write.ns, write.name);
    operation.bytes = std::move(encoded.bytes);
    operation.revision_at = encoded.splice_at;
    operation.expected = write.expected;
    transaction.operations.push_back(std::move(operation));
  }
  for (const Unchanged& one : unchanged) {
    transaction.preconditions.push_back({one.resource->store_key(one.ns, one.name), one.revision});
  }
  for (PodWrite& pod : pods) {
    pod.ticket = room_->note_under_way(pod.key, *pod.pod, pod.is_remove);
  }
  const bool is_told =
      committed.has_definitions || committed.has_custom || committed.has_namespaces;
  store_.commit(std::move(transaction),
                [count, room = room_, pods = std::move(pods), is_told, committed, tell = tell_,
                 done = std::move(done)](Result<Revision> last) {
                  if (last.ok() && is_told && *tell) (*tell)(committed);
                  for (const PodWrite& pod : pods) {
                    if (last.ok()) room->note_durable(pod.key, *pod.pod, pod.is_remove);
                    room->note_over(pod.ticket);
                  }
                  if (last.ok()) return done(*last - (count - 1));
                  // An object that vanished since it was read is a conflict like any other: the
                  // next read tells.
                  if (last.error().code() == base::Code::NotFound) {
                    return done(Status(base::Code::Conflict, last.error().message()));
                  }
                  done(std::move(last));
                });
}

}  // namespace pelton::apiserver
