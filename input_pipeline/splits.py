"""Which frames train and which are held out."""

from typing import Any

import numpy as np

from input_pipeline.errors import InputError
from synctalk_jax.audio.windows import frame_window

_DEFAULT_HOLDOUT_SHARE = 0.1
_MAX_DEFAULT_HOLDOUT_SECONDS = 30.0


def audio_reach(spec: dict[str, Any]) -> int:
  """How many frames ahead of its own a frame's audio window looks.

  Args:
    spec: from `synctalk_jax.audio.features.audio_spec`.

  Returns:
    The smallest n such that the window of frame f ends before frame
    f + n + 1 begins, for every f.
  """
  fps, rate = spec["fps"], spec["stream_rate"]
  first = fps * (spec["past"] + spec["future"])
  num_frames = 3 * first
  rows = np.arange(num_frames * rate // fps)[:, None]
  reach = 0
  # The alignment of stream rows and frames repeats after a second.
  for frame in range(first, first + fps):
    window, _ = frame_window(rows, frame, num_frames, spec)
    end_row = int(window.max()) + 1
    reach = max(reach, -(-end_row * fps // rate) - frame - 1)
  return reach


def split_frames(
  num_frames: int, fps: int, holdout_seconds: float | None, gap: int
) -> tuple[int, int]:
  """Holds out the end of a clip.

  Args:
    num_frames: of the clip.
    fps: frames per second.
    holdout_seconds: how much to hold out; None for a tenth of the clip, at
      most 30 seconds.
    gap: frames left out between the two parts.

  Returns:
    (train_end, eval_start): frames [0, train_end) train, frames
    [eval_start, num_frames) are held out.

  Raises:
    InputError: nothing is left to train on.
  """
  if holdout_seconds is None:
    holdout_seconds = min(
      _DEFAULT_HOLDOUT_SHARE * num_frames / fps, _MAX_DEFAULT_HOLDOUT_SECONDS
    )
  eval_start = num_frames - round(holdout_seconds * fps)
  train_end = eval_start - gap if eval_start < num_frames else num_frames
  if train_end <= 0:
    raise InputError(
      f"holding out {holdout_seconds:g} s of a clip of {num_frames / fps:g} s "
      f"leaves nothing to train on (a gap of {gap / fps:g} s lies between); "
      "give a smaller --holdout or a longer video"
    )
  return train_end, eval_start
