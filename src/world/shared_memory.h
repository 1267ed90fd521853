// SPDX-License-Identifier: Apache-2.0
// Memory that is a file, so that it outlives the process: a file in a tmpfs directory, mapped.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"

namespace pelton::world {

/// Mapped until destroyed. The file stays. Any thread may use the bytes.
class Region {
 public:
  virtual ~Region() = default;
  char* data() const { return data_; }
  size_t size() const { return size_; }

 protected:
  Region(char* data, size_t size) : data_(data), size_(size) {}
  char* data_;
  size_t size_;
};

class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  /// A file of exactly this size, made (mode 0600) or resized, mapped for reading and writing, with
  /// every page in place: nobody who writes to it waits for memory, or finds that there is none.
  /// ResourceExhausted names the path where there is not enough. Pages that were there keep what
  /// they hold. An empty path: memory that dies with the process.
  virtual base::Result<std::unique_ptr<Region>> map(const std::string& path, size_t size) = 0;
  /// An existing file, whole, for reading.
  virtual base::Result<std::unique_ptr<Region>> map_read_only(const std::string& path) = 0;
  /// How many names the file has (Files::link() makes more); 0: there is no such file.
  virtual uint64_t names_of(const std::string& path) = 0;
};

}  // namespace pelton::world
