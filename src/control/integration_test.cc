// SPDX-License-Identifier: Apache-2.0
// All controllers against the API server and its store: in process in virtual time, and over HTTPS
// on loopback in real time. Every test runs in both worlds.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "api/yaml.h"
#include "apiserver/api_server.h"
#include "client/https.h"
#include "client/in_process.h"
#include "control/manager.h"
#include "control/reconcilers.h"
#include "control/testing/fake_kubelet.h"
#include "net/http_server.h"
#include "net/test_pki.h"
#include "os/test_world.h"
#include "sim/sim_world.h"
#include "store/store.h"

namespace pelton::control {
namespace {

using base::Duration;
using base::Json;
using base::Result;

/// One of the worlds, with a server's handler made reachable.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual world::World& world() = 0;
  virtual std::string directory() = 0;
  virtual std::unique_ptr<client::Transport> transport(net::Handler handler) = 0;
  /// Whether it came to that within the limit.
  virtual bool run_until(const std::function<bool()>& is_done, Duration limit) = 0;
};

class SimStage final : public Stage {
 public:
  world::World& world() override { return sim_.world(); }
  std::string directory() override { return "store"; }
  std::unique_ptr<client::Transport> transport(net::Handler handler) override {
    return std::make_unique<client::InProcessTransport>(
        std::move(handler), net::Identity{"system:pelton-controllers", {"system:masters"}},
        sim_.world().timers);
  }
  bool run_until(const std::function<bool()>& is_done, Duration limit) override {
    return sim_.run_until(is_done, limit);
  }

 private:
  sim::SimWorld sim_{1};
};

class HttpsStage final : public Stage {
 public:
  HttpsStage() {
    char path[] = "/tmp/pelton-test-XXXXXX";
    directory_ = ::mkdtemp(path);
    os_ = std::move(os::make_world({.log_level = base::Severity::Error}).value());
  }
  ~HttpsStage() override {
    http_.reset();
    world().files.remove_tree(directory_).ignore("a leftover in the temporary directory");
  }
  world::World& world() override { return os_->world(); }
  std::string directory() override { return directory_ + "/store"; }
  std::unique_ptr<client::Transport> transport(net::Handler handler) override {
    const net::TestPki& pki = net::TestPki::get(world().clock.now());
    if (http_ == nullptr) {
      http_ = std::make_unique<net::HttpServer>(world().network, world().timers,
                                                pki.server_context(), std::move(handler));
      address_ = http_->listen({"127.0.0.1", 0}).value();
    }
    client::Kubeconfig config;
    config.server = "https://" + address_.to_string();
    config.ca_pem = pki.authority.certificate_pem;
    config.client_certificate_pem = pki.client.certificate_pem;
    config.client_key_pem = pki.client.key_pem;
    return client::HttpsTransport::make(world().network, world().timers, config).value();
  }
  bool run_until(const std::function<bool()>& is_done, Duration limit) override {
    const Duration end = world().clock.elapsed() + limit;
    bool is_good = false;
    world::Timer look(world().timers);
    std::function<void()> again = [&] {
      is_good = is_done();
      if (is_good || world().clock.elapsed() >= end) return os_->stop();
      look.start(Duration::milliseconds(5), again);
    };
    look.start(Duration(), again);
    os_->run();
    return is_good;
  }

 private:
  std::string directory_;
  std::unique_ptr<os::OsWorld> os_;
  std::unique_ptr<net::HttpServer> http_;
  world::Address address_;
};

constexpr const char* kJobSet = R"(
apiVersion: jobset.x-k8s.io/v1alpha2
kind: JobSet
metadata: {name: train, namespace: default}
spec:
  failurePolicy: {maxRestarts: 2}
  replicatedJobs:
  - name: workers
    replicas: 2
    template:
      spec:
        parallelism: 2
        completions: 2
        completionMode: Indexed
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            containers:
            - name: trainer
              image: pelton.dev/jax
              resources: {limits: {google.com/tpu: "1"}}
)";

class ControllersTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "Https") {
      stage_ = std::make_unique<HttpsStage>();
    } else {
      stage_ = std::make_unique<SimStage>();
    }
    world::World& w = stage_->world();
    std::optional<base::Status> opened;
    store::Store::open(w.files, w.timers, w.log, stage_->directory(), {},
                       [&](Result<std::unique_ptr<store::Store>> r) {
                         opened = r.status();
                         if (r.ok()) store_ = std::move(*r);
                       });
    ASSERT_TRUE(wait([&] { return opened.has_value(); }));
    ASSERT_TRUE(opened->ok()) << opened->to_string();
    server_ = std::make_unique<apiserver::ApiServer>(w.clock, w.timers, w.random, w.log, *store_,
                                                     api::Registry::builtin());
    std::optional<base::Status> started;
    server_->start([&](base::Status s) { started = std::move(s); });
    ASSERT_TRUE(wait([&] { return started.has_value(); }));
    ASSERT_TRUE(started->ok()) << started->to_string();
    transport_ = stage_->transport(server_->handler());
    client_ = std::make_unique<client::Client>(*transport_, w.timers);
    kubelet_transport_ = stage_->transport(server_->handler());
    std::vector<std::unique_ptr<Reconciler>> kubelet;
    kubelet.push_back(std::make_unique<FakeKubelet>(dead_));
    kubelet_ = std::make_unique<Manager>(w, *kubelet_transport_, std::move(kubelet));
    kubelet_->start();
    start_controllers();
  }
  void TearDown() override {
    controllers_.reset();
    kubelet_.reset();
    client_.reset();
    transport_.reset();
    kubelet_transport_.reset();
    server_.reset();
    store_.reset();
  }

  void start_controllers() {
    world::World& w = stage_->world();
    controllers_ = std::make_unique<Manager>(w, *transport_, make_reconcilers(w.clock.now()));
    controllers_->start();
  }

  bool wait(const std::function<bool()>& is_done, Duration limit = Duration::seconds(60)) {
    return stage_->run_until(is_done, limit);
  }
  /// Sends and waits for the answer.
  Json call(const std::function<void(client::Client::ObjectDone)>& send) {
    std::optional<Result<Json>> answer;
    send([&](Result<Json> r) { answer = std::move(r); });
    EXPECT_TRUE(wait([&] { return answer.has_value(); }));
    if (!answer || !answer->ok()) {
      ADD_FAILURE() << (answer ? answer->status().to_string() : "no answer");
      return {};
    }
    return **answer;
  }
  Json create(const Json& object) {
    return call([&](auto done) { client_->create(object, std::move(done)); });
  }
  Json create_yaml(const std::string& yaml) { return create(*api::parse_yaml(yaml)); }
  void add_nodes(int count) {
    for (int i = 0; i < count; ++i) {
      Json node = *api::parse_yaml(
          "apiVersion: v1\nkind: Node\nmetadata: {}\nstatus:\n"
          "  conditions: [{type: Ready, status: 'True'}]\n"
          "  capacity: {cpu: '4', pods: '10', google.com/tpu: '1'}\n"
          "  allocatable: {cpu: '4', pods: '10', google.com/tpu: '1'}\n");
      node.child("metadata").set("name", "node-" + std::to_string(i));
      const Json made = create(node);
      node.child("metadata").set("resourceVersion", made["metadata"]["resourceVersion"]);
      call([&](auto done) { client_->update_status(node, std::move(done)); });
    }
  }
  const client::Cache& seen() const { return controllers_->cache(); }
  client::Cache::Objects pods() const { return seen().list("Pod", "default"); }
  std::string status_of(const std::string& pod) const {
    const Json* object = seen().get("Pod", "default", pod);
    return object == nullptr ? "" : (*object)["status"]["phase"].as_string();
  }
  /// How many pods run, each on a node of its own.
  size_t running() const {
    std::set<std::string> nodes;
    for (const Json* pod : pods()) {
      if ((*pod)["status"]["phase"].as_string() != "Running" || api::is_being_deleted(*pod))
        continue;
      EXPECT_TRUE(nodes.insert((*pod)["spec"]["nodeName"].as_string()).second) << "a chip twice";
    }
    return nodes.size();
  }
  bool jobset_is(const std::string& condition) const {
    const Json* jobset = seen().get("JobSet", "default", "train");
    return jobset != nullptr && api::is_condition_true(*jobset, condition);
  }
  /// Makes a pod's process end.
  void end_pod(const Json& pod, int exit_code) {
    Json patch;
    patch.make("metadata.annotations").set(FakeKubelet::kExitCode, std::to_string(exit_code));
    call([&](auto done) {
      client_->patch(client::key_of(pod), client::PatchType::Merge, patch, "", std::move(done));
    });
  }
  std::string describe_all() const {
    std::string out;
    for (const char* kind : {"JobSet", "Job", "Pod", "Node"}) {
      for (const Json* object : seen().list(kind)) {
        out += client::key_of(*object).to_string() + " " +
               (*object)["spec"]["nodeName"].as_string() + " " + (*object)["status"].dump() + "\n";
      }
    }
    return out;
  }

  std::unique_ptr<Stage> stage_;
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<apiserver::ApiServer> server_;
  std::unique_ptr<client::Transport> transport_, kubelet_transport_;
  std::unique_ptr<client::Client> client_;
  std::unique_ptr<Manager> kubelet_, controllers_;
  FakeKubelet::DeadNodes dead_ = std::make_shared<std::set<std::string>>();
};

