"""The folder that `prepare` fills: claimed, resumed, finished or given up.

While work goes on, `.progress/` in it holds the settings, what is done so far
and everything half written. Files move to their place whole. A run that was
killed is continued by the next one with the same settings.
"""

import contextlib
import fcntl
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from input_pipeline import manifest as manifest_lib
from input_pipeline.atomic_file import replacing
from input_pipeline.errors import InputError
from input_pipeline.manifest import FILE_NAME, INDEX_NAME, PROGRESS_NAME

REPORT_NAME = "report.html"
_PRODUCTS = (
  FILE_NAME,
  INDEX_NAME,
  REPORT_NAME,
  "clips",
  "report",
  "shards",
  "tfds",
)
_SETTINGS_NAME = "settings.json"


class WorkFolder:
  """A claimed output folder.

  Attributes:
    root: the folder itself.
    progress: where the state of the work is kept.
    resumed: whether an earlier run had begun.
  """

  def __init__(self, root: Path, *, resumed: bool, created: bool):
    self.root = root
    self.progress = root / PROGRESS_NAME
    self.resumed = resumed
    self._created = created

  @contextlib.contextmanager
  def replacing(self, path: Path) -> Iterator[Path]:
    """Gives a temporary path that becomes `path` if the block succeeds."""
    with replacing(path, self.progress) as temporary:
      yield temporary

  def discard(self) -> None:
    """Removes all that was made here, and the folder if it was not there."""
    for name in _PRODUCTS:
      path = self.root / name
      if path.is_dir():
        shutil.rmtree(path)
      else:
        path.unlink(missing_ok=True)
    shutil.rmtree(self.progress)
    if self._created:
      self.root.rmdir()


def check_usable(root: Path) -> None:
  """Refuses a folder that holds anything but prepared data.

  Raises:
    InputError: it is a file, or holds something else.
  """
  if not root.exists():
    return
  if not root.is_dir():
    raise InputError(f"--out {root} is a file; give the name of a folder")
  if any((root / name).exists() for name in (FILE_NAME, PROGRESS_NAME)):
    return
  held = sorted(path.name for path in root.iterdir())
  if held:
    raise InputError(
      f"--out {root} already holds something else ({held[0]}); give an empty "
      "folder or one that does not exist yet"
    )


def is_finished(root: Path, settings: dict[str, Any]) -> bool:
  """Whether the folder was finished with these settings.

  Raises:
    InputError: it was finished with others.
  """
  if not (root / FILE_NAME).exists():
    return False
  _check_same(root, manifest_lib.load(root).settings, settings)
  return True


def clear_progress(root: Path) -> None:
  """Removes the state of the work from a finished folder."""
  shutil.rmtree(root / PROGRESS_NAME, ignore_errors=True)


@contextlib.contextmanager
def claim(root: Path, settings: dict[str, Any]) -> Iterator[WorkFolder]:
  """Takes an output folder for this process, new or where a run stopped.

  Args:
    root: the folder; created if needed.
    settings: all that decides the result, in JSON types.

  Raises:
    InputError: another process works there, or it was begun with other
      settings.
  """
  created = not root.exists()
  progress = root / PROGRESS_NAME
  progress.mkdir(parents=True, exist_ok=True)
  with open(progress / "lock", "w") as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      raise InputError(
        f"--out {root} is being written by another prepare; wait for it or "
        "give another folder"
      ) from error
    path = progress / _SETTINGS_NAME
    resumed = path.exists()
    if resumed:
      begun = json.loads(path.read_text())
      _check_same(root, begun["settings"], settings)
      created = begun["created"]
    else:
      with replacing(path, progress) as temporary:
        temporary.write_text(
          json.dumps({"settings": settings, "created": created}, indent=2)
        )
    yield WorkFolder(root, resumed=resumed, created=created)


def _check_same(root: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
  for key in new:
    if old.get(key) != new[key]:
      raise InputError(
        f"--out {root} was made with another {key.replace('_', ' ')} "
        f"({_brief(old.get(key))}, now {_brief(new[key])}); give another "
        "folder, or the settings it was made with"
      )


def _brief(value: Any) -> str:
  text = json.dumps(value)
  return text if len(text) <= 60 else text[:57] + "..."
