// SPDX-License-Identifier: Apache-2.0
// GET with watch=true: what happened, one line of JSON per event, for as long as the client stays.
//
// An object that enters the selection is ADDED to this watcher and one that leaves it is DELETED,
// whatever happened to it in the store. Where nothing needs to change, the stored bytes are sent as
// they are.
#include "api/object.h"
#include "apiserver/answer_form.h"
#include "apiserver/core.h"
#include "apiserver/list_options.h"
#include "apiserver/selection.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
class WatchStream final : public Stream, public std::enable_shared_from_this<WatchStream> {
 public:
  WatchStream(CorePtr core, CallPtr call, WatchRequest request, Selection selection,
              IncludeObject include)
      : core_(std::move(core)),
        call_(std::move(call)),
        request_(request),
        selection_(std::move(selection)),
        needs_shaping_(call_->form != AnswerForm::Plain || !call_->resource->is_served_as_stored()),
        deadline_(core_->timers),
        bookmark_(core_->timers) {
    table_.include = include;
  }

  void start();
  void shut() override { end(); }
  const api::ResourceInfo* resource() const override { return call_->resource; }

 private:
  void send_initial_events();
  void on_event(const store::Event& event);
  void on_store_end(const Status& status);
  void send_bookmark(Revision revision, bool is_end_of_initial);
  void schedule_bookmark();
  void send_error(const Status& status);
  /// One line; `bytes` is the stored text of `object` (null: there is none as it is to be sent).
  void send(std::string_view type, const store::Bytes& bytes, const Json* object);
  void send_line(std::string_view type, std::string_view object);
  JsonPtr parse_previous(const store::Event& event) const;
  void end();

  CorePtr core_;
  CallPtr call_;
  WatchRequest request_;
  Selection selection_;
  TableOptions table_;
  const bool needs_shaping_;
  std::unique_ptr<store::Watch> watch_;
  world::Timer deadline_;
  world::Timer bookmark_;
  uint64_t number_ = 0;
  bool is_done_ = false;
};

void WatchStream::start() {
  number_ = core_->adopt(shared_from_this());
  const std::weak_ptr<WatchStream> weak = weak_from_this();
  call_->sink->on_gone([weak] {
    if (const auto self = weak.lock()) self->end();
  });
  // With includeObject and Table the form is in the type, so that the client can tell.
  start_stream(*call_, call_->form == AnswerForm::Table
                           ? "application/json;as=Table;v=v1;g=meta.k8s.io;stream=watch"
                           : "application/json;stream=watch");
  Revision from = request_.from;
  if (from == 0) from = core_->objects.store().revision();
  if (request_.has_initial_events) send_initial_events();
  if (is_done_) return;

  store::WatchEvents events;
  events.on_event = [weak](const store::Event& event) {
    if (const auto self = weak.lock()) self->on_event(event);
  };
  events.on_end = [weak](Status status) {
    if (const auto self = weak.lock()) self->on_store_end(status);
  };
  events.backlog = [weak]() -> size_t {
    const auto self = weak.lock();
    return self ? self->call_->sink->backlog() : 0;
  };
  const std::string prefix = Objects::prefix(*call_->resource->storage, call_->path.ns);
  auto watch = core_->objects.store().watch(prefix, from, std::move(events));
  if (!watch.ok()) return on_store_end(watch.error());
  watch_ = std::move(*watch);

  const base::Duration timeout = request_.timeout_seconds > 0
                                     ? base::Duration::seconds(request_.timeout_seconds)
                                     : core_->options.watch_timeout;
  deadline_.start(timeout, [this] {
    if (request_.allows_bookmarks) send_bookmark(watch_->position(), false);
    end();
  });
  schedule_bookmark();
}

void WatchStream::send_initial_events() {
  // The list and the watch after it are one moment of the loop: nothing can fall between.
  core_->objects.for_each(*call_->resource->storage, call_->path.ns, [this](const Stored& stored) {
    if (!is_done_ && selection_.matches(*stored.object)) {
      send("ADDED", stored.bytes, stored.object.get());
    }
  });
  if (request_.has_end_of_initial_bookmark && !is_done_) {
    send_bookmark(core_->objects.store().revision(), true);
  }
}

JsonPtr WatchStream::parse_previous(const store::Event& event) const {
  // The state before has no revision at hand; its key in the cache is derived from the event's.
  return core_->objects.parse(event.key + "\n", event.revision, event.previous);
}