TEST_P(ControllersTest, AJobSetRunsAsAGangAndCompletes) {
  add_nodes(4);
  create_yaml(kJobSet);
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  EXPECT_NE(seen().get("Service", "default", "train"), nullptr);
  // All four were bound by one transaction: their revisions of binding follow each other.
  for (const Json* pod : pods()) {
    EXPECT_TRUE(api::is_condition_true(*pod, "PodScheduled")) << pod->dump();
  }
  for (const std::string& name : [&] {
         std::vector<std::string> names;
         for (const Json* pod : pods()) names.push_back(api::name_of(*pod));
         return names;
       }()) {
    const Json* pod = seen().get("Pod", "default", name);
    ASSERT_NE(pod, nullptr);
    end_pod(Json(*pod), 0);
  }
  EXPECT_TRUE(wait([&] { return jobset_is("Completed"); })) << describe_all();
}

TEST_P(ControllersTest, AnExclusiveJobSetTakesAPoolPerJobAlsoAfterARestart) {
  constexpr const char* kPool = "cloud.google.com/gke-nodepool";
  add_nodes(6);  // pools of two: 0 and 3, 1 and 4, 2 and 5
  for (int i = 0; i < 6; ++i) {
    Json patch;
    patch.make("metadata.labels").set(kPool, "pool-" + std::to_string(i % 3));
    call([&](auto done) {
      client_->patch({"Node", "", "node-" + std::to_string(i)}, client::PatchType::Merge, patch, "",
                     std::move(done));
    });
  }
  Json jobset = *api::parse_yaml(kJobSet);
  jobset.make("metadata.annotations").set("alpha.jobset.sigs.k8s.io/exclusive-topology", kPool);
  create(jobset);
  // Each pool of the running pods, with the Jobs that are in it.
  const auto jobs_by_pool = [&] {
    std::map<std::string, std::set<std::string>> out;
    for (const Json* pod : pods()) {
      if (api::is_being_deleted(*pod)) continue;
      const Json* node = seen().get("Node", "", (*pod)["spec"]["nodeName"].as_string());
      if (node == nullptr) continue;
      out[api::label_of(*node, kPool)].insert(api::label_of(*pod, "batch.kubernetes.io/job-name"));
    }
    return out;
  };
  const auto is_apart = [&] {
    const auto jobs = jobs_by_pool();
    return jobs.size() == 2 && std::all_of(jobs.begin(), jobs.end(), [](const auto& pool) {
             return pool.second.size() == 1;
           });
  };
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  EXPECT_TRUE(is_apart()) << describe_all();
  const std::string lost = api::uid_of(*pods().front());
  end_pod(Json(*pods().front()), 1);
  const auto is_replaced = [&] {
    const auto all = pods();
    return running() == 4 && std::none_of(all.begin(), all.end(), [&](const Json* pod) {
             return api::uid_of(*pod) == lost;
           });
  };
  ASSERT_TRUE(wait(is_replaced)) << describe_all();
  EXPECT_TRUE(is_apart()) << describe_all();
}

