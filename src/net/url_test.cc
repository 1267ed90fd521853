// SPDX-License-Identifier: Apache-2.0
#include "net/url.h"

#include <gtest/gtest.h>

namespace pelton::net {
namespace {

TEST(UrlTest, PartsAreFound) {
  const Url url = parse_url("https://example.org:6443/api?watch=1").value();
  EXPECT_EQ(url.scheme, "https");
  EXPECT_EQ(url.host, "example.org");
  EXPECT_EQ(url.port, 6443);
  EXPECT_EQ(url.target, "/api?watch=1");
  EXPECT_EQ(url.authority(), "example.org:6443");
}

TEST(UrlTest, WhatIsLeftOutHasTheSchemesDefault) {
  EXPECT_EQ(parse_url("https://h").value().port, 443);
  EXPECT_EQ(parse_url("http://h").value().port, 80);
  EXPECT_EQ(parse_url("HTTP://h?q").value().target, "/?q");
  EXPECT_EQ(parse_url("http://h:80").value().authority(), "h");
}

TEST(UrlTest, AnIpv6HostLosesItsBrackets) {
  const Url url = parse_url("https://[::1]:6443/").value();
  EXPECT_EQ(url.host, "::1");
  EXPECT_EQ(url.port, 6443);
  EXPECT_EQ(url.authority(), "[::1]:6443");
  EXPECT_EQ(parse_url("https://[::1]").value().port, 443);
}

TEST(UrlTest, WrongOnesAreRefused) {
  for (const char* text :
       {"", "h", "ftp://h", "http://", "http://:80", "http://h:", "http://h:0", "http://h:65536",
        "http://h:x", "http://u@h", "http://h/#f", "http://[::1", "http://[::1]x",
        "http://[[00]/2]/", "http://[name]/", "http://a b/"}) {
    EXPECT_FALSE(parse_url(text).ok()) << text;
  }
}

}  // namespace
}  // namespace pelton::net
