// SPDX-License-Identifier: Apache-2.0
#include "agent/container_record.h"

#include "base/json.h"

namespace pelton::agent {
namespace {

using base::Json;

Json list_of(const std::vector<std::string>& items) {
  Json out = Json::array();
  for (const std::string& item : items) out.push_back(item);
  return out;
}

std::vector<std::string> strings_of(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list.items()) out.push_back(item.as_string());
  return out;
}

std::optional<Json> read_json(world::Files& files, const std::string& path) {
  const auto text = files.read(path);
  if (!text.ok()) return std::nullopt;
  auto json = Json::parse(*text);
  if (!json.ok()) return std::nullopt;
  return std::move(json).value();
}

int64_t ticks(uint64_t value) {
  return static_cast<int64_t>(value);
}

}  // namespace

base::Status write_order(world::Files& files, const ContainerPaths& paths, const ShimOrder& order) {
  PELTON_TRY(files.make_directories(paths.directory));
  return files.replace(paths.order(),
                       Json::object({{"argv", list_of(order.argv)},
                                     {"env", list_of(order.env)},
                                     {"user", order.user},
                                     {"group", order.group},
                                     {"workingDirectory", order.working_directory},
                                     {"cgroups", list_of(order.cgroups)},
                                     {"logMaxBytes", ticks(order.log_limits.max_bytes)},
                                     {"logMaxFiles", order.log_limits.max_files}})
                           .dump());
}

base::Result<ShimOrder> read_order(world::Files& files, const ContainerPaths& paths) {
  PELTON_ASSIGN(const std::string text, files.read(paths.order()));
  PELTON_ASSIGN(const Json json, Json::parse(text));
  const LogLimits defaults;
  return ShimOrder{
      .argv = strings_of(json["argv"]),
      .env = strings_of(json["env"]),
      .user = json["user"].as_int(),
      .group = json["group"].as_int(),
      .working_directory = json["workingDirectory"].as_string(),
      .cgroups = strings_of(json["cgroups"]),
      .log_limits = {
          .max_bytes = static_cast<uint64_t>(
              json["logMaxBytes"].as_int(static_cast<int64_t>(defaults.max_bytes))),
          .max_files = static_cast<int>(json["logMaxFiles"].as_int(defaults.max_files))}};
}

base::Status write_running(world::Files& files, const ContainerPaths& paths,
                           const RunningRecord& record) {
  PELTON_TRY(files.replace(paths.pid(), std::to_string(record.main_pid) + "\n"));
  return files.replace(paths.running(),
                       Json::object({{"shimPid", record.shim_pid},
                                     {"initPid", record.init_pid},
                                     {"mainPid", record.main_pid},
                                     {"shimStartTicks", ticks(record.shim_start_ticks)},
                                     {"initStartTicks", ticks(record.init_start_ticks)},
                                     {"mainStartTicks", ticks(record.main_start_ticks)},
                                     {"startedAtUnixNs", record.started_at.unix_ns()}})
                           .dump());
}

std::optional<RunningRecord> read_running(world::Files& files, const ContainerPaths& paths) {
  const auto json = read_json(files, paths.running());
  if (!json) return std::nullopt;
  const Json& in = *json;
  return RunningRecord{.shim_pid = static_cast<int>(in["shimPid"].as_int()),
                       .init_pid = static_cast<int>(in["initPid"].as_int()),
                       .main_pid = static_cast<int>(in["mainPid"].as_int()),
                       .init_start_ticks = static_cast<uint64_t>(in["initStartTicks"].as_int()),
                       .main_start_ticks = static_cast<uint64_t>(in["mainStartTicks"].as_int()),
                       .shim_start_ticks = static_cast<uint64_t>(in["shimStartTicks"].as_int()),
                       .started_at = base::Instant::from_unix_ns(in["startedAtUnixNs"].as_int())};
}

void write_exit(world::Files& files, const ContainerPaths& paths, const ExitRecord& record,
                world::File::Done done) {
  const std::string temporary = paths.exit() + ".new";
  auto opened = files.open(temporary, world::OpenMode::ReadWrite);
  if (!opened.ok()) return done(opened.status());
  const std::shared_ptr<world::File> file = std::move(opened).value();
  const std::string text = Json::object({{"exitCode", record.code},
                                         {"reason", record.reason},
                                         {"message", record.message},
                                         {"startedAtUnixNs", record.started_at.unix_ns()},
                                         {"finishedAtUnixNs", record.finished_at.unix_ns()}})
                               .dump();
  base::Status status = file->truncate(0);
  if (status.ok()) status = file->write_at(0, text);
  if (!status.ok()) return done(std::move(status));
  file->sync([&files, file, temporary, paths, done = std::move(done)](base::Status synced) {
    if (synced.ok()) synced = files.rename(temporary, paths.exit());
    if (!synced.ok()) return done(std::move(synced));
    files.sync_directory(paths.directory, done);
  });
}

std::optional<ExitRecord> read_exit(world::Files& files, const ContainerPaths& paths) {
  const auto json = read_json(files, paths.exit());
  if (!json) return std::nullopt;
  const Json& in = *json;
  return ExitRecord{.code = static_cast<int>(in["exitCode"].as_int()),
                    .reason = in["reason"].as_string(),
                    .message = in["message"].as_string(),
                    .started_at = base::Instant::from_unix_ns(in["startedAtUnixNs"].as_int()),
                    .finished_at = base::Instant::from_unix_ns(in["finishedAtUnixNs"].as_int())};
}

}  // namespace pelton::agent
