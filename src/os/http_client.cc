// SPDX-License-Identifier: Apache-2.0
#include "os/http_client.h"

#include <curl/curl.h>
#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "base/strings.h"
#include "os/loop.h"

// Its checks of setopt's arguments are macros that would hide the loaded functions.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

namespace pelton::os {
namespace {

constexpr size_t kMostErrorText = size_t{64} << 10;
constexpr size_t kMostText = size_t{64} << 20;

/// libcurl's functions, as loaded.
struct Curl {
#define PELTON_CURL(name) decltype(&::curl_##name) name = nullptr
  PELTON_CURL(global_init);
  PELTON_CURL(version_info);
  PELTON_CURL(slist_append);
  PELTON_CURL(slist_free_all);
  PELTON_CURL(easy_init);
  PELTON_CURL(easy_reset);
  PELTON_CURL(easy_setopt);
  PELTON_CURL(easy_getinfo);
  PELTON_CURL(easy_strerror);
  PELTON_CURL(easy_cleanup);
  PELTON_CURL(multi_init);
  PELTON_CURL(multi_add_handle);
  PELTON_CURL(multi_remove_handle);
  PELTON_CURL(multi_perform);
  PELTON_CURL(multi_poll);
  PELTON_CURL(multi_info_read);
  PELTON_CURL(multi_cleanup);
#undef PELTON_CURL
};

template <typename Function>
bool find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(library, name));
  return function != nullptr;
}

base::Result<Curl> load() {
  void* const library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    return base::unavailable(
        "an object store needs libcurl, which this machine or image does not have: install the "
        "package libcurl4 (dlopen: " +
        std::string(::dlerror()) + ")");
  }
  Curl curl;
  const bool has_all = find(library, "curl_global_init", curl.global_init) &&
                       find(library, "curl_version_info", curl.version_info) &&
                       find(library, "curl_slist_append", curl.slist_append) &&
                       find(library, "curl_slist_free_all", curl.slist_free_all) &&
                       find(library, "curl_easy_init", curl.easy_init) &&
                       find(library, "curl_easy_reset", curl.easy_reset) &&
                       find(library, "curl_easy_setopt", curl.easy_setopt) &&
                       find(library, "curl_easy_getinfo", curl.easy_getinfo) &&
                       find(library, "curl_easy_strerror", curl.easy_strerror) &&
                       find(library, "curl_easy_cleanup", curl.easy_cleanup) &&
                       find(library, "curl_multi_init", curl.multi_init) &&
                       find(library, "curl_multi_add_handle", curl.multi_add_handle) &&
                       find(library, "curl_multi_remove_handle", curl.multi_remove_handle) &&
                       find(library, "curl_multi_perform", curl.multi_perform) &&
                       find(library, "curl_multi_poll", curl.multi_poll) &&
                       find(library, "curl_multi_info_read", curl.multi_info_read) &&
                       find(library, "curl_multi_cleanup", curl.multi_cleanup);
  if (!has_all || curl.version_info(CURLVERSION_NOW)->version_num < 0x074b00) {
    return base::unavailable(
        "libcurl.so.4 is older than 7.75 and cannot sign: install a newer one");
  }
  if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    return base::unavailable("libcurl could not be initialized");
  }
  return curl;
}

/// One call on its way.
struct Transfer {
  world::HttpCall* call = nullptr;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  size_t sent = 0;
  int tries = 0;
  int64_t begun_ns = 0;
  int64_t due_ns = 0;  ///< of the next try, while it waits for that
  bool is_under_way = false;
  bool is_done = false;
};

size_t on_send(char* to, size_t size, size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view rest = transfer.call->body.substr(transfer.sent);
  const size_t n = std::min(size * count, rest.size());
  std::memcpy(to, rest.data(), n);
  transfer.sent += n;
  return n;
}

