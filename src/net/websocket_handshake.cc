// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>

#include <algorithm>

#include "base/strings.h"
#include "net/http1_syntax.h"
#include "net/websocket_codec.h"

namespace pelton::net {
namespace {

constexpr std::string_view kVersion = "13";
constexpr size_t kKeyBytes = 16;

/// How a server proves that it has read the key: RFC 6455, 4.2.2.
std::string accept_token(const std::string& key) {
  const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  PELTON_CHECK(EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha1(), nullptr) == 1);
  return base::base64_encode({reinterpret_cast<const char*>(digest), size});
}

/// All elements of all fields of this name.
std::vector<std::string> elements(const Headers& headers, std::string_view name) {
  std::vector<std::string> out;
  for (const auto& [field, value] : headers.fields()) {
    if (!base::equals_ignore_case(field, name)) continue;
    for (const std::string_view element : base::split(value, ',')) {
      const std::string_view text = base::trim(element);
      if (!text.empty()) out.emplace_back(text);
    }
  }
  return out;
}

}  // namespace

base::Result<WebSocketOffer> read_websocket_offer(const Request& request) {
  if (request.method != "GET") {
    return base::invalid_argument("a WebSocket is asked for by GET, not by " + request.method);
  }
  if (!asks_to_switch(request, "websocket")) {
    return base::invalid_argument(
        "a WebSocket needs the headers \"Connection: Upgrade\" and \"Upgrade: websocket\"");
  }
  if (request.headers.get("Sec-WebSocket-Version") != kVersion) {
    return base::invalid_argument("Sec-WebSocket-Version: only version 13 is spoken here");
  }
  WebSocketOffer offer;
  offer.key = request.headers.get("Sec-WebSocket-Key");
  const auto key = base::base64_decode(offer.key);
  if (!key.ok() || key->size() != kKeyBytes) {
    return base::invalid_argument("Sec-WebSocket-Key: want 16 bytes in base64");
  }
  offer.protocols = elements(request.headers, "Sec-WebSocket-Protocol");
  return offer;
}

ResponseHead accept_websocket(const WebSocketOffer& offer, std::string_view protocol) {
  ResponseHead head;
  head.status = 101;
  head.headers.add("Upgrade", "websocket");
  head.headers.add("Sec-WebSocket-Accept", accept_token(offer.key));
  if (!protocol.empty()) head.headers.add("Sec-WebSocket-Protocol", std::string(protocol));
  return head;
}

void ask_for_websocket(Request& request, const WebSocketOffer& offer) {
  request.headers.add("Upgrade", "websocket");
  request.headers.add("Sec-WebSocket-Version", std::string(kVersion));
  request.headers.add("Sec-WebSocket-Key", offer.key);
  if (!offer.protocols.empty()) {
    request.headers.add("Sec-WebSocket-Protocol", base::join(offer.protocols, ", "));
  }
}

base::Result<std::string> read_websocket_answer(const ResponseHead& head,
                                                const WebSocketOffer& offer) {
  if (head.status != 101 || !has_token(head.headers, "Upgrade", "websocket")) {
    return base::invalid_argument("the server did not switch to WebSocket");
  }
  if (head.headers.get("Sec-WebSocket-Accept") != accept_token(offer.key)) {
    return base::invalid_argument("Sec-WebSocket-Accept does not belong to the key that was sent");
  }
  if (head.headers.contains("Sec-WebSocket-Extensions")) {
    return base::invalid_argument("the server uses a WebSocket extension that was not asked for");
  }
  const auto chosen = elements(head.headers, "Sec-WebSocket-Protocol");
  if (chosen.empty()) return std::string();
  const auto& offered = offer.protocols;
  if (chosen.size() > 1 || std::find(offered.begin(), offered.end(), chosen[0]) == offered.end()) {
    return base::invalid_argument("the server chose the protocol " + chosen[0] +
                                  ", which was not offered");
  }
  return chosen[0];
}

}  // namespace pelton::net
