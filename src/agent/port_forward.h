// SPDX-License-Identifier: Apache-2.0
// One `kubectl port-forward`: connections to ports of a pod, all of them in one WebSocket.
//
// Inside the WebSocket SPDY is spoken (net/spdy_codec.h). For each connection the client opens two
// streams with the same header requestid: "error", on which we say what failed, and "data". Their
// ends are the connection's: the client may end its side and go on reading; when the pod ends its
// side, the whole is over. The connection is made from within the pod's network to its 127.0.0.1.
//
// SPDY as spoken there has no flow control. So one connection that the pod does not read holds
// back the others of the same kubectl, and a client that does not read holds back its pod.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "net/spdy_codec.h"
#include "net/websocket.h"
#include "world/world.h"

namespace pelton::agent {

/// The protocol that is asked for in the WebSocket's handshake.
constexpr const char* kPortForwardProtocol = "SPDY/3.1+portforward.k8s.io";

class PortForwardSession {
 public:
  struct Target {
    std::string pod, uid;           ///< for messages
    std::string network_namespace;  ///< the file that holds it
  };
  /// `ended` is called once, from the loop; the session may be destroyed within.
  PortForwardSession(world::World world, Target target, std::function<void()> ended);
  ~PortForwardSession();
  PortForwardSession(const PortForwardSession&) = delete;
  PortForwardSession& operator=(const PortForwardSession&) = delete;

  void start(std::unique_ptr<world::Connection> connection);

 private:
  struct Forward;
  using ForwardPtr = std::shared_ptr<Forward>;

  void on_message(std::string_view message);
  void on_frame(const net::SpdyFrame& frame);
  void on_open(const net::SpdyFrame& frame);
  bool take_stream(const net::SpdyFrame& frame);
  void on_client_data(const ForwardPtr& forward, const net::SpdyFrame& frame);
  void connect(const ForwardPtr& forward);
  void on_connected(const ForwardPtr& forward, std::unique_ptr<world::Connection> connection);
  void on_pod_data(const ForwardPtr& forward, std::string_view bytes);
  void on_taken();
  void balance();
  void finish(const ForwardPtr& forward, std::string_view failure);
  void flush();
  void end();

  world::World world_;
  Target target_;
  std::function<void()> ended_;
  net::SpdyCodec codec_;
  std::unique_ptr<net::WebSocket> socket_;
  std::map<std::string, ForwardPtr> incomplete_;  ///< by requestid: only one of the two streams
  std::map<uint32_t, ForwardPtr> streams_;        ///< by each of their two streams
  uint32_t newest_stream_ = 0;
  bool is_holding_ = false;  ///< the client is not read
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace pelton::agent