/// A connection that was kept has been closed by the server: the body is sent again.
int on_seek(void* context, curl_off_t offset, int origin) {
  if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
  static_cast<Transfer*>(context)->sent = static_cast<size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

size_t on_header(char* from, size_t size, size_t count, void* context) {
  auto& call = *static_cast<Transfer*>(context)->call;
  const std::string_view line(from, size * count);
  if (line.starts_with("HTTP/")) {  // of the final answer, after a 100
    call.answered.clear();
    const size_t space = line.find(' ');
    const auto status = base::parse_int(line.substr(std::min(space, line.size() - 1) + 1, 3));
    call.status = status.ok() ? static_cast<int>(*status) : 0;
  } else if (const size_t colon = line.find(':'); colon != std::string_view::npos) {
    call.answered[base::to_lower(line.substr(0, colon))] = base::trim(line.substr(colon + 1));
  }
  return size * count;
}

size_t on_receive(char* from, size_t size, size_t count, void* context) {
  auto& call = *static_cast<Transfer*>(context)->call;
  const size_t n = size * count;
  const bool is_success = call.status / 100 == 2;
  if (is_success && call.to) {
    if (n > call.room - call.got) return 0;  // more than was asked for: ends the transfer
    std::memcpy(call.to + call.got, from, n);
    call.got += n;
    return n;
  }
  const size_t most = is_success ? kMostText : kMostErrorText;
  if (is_success && n > most - call.text.size()) return 0;
  call.text.append(from, std::min(n, most - call.text.size()));
  return n;
}

/// What one thread needs for its calls at a time: they share its connections.
class Session {
 public:
  Session(const Curl& curl, const HttpClientOptions& options)
      : curl_(curl), options_(options), multi_(curl.multi_init()) {}
  ~Session() {
    for (CURL* easy : free_) curl_.easy_cleanup(easy);
    curl_.multi_cleanup(multi_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void perform(std::vector<world::HttpCall>& calls, const world::TryAgain& again) {
    std::vector<Transfer> transfers(calls.size());
    for (size_t i = 0; i < calls.size(); ++i) {
      transfers[i].call = &calls[i];
      transfers[i].begun_ns = monotonic_ns();
      begin(transfers[i]);
    }
    while (!std::all_of(transfers.begin(), transfers.end(),
                        [](const Transfer& each) { return each.is_done; })) {
      int running = 0;
      curl_.multi_perform(multi_, &running);
      int left = 0;
      while (const CURLMsg* message = curl_.multi_info_read(multi_, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        const auto it = std::find_if(transfers.begin(), transfers.end(), [&](const Transfer& each) {
          return each.easy == message->easy_handle;
        });
        const CURLcode result = message->data.result;
        end_try(*it, result, again);
      }
      wait(transfers);
    }
  }

 private:
  void begin(Transfer& transfer) {
    world::HttpCall& call = *transfer.call;
    call.status = 0;
    call.failure.clear();
    call.answered.clear();
    call.text.clear();
    call.got = 0;
    transfer.sent = 0;
    transfer.is_under_way = true;
    ++transfer.tries;
    if (free_.empty()) free_.push_back(curl_.easy_init());
    transfer.easy = free_.back();
    free_.pop_back();
    set_up(transfer);
    curl_.multi_add_handle(multi_, transfer.easy);
  }

  void set_up(Transfer& transfer) {
    CURL* const easy = transfer.easy;
    const world::HttpCall& call = *transfer.call;
    const auto set = [&](CURLoption option, auto value) { curl_.easy_setopt(easy, option, value); };
    set(CURLOPT_URL, call.url.c_str());
    set(CURLOPT_CUSTOMREQUEST, call.method.c_str());
    for (const std::string& header : call.headers) {
      transfer.headers = curl_.slist_append(transfer.headers, header.c_str());
    }
    set(CURLOPT_HTTPHEADER, transfer.headers);
    if (call.method == "HEAD") set(CURLOPT_NOBODY, 1L);
    if (call.method == "PUT" || call.method == "POST") {
      set(CURLOPT_UPLOAD, 1L);
      set(CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(call.body.size()));
      set(CURLOPT_READFUNCTION, &on_send);
      set(CURLOPT_READDATA, static_cast<void*>(&transfer));
      set(CURLOPT_SEEKFUNCTION, &on_seek);
      set(CURLOPT_SEEKDATA, static_cast<void*>(&transfer));
      set(CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
    }
    set(CURLOPT_HEADERFUNCTION, &on_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(&transfer));
    set(CURLOPT_WRITEFUNCTION, &on_receive);
    set(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
    set(CURLOPT_BUFFERSIZE, 512L << 10);
    set(CURLOPT_USERNAME, options_.access_key.c_str());
    set(CURLOPT_PASSWORD, options_.secret_key.c_str());
    set(CURLOPT_AWS_SIGV4, options_.signing.c_str());
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    if (!options_.ca_file.empty()) set(CURLOPT_CAINFO, options_.ca_file.c_str());
    set(CURLOPT_NOSIGNAL, 1L);
    const auto silence = std::max<int64_t>(options_.silence.ms(), 1000);
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(silence));
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(silence / 1000));
  }

  void end_try(Transfer& transfer, CURLcode result, const world::TryAgain& again) {
    curl_.multi_remove_handle(multi_, transfer.easy);
    curl_.easy_reset(transfer.easy);
    curl_.slist_free_all(transfer.headers);
    transfer.headers = nullptr;
    free_.push_back(std::exchange(transfer.easy, nullptr));
    transfer.is_under_way = false;
    world::HttpCall& call = *transfer.call;
    if (result != CURLE_OK) {
      call.status = 0;
      call.failure = curl_.easy_strerror(result);
    }
    const int64_t now = monotonic_ns();
    const auto delay =
        again(call, transfer.tries, base::Duration::nanoseconds(now - transfer.begun_ns));
    transfer.is_done = !delay;
    if (delay) transfer.due_ns = now + delay->ns();
  }

  /// For something to do: bytes, or the time of a next try.
  void wait(std::vector<Transfer>& transfers) {
    int64_t until = INT64_MAX;
    bool is_waiting = false;
    for (Transfer& each : transfers) {
      if (each.is_done) continue;
      is_waiting = true;
      if (each.is_under_way) continue;
      if (each.due_ns <= monotonic_ns()) return begin(each);
      until = std::min(until, each.due_ns);
    }
    if (!is_waiting) return;
    const int64_t ms = until == INT64_MAX ? 1000 : (until - monotonic_ns()) / 1'000'000 + 1;
    curl_.multi_poll(multi_, nullptr, 0, static_cast<int>(std::clamp<int64_t>(ms, 0, 1000)),
                     nullptr);
  }

  const Curl& curl_;
  const HttpClientOptions& options_;
  CURLM* multi_;
  std::vector<CURL*> free_;
};

class CurlClient final : public world::HttpClient {
 public:
  CurlClient(const Curl& curl, HttpClientOptions options)
      : curl_(curl), options_(std::move(options)) {}

  void perform(std::vector<world::HttpCall>& calls, const world::TryAgain& again) override {
    std::unique_ptr<Session> session = take();
    session->perform(calls, again);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(session));
  }

 private:
  std::unique_ptr<Session> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Session>(curl_, options_);
    std::unique_ptr<Session> session = std::move(idle_.back());
    idle_.pop_back();
    return session;
  }

  const Curl curl_;
  const HttpClientOptions options_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace

base::Result<std::unique_ptr<world::HttpClient>> make_http_client(HttpClientOptions options) {
  static const base::Result<Curl> curl = load();
  if (!curl.ok()) return curl.error();
  return std::unique_ptr<world::HttpClient>(
      std::make_unique<CurlClient>(*curl, std::move(options)));
}

}  // namespace pelton::os
