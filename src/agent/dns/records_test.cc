// SPDX-License-Identifier: Apache-2.0
#include "agent/dns/records.h"

#include <gtest/gtest.h>

#include "agent/cri_log.h"
#include "agent/pod_etc.h"
#include "api/yaml.h"

namespace pelton::agent {
namespace {

using base::Json;

Json yaml(const std::string& text) {
  const auto value = api::parse_yaml(text);
  EXPECT_TRUE(value.ok()) << value.status().to_string();
  return *value;
}

TEST(DnsRecords, NamesServicesAndEndpointsWithHostnames) {
  const Json service = yaml("{metadata: {name: job, namespace: ns}}");
  const Json slice = yaml(
      "{metadata: {name: job-1, namespace: ns, labels: {kubernetes.io/service-name: job}},"
      " endpoints: [{addresses: [10.64.2.2], hostname: job-w-0-0},"
      " {addresses: [10.64.1.2]},"
      " {addresses: [10.64.3.2], hostname: job-w-0-1, conditions: {ready: false}}]}");
  const Json stray = yaml(
      "{metadata: {name: x, namespace: other, labels: {kubernetes.io/service-name: job}},"
      " endpoints: [{addresses: [10.64.9.9]}]}");
  EXPECT_EQ(dns::hosts_file(dns::build_records({&service}, {&slice, &stray})),
            "10.64.1.2 job.ns.svc.cluster.local\n"
            "10.64.2.2 job-w-0-0.job.ns.svc.cluster.local job.ns.svc.cluster.local\n");
  EXPECT_EQ(dns::hosts_file(dns::build_records({}, {&slice})), "") << "its Service is gone";
}

TEST(PodEtc, TellsNamesAndSearchDomains) {
  const Json pod = yaml(
      "{metadata: {name: job-w-0-0-x8s2k, namespace: ns}, spec: {hostname: job-w-0-0, subdomain: "
      "job, hostAliases: [{ip: 1.2.3.4, hostnames: [a, b]}], dnsConfig: {searches: [corp], "
      "options: "
      "[{name: timeout, value: \"1\"}]}}}");
  const PodEtc etc = build_pod_etc(pod, "10.64.1.2");
  EXPECT_EQ(etc.hostname, "job-w-0-0\n");
  EXPECT_TRUE(etc.hosts.ends_with(
      "10.64.1.2\tjob-w-0-0.job.ns.svc.cluster.local\tjob-w-0-0\n1.2.3.4\ta\tb\n"))
      << etc.hosts;
  EXPECT_EQ(etc.resolv_conf,
            "search ns.svc.cluster.local svc.cluster.local cluster.local corp\n"
            "nameserver 10.64.0.1\noptions ndots:5 timeout:1\n");
}

const base::Instant kTime = base::Instant::from_unix_ns(1'000'000'000'000'000'005);

TEST(CriLog, CutsOutputIntoRecords) {
  CriLogWriter writer;
  EXPECT_EQ(writer.write("a\nb", kTime), "2001-09-09T01:46:40.000000005Z stdout F a\n");
  EXPECT_EQ(writer.write("c\n\n", kTime),
            "2001-09-09T01:46:40.000000005Z stdout F bc\n"
            "2001-09-09T01:46:40.000000005Z stdout F \n");
  EXPECT_EQ(writer.finish(kTime), "");
  const std::string longer(20'000, 'x');
  std::string log = writer.write(longer, kTime);
  log += writer.finish(kTime);
  EXPECT_NE(log.find(" stdout P x"), std::string::npos);
  EXPECT_EQ(CriLogReader({}).read(log), longer + "\n");
}

TEST(CriLog, ReadsBackInAnyPieces) {
  CriLogWriter writer;
  const std::string log = writer.write("one\ntwo\n" + std::string(17'000, 'y') + "\nlast\n", kTime);
  for (const size_t piece : {1, 7, 1000}) {
    CriLogReader reader({});
    std::string text;
    for (size_t at = 0; at < log.size(); at += piece) text += reader.read(log.substr(at, piece));
    EXPECT_EQ(text, "one\ntwo\n" + std::string(17'000, 'y') + "\nlast\n") << piece;
  }
}

TEST(CriLog, ObeysTheOptionsOfKubectlLogs) {
  CriLogWriter writer;
  std::string log = writer.write("one\n", kTime);
  log += writer.write("two\n" + std::string(17'000, 'y') + "\nlast\n",
                      kTime + base::Duration::seconds(5));
  EXPECT_EQ(CriLogReader({}).read(log.substr(tail_offset(log, 1))), "last\n");
  EXPECT_EQ(CriLogReader({}).read(log.substr(tail_offset(log, 2))).size(), 17'001 + 5u);
  EXPECT_EQ(CriLogReader({}).read(log.substr(tail_offset(log, 3))).substr(0, 4), "two\n");
  EXPECT_EQ(tail_offset(log, 99), 0u);
  EXPECT_EQ(tail_offset(log, 0), log.size());
  EXPECT_EQ(CriLogReader({.limit_bytes = 5}).read(log), "one\nt");
  EXPECT_EQ(CriLogReader({.since = kTime + base::Duration::seconds(1)}).read(log).substr(0, 4),
            "two\n");
  EXPECT_EQ(CriLogReader({.has_timestamps = true}).read(log).substr(0, 35),
            "2001-09-09T01:46:40.000000005Z one\n");
  const auto query = [](std::string_view name) -> std::optional<std::string> {
    if (name == "tailLines") return "-1";
    return std::nullopt;
  };
  EXPECT_FALSE(parse_log_options(kTime, query).ok());
}

}  // namespace
}  // namespace pelton::agent
