"""What is held out is neither seen nor heard in training."""

import numpy as np
import pytest

from input_pipeline import splits
from input_pipeline.errors import InputError
from synctalk_jax.audio.features import audio_spec
from synctalk_jax.audio.windows import frame_window


@pytest.mark.parametrize("fps", [25, 20])
def test_no_training_window_reaches_the_held_out_sound(fps):
  spec = audio_spec("ave", fps)
  num_frames = 40 * fps
  train_end, eval_start = splits.split_frames(
    num_frames, fps, 10, splits.audio_reach(spec)
  )
  rows = np.arange(40 * 80)[:, None]
  last = frame_window(rows, train_end - 1, num_frames, spec)[0].max()
  assert (last + 1) / 80 <= eval_start / fps
  # One frame more would reach it, or some other frame of the second would.
  reaches = [
    frame_window(rows, frame, num_frames, spec)[0].max() + 1
    > (frame + splits.audio_reach(spec)) * 80 / fps
    for frame in range(100, 100 + fps)
  ]
  assert any(reaches)


@pytest.mark.parametrize(
  ("seconds", "holdout", "expected"),
  [
    (60, None, (1340, 1350)),
    (600, None, (14_240, 14_250)),
    (60, 12.0, (1190, 1200)),
    (60, 0.0, (1500, 1500)),
  ],
)
def test_held_out_tail(seconds, holdout, expected):
  assert splits.split_frames(25 * seconds, 25, holdout, 10) == expected


@pytest.mark.parametrize("holdout", [5.7, 6.0, 100.0])
def test_nothing_left_to_train_on_is_refused(holdout):
  with pytest.raises(InputError, match="smaller --holdout"):
    splits.split_frames(150, 25, holdout, 10)
