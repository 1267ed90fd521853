// SPDX-License-Identifier: Apache-2.0
// What an `image:` means on this machine. Pure.
//
// There is no container engine here: an image names something that the machine has already. The
// host's own file system (read-only), a Python virtual environment on top of it, or a directory
// that holds a root file system. The user's rules come first, then ours for images whose content
// every Debian machine has: busybox, bash, alpine, debian, ubuntu and python, any tag.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace pelton::agent {

/// A directory or file of the machine that is shown inside, read-only.
struct ImageBind {
  std::string from;
  std::string to;
  bool operator==(const ImageBind&) const = default;
};

struct ImageRule {
  enum class Kind : uint8_t { Host, Venv, RootFilesystem };
  std::string image;  ///< "pelton.dev/jax" (any tag or digest) or "pelton.dev/jax:1" (that tag)
  Kind kind = Kind::Host;
  std::string path;  ///< of the virtual environment or root file system, absolute; "" for Host
  std::vector<ImageBind> binds;
  bool operator==(const ImageRule&) const = default;
};

/// An image reference taken apart: "docker.io/library/python:3.11@sha256:…" is python, "3.11".
struct ImageName {
  std::string repository;  ///< without docker.io/ and library/
  std::string tag;         ///< "" where none is given
};
ImageName parse_image_name(std::string_view reference);

/// The rule for `reference`; among several that fit, one with a tag before one without, then the
/// user's before ours, then the first. NotFound: the message says how to map the image.
base::Result<ImageRule> resolve_image(const std::vector<ImageRule>& users_rules,
                                      std::string_view reference);

}  // namespace pelton::agent
