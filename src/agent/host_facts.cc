// SPDX-License-Identifier: Apache-2.0
#include "agent/host_facts.h"

#include <algorithm>

#include "agent/cluster_network.h"
#include "base/strings.h"

namespace pelton::agent {
namespace {

base::Result<std::string> find_tool(world::Files& files, const std::string& name,
                                    const char* package) {
  for (const char* directory : {"/usr/bin/", "/usr/sbin/", "/bin/", "/sbin/"}) {
    if (files.exists(directory + name)) return directory + name;
  }
  return base::not_found("the program " + name + " is missing; install the package " + package);
}

/// The value of "home = /usr/bin" in a pyvenv.cfg.
std::string config_value(std::string_view text, std::string_view key) {
  for (const std::string_view line : base::split(text, '\n')) {
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos || base::trim(line.substr(0, equals)) != key) continue;
    return std::string(base::trim(line.substr(equals + 1)));
  }
  return "";
}

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

}  // namespace

base::Result<SandboxTools> find_tools(world::Files& files) {
  SandboxTools tools;
  PELTON_ASSIGN(tools.nice, find_tool(files, "nice", "coreutils"));
  PELTON_ASSIGN(tools.nsenter, find_tool(files, "nsenter", "util-linux"));
  PELTON_ASSIGN(tools.setpriv, find_tool(files, "setpriv", "util-linux"));
  PELTON_ASSIGN(tools.bwrap, find_tool(files, "bwrap", "bubblewrap"));
  PELTON_TRY(find_tool(files, "ip", "iproute2").status());
  return tools;
}

void observe_root_tree(world::World world, const std::string& prefix,
                       std::function<void(base::Result<RootTree>)> done) {
  constexpr const char* kScript = R"(
find "$1/" -mindepth 1 -maxdepth 1 -type l -printf 'link\t%f\t%l\n'
find "$1/" -mindepth 1 -maxdepth 1 -type d -printf 'directory\t%f\n'
for file in /etc/resolv.conf /etc/hosts /etc/hostname; do
  if [ -L "$1$file" ]; then printf 'file\t%s\n' "$file"; fi
done
for file in /etc/shadow /etc/gshadow /etc/shadow- /etc/gshadow-; do
  if [ -f "$1$file" ]; then printf 'secret\t%s\n' "$file"; fi
done
)";
  world::ProcessSpec spec{.argv = {"/bin/sh", "-ec", kScript, "pelton", prefix},
                          .env = {kToolPath}};
  world.processes.run(
      std::move(spec),
      [prefix, done = std::move(done)](base::Result<world::ExitState> state, std::string output) {
        if (!state.ok()) return done(state.status());
        if (state->code != 0) {
          return done(base::unavailable("reading the root file system " + prefix +
                                        "/: " + std::string(base::trim(output))));
        }
        RootTree tree{.prefix = prefix};
        const auto& visible = host_directories();
        for (const std::string_view line : base::split(output, '\n')) {
          const auto fields = base::split(line, '\t');
          if (fields.size() < 2) continue;
          const std::string name(fields[1]);
          const bool is_shown =
              prefix.empty() ? std::find(visible.begin(), visible.end(), name) != visible.end()
                             : name != "proc" && name != "sys" && name != "dev" && name != "tmp" &&
                                   name != "run";
          if (fields[0] == "file") tree.linked_files.push_back(name);
          if (fields[0] == "secret") tree.secret_files.push_back(name);
          if (fields[0] == "directory" && is_shown) tree.directories.push_back(name);
          if (fields[0] == "link" && is_shown && fields.size() == 3) tree.links[name] = fields[2];
        }
        std::sort(tree.directories.begin(), tree.directories.end());
        done(std::move(tree));
      });
}

PathFacts path_facts(world::Files& files) {
  return {.exists = [&files](const std::string& path) { return files.exists(path); },
          .names =
              [&files](const std::string& path) {
                std::vector<std::string> names;
                const auto entries = files.list(path);
                if (!entries.ok()) return names;
                for (const auto& entry : *entries) names.push_back(entry.name);
                return names;
              }};
}

base::Result<std::vector<std::string>> venv_directories(world::Files& files,
                                                        const std::string& venv) {
  const auto config = files.read(venv + "/pyvenv.cfg");
  if (!config.ok()) {
    return base::not_found(venv + " is no virtual environment; make it with: python3 -m venv " +
                           venv + ", and install into it what the image stands for");
  }
  std::vector<std::string> directories = {venv};
  const std::string home = config_value(*config, "home");  // the interpreter's bin directory
  const auto& visible = host_directories();
  const bool is_visible = std::any_of(visible.begin(), visible.end(), [&](const std::string& name) {
    return home.starts_with("/" + name + "/");
  });
  if (!home.empty() && !is_visible) directories.push_back(parent_of(home));
  return directories;
}

}  // namespace pelton::agent
