// SPDX-License-Identifier: Apache-2.0
#include "client/https.h"

#include <utility>

#include "net/url.h"

namespace pelton::client {

using base::Result;

HttpsTransport::HttpsTransport(world::Network& network, world::Timers& timers,
                               net::Endpoint endpoint, std::string prefix, std::string token)
    : http_(network, timers),
      endpoint_(std::move(endpoint)),
      prefix_(std::move(prefix)),
      token_(std::move(token)) {}

Result<std::unique_ptr<HttpsTransport>> HttpsTransport::make(world::Network& network,
                                                             world::Timers& timers,
                                                             const Kubeconfig& config) {
  auto url = net::parse_url(config.server);
  if (!url.ok()) return url.status().with("the kubeconfig's server \"" + config.server + "\"");
  net::Endpoint endpoint;
  endpoint.address = {url->host == "localhost" ? "127.0.0.1" : url->host, url->port};
  endpoint.server_name = config.server_name.empty() ? url->host : config.server_name;
  if (url->scheme == "https") {
    net::TlsClientConfig tls;
    tls.ca_pem = config.ca_pem;
    tls.credential = {config.client_certificate_pem, config.client_key_pem};
    auto context = net::TlsContext::client(tls);
    if (!context.ok()) return context.status().with("the kubeconfig for " + config.server);
    endpoint.tls = std::move(*context);
  }
  std::string prefix = url->target.substr(0, url->target.find('?'));
  while (prefix.ends_with('/')) prefix.pop_back();
  return std::unique_ptr<HttpsTransport>(
      new HttpsTransport(network, timers, std::move(endpoint), std::move(prefix), config.token));
}

std::unique_ptr<net::Exchange> HttpsTransport::send(net::Request request,
                                                    net::ResponseEvents events) {
  request.target = prefix_ + request.target;
  if (!token_.empty()) request.headers.add("Authorization", "Bearer " + token_);
  return http_.send(endpoint_, std::move(request), std::move(events));
}

}  // namespace pelton::client
