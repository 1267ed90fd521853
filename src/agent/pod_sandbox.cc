// SPDX-License-Identifier: Apache-2.0
#include "agent/pod_sandbox.h"

#include "agent/enter_command.h"
#include "agent/fetch_inputs.h"
#include "agent/host_facts.h"
#include "agent/pod_etc.h"
#include "api/object.h"

namespace pelton::agent {
namespace {

using base::Json;

constexpr uint32_t kModeText = 0644;
constexpr uint32_t kModeOpenFile = 0666;

/// The same error under the name that a kubelet gives to what failed.
base::Status named(const base::Status& status, const char* reason) {
  return {status.code(), reason, status.message()};
}

base::Status write_text(world::Files& files, const std::string& path, std::string_view text,
                        uint32_t mode) {
  PELTON_TRY(files.replace(path, text));
  return files.set_mode(path, mode);
}

}  // namespace

PodSandbox::PodSandbox(AgentContext& context, const PodPaths& paths, const PodRecord& record,
                       std::function<void()> supervision_changed)
    : context_(context),
      paths_(paths),
      record_(record),
      volumes_(context, paths, record),
      supervision_(context.world, context.objects, *context.job_memory, context.events, paths,
                   record.pod, std::move(supervision_changed)) {}

void PodSandbox::prepare(std::function<void(base::Status)> done) {
  fetch_inputs([this, done = std::move(done)](base::Result<PodInputs> inputs) {
    if (!inputs.ok()) return done(named(inputs.status(), "FailedMount"));
    volumes_.make(*inputs, [this, done](const base::Status& made) {
      if (!made.ok()) return done(named(made, "FailedMount"));
      supervision_.open([this, done](const base::Status& open) {
        if (!open.ok()) return done(named(open, "FailedMount"));
        attach(done);
      });
    });
  });
}

void PodSandbox::attach(std::function<void(base::Status)> done) {
  const base::Status status = make_etc();
  if (!status.ok()) return done(named(status, "FailedCreatePodSandBox"));
  const PodAttachment attachment{.uid = api::uid_of(record_.pod),
                                 .hostname = pod_hostname(record_.pod),
                                 .address = record_.address};
  attach_pod(context_.world.processes, context_.network, attachment,
             [done = std::move(done), alive = std::weak_ptr(alive_)](base::Status attached) {
               if (alive.expired()) return;
               done(attached.ok() ? attached : named(attached, "FailedCreatePodSandBox"));
             });
}

void PodSandbox::tear_down(std::function<void(base::Status)> done) {
  supervision_.close();
  detach_pod(context_.world.processes, context_.network, api::uid_of(record_.pod),
             [this, done = std::move(done), alive = std::weak_ptr(alive_)](base::Status status) {
               if (alive.expired()) return;
               if (!status.ok()) return done(std::move(status));
               volumes_.release(done);
             });
}

bool PodSandbox::has_namespaces() const {
  const PodNamespaces names = pod_namespaces(context_.network, api::uid_of(record_.pod));
  world::Files& files = context_.world.files;
  return files.exists(names.net) && files.exists(names.uts) && files.exists(names.ipc);
}

void PodSandbox::fetch_inputs(std::function<void(base::Result<PodInputs>)> done) {
  fetch_pod_inputs(
      context_, record_,
      [done = std::move(done), alive = std::weak_ptr(alive_)](base::Result<PodInputs> inputs) {
        if (!alive.expired()) done(std::move(inputs));
      });
}

base::Status PodSandbox::make_etc() {
  world::Files& files = context_.world.files;
  const PodEtc etc = build_pod_etc(record_.pod, record_.address);
  PELTON_TRY(files.make_directories(paths_.directory + "/etc"));
  PELTON_TRY(write_text(files, paths_.etc("hosts"), etc.hosts, kModeText));
  PELTON_TRY(write_text(files, paths_.etc("hostname"), etc.hostname, kModeText));
  return write_text(files, paths_.etc("resolv.conf"), etc.resolv_conf, kModeText);
}

void PodSandbox::make_order(const Json& container, int attempt,
                            std::function<void(base::Result<ShimOrder>)> done) {
  auto image = resolve_image(context_.options.images, container["image"].as_string());
  if (!image.ok()) return done(named(image.status(), "ErrImagePull"));
  const auto build = [this, container, attempt, image = *image, done](const RootTree& root) {
    fetch_inputs([=, this](base::Result<PodInputs> inputs) {
      if (!inputs.ok()) return done(named(inputs.status(), "CreateContainerConfigError"));
      done(order_of(container, attempt, image, root, *inputs));
    });
  };
  if (image->kind != ImageRule::Kind::RootFilesystem) return build(context_.host_root);
  const auto known = context_.image_roots.find(image->path);
  if (known != context_.image_roots.end()) return build(known->second);
  observe_root_tree(context_.world, image->path,
                    [this, build, done, path = image->path,
                     alive = std::weak_ptr(alive_)](base::Result<RootTree> root) {
                      if (alive.expired()) return;
                      if (!root.ok()) return done(named(root.status(), "ErrImagePull"));
                      build(context_.image_roots[path] = std::move(root).value());
                    });
}

base::Result<ShimOrder> PodSandbox::order_of(const Json& container, int attempt,
                                             const ImageRule& image, const RootTree& root,
                                             const PodInputs& inputs) {
  const std::string& name = container["name"].as_string();
  SandboxSpec spec{.namespaces = pod_namespaces(context_.network, api::uid_of(record_.pod)),
                   .root = root,
                   .hidden = {context_.options.data_directory}};
  Environment env = {
      {"PATH", kDefaultPath}, {"HOME", "/root"}, {"HOSTNAME", pod_hostname(record_.pod)}};
  base::Status status = add_image(image, spec, env);
  if (!status.ok()) return named(status, "ErrImagePull");
  if (const auto devices = record_.devices.find(name); devices != record_.devices.end()) {
    for (const auto& [key, value] : device_environment(devices->second)) {
      set_variable(env, key, value);
    }
  }
  supervision_.add_to(spec.mounts, env);
  auto built = build_environment(record_.pod, container, inputs, std::move(env));
  if (!built.ok()) return named(built.status(), "CreateContainerConfigError");
  spec.argv = build_argv(container, *built);
  if (spec.argv.empty()) {
    return base::Status(base::Code::InvalidArgument, "RunContainerError",
                        "container " + name +
                            " states no command, and an image here is a file system without a "
                            "default command; add command: [...]");
  }
  status = volumes_.add_mounts(container, *built, spec.mounts);
  if (!status.ok()) return named(status, "CreateContainerConfigError");
  status = add_termination_message(container, attempt, spec);
  if (!status.ok()) return named(status, "CreateContainerConfigError");
  add_identity(spec, container);
  auto cgroups = context_.cgroups.make(record_.pod, container, attempt);
  if (!cgroups.ok()) return named(cgroups.status(), "CreateContainerError");
  ShimOrder order{
      .argv = within_cgroups(
          *cgroups, build_sandbox_command(context_.tools, spec, path_facts(context_.world.files))),
      .user = spec.user.value_or(0),
      .group = spec.group.value_or(0),
      .working_directory = spec.working_directory,
      .cgroups = std::move(cgroups).value(),
      .log_limits = context_.options.log_limits};
  for (const auto& [key, value] : *built) order.env.push_back(key + "=" + value);
  return order;
}

base::Status PodSandbox::add_image(const ImageRule& image, SandboxSpec& spec, Environment& env) {
  world::Files& files = context_.world.files;
  if (image.kind == ImageRule::Kind::Venv) {
    PELTON_ASSIGN(const auto directories, venv_directories(files, image.path));
    for (const std::string& directory : directories) {
      spec.mounts.push_back({.from = directory, .to = directory, .is_read_only = true});
    }
    set_variable(env, "VIRTUAL_ENV", image.path);
    set_variable(env, "PATH", image.path + "/bin:" + kDefaultPath);
  }
  for (const ImageBind& bind : image.binds) {
    if (!files.exists(bind.from)) {
      return base::not_found("image \"" + image.image + "\" binds " + bind.from +
                             ", which is not there; correct spec.images of the park file");
    }
    spec.mounts.push_back({.from = bind.from, .to = bind.to, .is_read_only = true});
  }
  spec.mounts.push_back({.from = context_.options.executable,
                         .to = std::string(kToolsDirectory) + "/pelton",
                         .is_read_only = true,
                         .is_file = true});
  for (const char* file : {"hosts", "hostname", "resolv.conf"}) {
    spec.mounts.push_back(
        {.from = paths_.etc(file), .to = std::string("/etc/") + file, .is_file = true});
  }
  return base::ok();
}

base::Status PodSandbox::add_termination_message(const Json& container, int attempt,
                                                 SandboxSpec& spec) {
  const std::string& path = container["terminationMessagePath"].as_string();
  if (path.empty()) return base::ok();
  const ContainerPaths paths(paths_.attempt(container["name"].as_string(), attempt));
  PELTON_TRY(context_.world.files.make_directories(paths.directory));
  PELTON_TRY(write_text(context_.world.files, paths.termination_message(), "", kModeOpenFile));
  spec.mounts.push_back({.from = paths.termination_message(), .to = path, .is_file = true});
  return base::ok();
}

void PodSandbox::add_identity(SandboxSpec& spec, const Json& container) {
  const std::string& directory = container["workingDir"].as_string();
  if (!directory.empty()) spec.working_directory = directory;
  for (const Json* security :
       {&record_.pod.at("spec.securityContext"), &container["securityContext"]}) {
    if ((*security)["runAsUser"].is_int()) spec.user = (*security)["runAsUser"].as_int();
    if ((*security)["runAsGroup"].is_int()) spec.group = (*security)["runAsGroup"].as_int();
  }
}

}  // namespace pelton::agent
