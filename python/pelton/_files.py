# SPDX-License-Identifier: Apache-2.0
"""What several adapters do with files."""

import os


def sync(path):
  """Has a file, or the names in a directory, on the disk when it returns. Raises OSError."""
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)
