"""Metrics as lines of JSON."""

import json
from pathlib import Path
from typing import Any

from input_pipeline.atomic_file import replacing


class MetricWriter:
  """Appends one JSON object a line; what a kill cut off is dropped.

  Steps that a resumed run computes again replace the lines they had, so the
  file reads like that of an unbroken run.
  """

  def __init__(self, path: Path, start_step: int):
    """Opens the file and forgets lines of steps after `start_step`."""
    kept = []
    if path.exists():
      for line in path.read_text().splitlines():
        try:
          if json.loads(line)["step"] <= start_step:
            kept.append(line + "\n")
        except ValueError:
          # The line being written when the process was killed.
          continue
    with replacing(path) as temporary:
      temporary.write_text("".join(kept))
    self._file = path.open("a")

  def write(self, step: int, metrics: dict[str, Any]) -> None:
    """Writes a line at once, so that another program can follow the run."""
    values = {key: round(float(value), 6) for key, value in metrics.items()}
    self._file.write(json.dumps({"step": step, **values}) + "\n")
    self._file.flush()

  def close(self) -> None:
    self._file.close()
