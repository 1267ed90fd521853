// SPDX-License-Identifier: Apache-2.0
// GET of an object and of a list.
#include "apiserver/answer_form.h"
#include "apiserver/core.h"
#include "apiserver/list_options.h"
#include "apiserver/selection.h"

namespace pelton::apiserver {

using base::Json;
using base::Result;
using base::Status;

namespace {
/// The entries of one page that match, and where the page stands.
struct Page {
  std::vector<Stored> objects;
  ListPosition position;
};

/// Reads pages from the store until enough match. Selectors cost a parse of each object.
Result<Page> collect(const CorePtr& core, const Call& call, const ListRequest& list,
                     const Selection& selection) {
  const bool all_match = selection.matches_everything();
  const bool wants_parsed =
      call.form != AnswerForm::Plain || !all_match || !call.resource->is_served_as_stored();
  Page page;
  store::ListOptions options;
  options.at = list.at;
  options.continue_token = list.continue_token;
  const std::string prefix = Objects::prefix(*call.resource->storage, call.path.ns);
  while (true) {
    options.limit = list.limit == 0 ? 0 : list.limit - page.objects.size();
    Result<store::ListPage> read = core->objects.store().list(prefix, options);
    if (!read.ok()) return list_failure(read.error(), list, core->objects.store().revision());
    for (const store::Entry& entry : read->entries) {
      Stored stored{nullptr, entry.bytes, entry.revision};
      if (wants_parsed) stored.object = core->objects.parse(entry.key, entry.revision, entry.bytes);
      if (all_match || selection.matches(*stored.object)) page.objects.push_back(std::move(stored));
    }
    page.position.resource_version = std::to_string(read->revision);
    page.position.continue_token = read->continue_token;
    if (all_match) page.position.remaining_item_count = static_cast<int64_t>(read->remaining);
    const bool is_full = list.limit != 0 && page.objects.size() >= list.limit;
    if (read->continue_token.empty() || is_full) return page;
    options.continue_token = read->continue_token;
  }
}

/// The list with the stored bytes of its items, as they are.
std::string splice_list(const Call& call, const Page& page) {
  std::string out = "{\"kind\":\"" + call.resource->list_kind() + "\",\"apiVersion\":\"" +
                    call.resource->api_version() + "\",\"metadata\":";
  page.position.to_metadata().dump_to(out);
  out += ",\"items\":[";
  for (size_t i = 0; i < page.objects.size(); ++i) {
    if (i > 0) out += ",";
    out += *page.objects[i].bytes;
  }
  out += "]}\n";
  return out;
}

/// With a token to go on without consistency, where the page's moment is no longer kept.
void answer_lost_page(Call& call, const ListRequest& list, const Status& failure) {
  Json body = failure_object(failure, call.subject);
  const Result<std::string> token = store::newest_token(list.continue_token);
  if (failure.code() == base::Code::Gone && token.ok()) {
    body.child("metadata").set("continue", *token);
  }
  answer_json(call, http_code(failure), body);
}

Json convert_list(const Call& call, const Page& page) {
  Json items = Json::array();
  for (const Stored& stored : page.objects) {
    items.push_back(api::convert(*stored.object, *call.resource));
  }
  return Json::object({{"kind", call.resource->list_kind()},
                       {"apiVersion", call.resource->api_version()},
                       {"metadata", page.position.to_metadata()},
                       {"items", std::move(items)}});
}
}  // namespace

void handle_get(const CorePtr& core, const CallPtr& call) {
  Result<std::optional<int64_t>> version = call->query.integer("resourceVersion");
  if (!version.ok()) return answer_failure(*call, version.error());
  const Status reachable = check_not_future(static_cast<store::Revision>(version->value_or(0)),
                                            core->objects.store().revision());
  if (!reachable.ok()) return answer_failure(*call, reachable);
  Result<Stored> stored =
      core->objects.get(*call->resource->storage, call->path.ns, call->path.name);
  if (!stored.ok()) return answer_failure(*call, stored.error());
  const Status admitted = admit_node(call->request.identity, call->access, *stored->object);
  if (!admitted.ok()) return answer_failure(*call, admitted);
  if (call->form == AnswerForm::Plain && call->resource->is_served_as_stored() &&
      !call->is_scale()) {
    return answer_bytes(*call, 200, *stored->bytes);
  }
  answer_object(core, *call, 200, *stored->object);
}

void handle_list(const CorePtr& core, const CallPtr& call) {
  Result<ListRequest> list = read_list_request(*call);
  if (!list.ok()) {
    call->subject = options_subject("ListOptions");
    return answer_failure(*call, list.error());
  }
  Result<Selection> selection = read_selection(*call);
  if (!selection.ok()) return answer_failure(*call, selection.error());
  Result<IncludeObject> include = parse_include_object(call->query.get("includeObject"));
  if (!include.ok()) return answer_failure(*call, include.error());
  const Status reachable = check_not_future(list->not_before, core->objects.store().revision());
  if (!reachable.ok()) return answer_failure(*call, reachable);
  Result<Page> page = collect(core, *call, *list, *selection);
  if (!page.ok()) return answer_lost_page(*call, *list, page.error());

  if (call->form == AnswerForm::Plain) {
    if (call->resource->is_served_as_stored()) {
      return answer_bytes(*call, 200, splice_list(*call, *page));
    }
    return answer_json(*call, 200, convert_list(*call, *page));
  }
  std::vector<const Json*> objects;
  for (const Stored& stored : page->objects) objects.push_back(stored.object.get());
  if (call->form == AnswerForm::Table) {
    TableOptions options;
    options.include = *include;
    return answer_json(
        *call, 200,
        make_table(*call->resource, objects, page->position, options, core->clock.now()));
  }
  answer_json(*call, 200, metadata_only_list(objects, page->position));
}

}  // namespace pelton::apiserver