TEST_P(ControllersTest, ALostWorkerRestartsTheJobSet) {
  add_nodes(4);
  create_yaml(kJobSet);
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  end_pod(Json(*pods().front()), 137);
  EXPECT_TRUE(wait([&] {
    const Json* jobset = seen().get("JobSet", "default", "train");
    return (*jobset)["status"]["restarts"].as_int() == 1 && running() == 4;
  })) << describe_all();
  for (const Json* pod : pods()) {
    EXPECT_EQ(api::label_of(*pod, "jobset.sigs.k8s.io/restart-attempt"), "1");
  }
}

TEST_P(ControllersTest, AGangThatDoesNotFitSaysWhyAndStartsWhenItDoes) {
  add_nodes(3);
  create_yaml(kJobSet);
  ASSERT_TRUE(wait([&] {
    if (pods().size() != 4) return false;
    for (const Json* pod : pods()) {
      const Json* condition = api::find_condition(*pod, "PodScheduled");
      if (condition == nullptr ||
          (*condition)["message"].as_string().find(
              "0/3 nodes are available: 3 Insufficient google.com/tpu") == std::string::npos) {
        return false;
      }
    }
    return true;
  })) << describe_all();
  for (const Json* pod : pods()) EXPECT_EQ((*pod)["spec"]["nodeName"].as_string(), "");
  Json node = *seen().get("Node", "", "node-0");
  node.child("metadata") = Json::object({{"name", "node-9"}});
  create(node);
  call([&](auto done) {
    client_->patch({"Node", "", "node-9"}, client::PatchType::Merge,
                   Json::object({{"status", node["status"]}}), "status", std::move(done));
  });
  EXPECT_TRUE(wait([&] { return running() == 4; })) << describe_all();
}

TEST_P(ControllersTest, PodsOfADeadNodeAreReplacedElsewhere) {
  add_nodes(5);
  create_yaml(kJobSet);
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  dead_->insert((*pods().front())["spec"]["nodeName"].as_string());
  const Duration begun = stage_->world().clock.elapsed();
  ASSERT_TRUE(wait([&] {
    std::set<std::string> alive;
    for (const Json* pod : pods()) {
      const std::string& node = (*pod)["spec"]["nodeName"].as_string();
      if ((*pod)["status"]["phase"].as_string() == "Running" && !dead_->contains(node)) {
        alive.insert(node);
      }
    }
    return alive.size() == 4;
  })) << describe_all();
  // In real time a loaded machine has its own say.
  if (GetParam() == "InProcess") {
    EXPECT_LT(stage_->world().clock.elapsed() - begun, Duration::seconds(10));
  }
}

TEST_P(ControllersTest, NewControllersGoOnWhereTheirPredecessorsDied) {
  add_nodes(4);
  create_yaml(kJobSet);
  // They die again and again, a little later each time.
  for (int life = 1; life <= 12; ++life) {
    size_t steps = 0;
    wait([&] { return ++steps > static_cast<size_t>(life) * 6; }, Duration::milliseconds(200));
    controllers_.reset();
    start_controllers();
  }
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  EXPECT_EQ(pods().size(), 4u);
  EXPECT_EQ(seen().list("Job").size(), 2u);
}

TEST_P(ControllersTest, DeletingTheJobSetLeavesNothing) {
  add_nodes(4);
  create_yaml(kJobSet);
  ASSERT_TRUE(wait([&] { return running() == 4; })) << describe_all();
  call([&](auto done) {
    client_->remove({"JobSet", "default", "train"}, {.propagation_policy = "Background"},
                    std::move(done));
  });
  EXPECT_TRUE(wait(
      [&] {
        return pods().empty() && seen().list("Job").empty() && seen().list("JobSet").empty() &&
               seen().list("Service", "default").size() <= 1;  // the API server's own may stay
      },
      Duration::seconds(40)))
      << describe_all();
}

INSTANTIATE_TEST_SUITE_P(World, ControllersTest, ::testing::Values("InProcess", "Https"),
                         [](const auto& instance) { return instance.param; });

}  // namespace
}  // namespace pelton::control
