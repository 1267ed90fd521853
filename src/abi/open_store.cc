// SPDX-License-Identifier: Apache-2.0
#include "abi/open_store.h"

#include <utility>

#include "checkpoint/object_files.h"
#include "os/http_client.h"
#include "os/surroundings.h"

namespace pelton::abi {

base::Result<bool> open_store(os::LoopThread& thread, const std::string& directory) {
  if (!directory.starts_with(checkpoint::kStoreScheme)) return false;
  PELTON_ASSIGN(auto options, checkpoint::store_options(directory, os::environment()));
  os::HttpClientOptions client_options{options.access_key, options.secret_key,
                                       "aws:amz:" + options.region + ":s3", options.ca_file,
                                       options.silence};
  PELTON_ASSIGN(auto client, os::make_http_client(std::move(client_options)));
  auto store = std::make_shared<checkpoint::ObjectStore>(std::move(options), std::move(client));
  auto files = std::make_unique<checkpoint::ObjectFiles>(
      thread.files(), std::move(store), directory,
      thread.make_executor(checkpoint::ObjectFiles::kUploadsAtOnce), thread.timers());
  PELTON_TRY(files->check());
  thread.use_files(std::move(files));
  return true;
}

}  // namespace pelton::abi
