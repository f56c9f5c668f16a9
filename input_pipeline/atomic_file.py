"""Files that appear whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, scratch: Path | None = None) -> Iterator[Path]:
  """Gives a temporary path that becomes `path` if the block succeeds.

  Args:
    path: the file to write; replaced if it is there.
    scratch: folder for the temporary file, on the same file system; the
      folder of `path` if not given.

  Yields:
    The path to write to. It is gone after the block, whatever happens.
  """
  # Other processes, left over from a killed run, may be writing the same
  # file: names differ by process.
  name = f".{path.name}.{os.getpid()}.part"
  temporary = (scratch or path.parent) / name
  try:
    yield temporary
    os.replace(temporary, path)
  finally:
    temporary.unlink(missing_ok=True)
