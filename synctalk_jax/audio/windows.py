"""The one window function: which audio a video frame sees.

Training, evaluation, rendering and export all take a frame's audio from
here. A window is a contiguous slice of the encoder's stream and, for each of
its feature rows, where in the slice the row starts: 16 overlapping rows of
16 mel frames travel as 64 mel frames and 16 integers.
"""

from typing import Any

import numpy as np


def window_shape(spec: dict[str, Any]) -> tuple[int, int, int]:
  """The constant sizes of a window.

  Args:
    spec: from `features.audio_spec`.

  Returns:
    (A, F, R): slice rows, stream width, feature rows.
  """
  num_rows = spec["past"] + spec["future"]
  # Ceiling division: how far the last row's start can lie from the first's.
  spread = -(-spec["stream_rate"] * (num_rows - 1) // spec["fps"])
  return spread + spec["row_length"], spec["stream_dim"], num_rows


def frame_window(
  stream: np.ndarray, frame: int, num_frames: int, spec: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
  """Takes the audio of one video frame.

  Feature rows before the first frame repeat the first row, rows after the
  last repeat the last; stream rows beyond the ends repeat likewise.

  Args:
    stream: [T, F] float32, from `features.extract`.
    frame: index of the video frame, in [0, num_frames).
    num_frames: how many frames the clip has: audio seconds x fps.
    spec: from `features.audio_spec`.

  Returns:
    The slice, [A, F] float32, and the rows' starts in it, [R] int32.
  """
  if not 0 <= frame < num_frames:
    raise ValueError(f"frame {frame} is not in [0, {num_frames})")
  length, _, _ = window_shape(spec)
  rows = np.arange(frame - spec["past"], frame + spec["future"])
  rows = np.clip(rows, 0, num_frames - 1)
  # Integer arithmetic: float rounding would move some rows by one.
  starts = rows * spec["stream_rate"] // spec["fps"] + spec["row_offset"]
  indices = np.clip(starts[0] + np.arange(length), 0, len(stream) - 1)
  return stream[indices], (starts - starts[0]).astype(np.int32)