void WatchStream::on_event(const store::Event& event) {
  if (is_done_) return;
  const bool is_delete = event.kind == store::Event::Kind::Delete;
  const bool is_new = event.previous == nullptr;
  if (selection_.matches_everything() && !needs_shaping_) {
    return send(is_delete ? "DELETED" : is_new ? "ADDED" : "MODIFIED", event.bytes, nullptr);
  }
  const JsonPtr object = core_->objects.parse(event.key, event.revision, event.bytes);
  const JsonPtr previous = is_new ? nullptr : parse_previous(event);
  const bool is_in = !is_delete && selection_.matches(*object);
  const bool was_in = previous != nullptr && selection_.matches(*previous);
  if (is_in) {
    send(was_in ? "MODIFIED" : "ADDED", event.bytes, object.get());
  } else if (was_in && is_delete) {
    send("DELETED", event.bytes, object.get());
  } else if (was_in) {
    // What the client knows of it, with the revision at which it left.
    Json last = *previous;
    last.make("metadata").set("resourceVersion", std::to_string(event.revision));
    send("DELETED", nullptr, &last);
  }
}

void WatchStream::send(std::string_view type, const store::Bytes& bytes, const Json* object) {
  if (!needs_shaping_) return send_line(type, bytes ? *bytes : object->dump());
  const Json converted = api::convert(*object, *call_->resource);
  send_line(
      type,
      shape_object(*call_->resource, converted, call_->form, table_, core_->clock.now()).dump());
  table_.has_columns = false;
}

void WatchStream::send_line(std::string_view type, std::string_view object) {
  std::string line;
  line.reserve(object.size() + 40);
  line.append("{\"type\":\"").append(type).append("\",\"object\":").append(object).append("}\n");
  call_->sink->write(line);
}

void WatchStream::schedule_bookmark() {
  if (!request_.allows_bookmarks || is_done_) return;
  bookmark_.start(core_->options.bookmark_interval, [this] {
    send_bookmark(watch_->position(), false);
    schedule_bookmark();
  });
}

void WatchStream::send_bookmark(Revision revision, bool is_end_of_initial) {
  Json metadata = Json::object({{"resourceVersion", std::to_string(revision)}});
  if (is_end_of_initial) {
    metadata.set("annotations", Json::object({{"k8s.io/initial-events-end", "true"}}));
  }
  Json object = Json::object({{"kind", call_->resource->kind},
                              {"apiVersion", call_->resource->api_version()},
                              {"metadata", std::move(metadata)}});
  if (call_->form == AnswerForm::PartialObjectMetadata ||
      call_->form == AnswerForm::PartialObjectMetadataList) {
    object = metadata_only(object);
  } else if (call_->form == AnswerForm::Table) {
    // A row without cells: what it marks stands in the row's object, as upstream sends it.
    object =
        Json::object({{"kind", "Table"},
                      {"apiVersion", "meta.k8s.io/v1"},
                      {"metadata", Json::object({{"resourceVersion", std::to_string(revision)}})},
                      {"columnDefinitions", Json::array()},
                      {"rows", Json::array({Json::object({{"cells", Json::array()},
                                                          {"object", metadata_only(object)}})})}});
  }
  send_line("BOOKMARK", object.dump());
}

void WatchStream::send_error(const Status& status) {
  send_line("ERROR", failure_object(status, {}).dump());
}

void WatchStream::on_store_end(const Status& status) {
  if (is_done_) return;
  const Revision newest = core_->objects.store().revision();
  if (status.code() == base::Code::Gone) {
    send_error(expired("too old resource version: " + std::to_string(request_.from) + " (" +
                       std::to_string(core_->objects.store().oldest_revision()) + ")"));
  } else if (status.code() == base::Code::FailedPrecondition) {
    send_error(check_not_future(request_.from, newest));
  } else {
    send_error(status);
  }
  end();
}

void WatchStream::end() {
  if (std::exchange(is_done_, true)) return;
  watch_.reset();
  deadline_.cancel();
  bookmark_.cancel();
  if (!call_->sink->is_gone()) call_->sink->end();
  core_->release(number_);
}
}  // namespace

void handle_watch(const CorePtr& core, const CallPtr& call) {
  Result<WatchRequest> request = read_watch_request(*call);
  if (!request.ok()) {
    call->subject = options_subject("ListOptions");
    return answer_failure(*call, request.error());
  }
  Result<Selection> selection = read_selection(*call);
  if (!selection.ok()) return answer_failure(*call, selection.error());
  Result<IncludeObject> include = parse_include_object(call->query.get("includeObject"));
  if (!include.ok()) return answer_failure(*call, include.error());
  const Status reachable = check_not_future(request->not_before, core->objects.store().revision());
  if (!reachable.ok()) return answer_failure(*call, reachable);
  std::make_shared<WatchStream>(core, call, *request, std::move(*selection), *include)->start();
}

}  // namespace pelton::apiserver
