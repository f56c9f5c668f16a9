"""The paste: exact outside, seamless at the rim, right inside."""

import numpy as np
import pytest

from input_pipeline.crops import crop_face
from synctalk_jax import compositing


def _frame(height=120, width=160):
  rng = np.random.default_rng(0)
  return rng.integers(0, 256, (height, width, 3)).astype(np.uint8)


def _smooth_frame(height=240, width=320):
  y, x = np.mgrid[:height, :width]
  return np.stack(
    [100 + 80 * np.sin(x / 25), 120 + 90 * np.cos(y / 30), 90 + x / 4], -1
  ).astype(np.uint8)


@pytest.mark.parametrize(
  "box",
  [(30.3, 20.8, 70.4), (100.0, 60.0, 90.0), (-20.5, -10.0, 60.0)],
  ids=["inside", "over the corner", "over the other corner"],
)
def test_pixels_outside_are_untouched(box):
  frame, box = _frame(), np.array(box)
  size = 80
  face = np.full((size, size, 3), 7, np.uint8)
  before = frame.copy()
  result = compositing.paste(frame, face, box, compositing.feather(size))
  np.testing.assert_array_equal(frame, before)
  # The face's own square, in continuous frame coordinates.
  scale = box[2] / (size + 8)
  low, high = box[:2] + 4 * scale, box[:2] + (4 + size) * scale
  y, x = np.mgrid[:120, :160] + 0.5
  outside = (x < low[0]) | (x > high[0]) | (y < low[1]) | (y > high[1])
  np.testing.assert_array_equal(result[outside], frame[outside])
  assert np.any(result != frame)


def test_a_face_beyond_the_frame_changes_nothing():
  frame = _frame()
  face = np.zeros((80, 80, 3), np.uint8)
  box = np.array([500.0, 10.0, 60.0])
  result = compositing.paste(frame, face, box, compositing.feather(80))
  np.testing.assert_array_equal(result, frame)


@pytest.mark.parametrize("side", [60.0, 168.0, 215.7])
def test_the_true_face_pasted_back_changes_little(side):
  frame = _smooth_frame()
  box = np.array([31.4, 12.7, side])
  crop = crop_face(frame, box, 168)
  result = compositing.paste(
    frame, crop[4:-4, 4:-4], box, compositing.feather(160)
  )
  difference = np.abs(result.astype(int) - frame)
  assert difference.max() <= 4
  assert difference.mean() < 0.3


def test_the_middle_shows_the_face_and_the_rim_the_frame():
  alpha = compositing.feather(320)
  assert alpha[160, 160] == 1.0
  assert np.all(alpha[16:-16, 16:-16] == 1.0)
  for edge in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
    np.testing.assert_array_equal(edge, 0.0)
  ramp = alpha[:17, 160]
  assert np.all(np.diff(ramp) > 0)
  # A smoothstep: half way up in the middle.
  assert ramp[8] == pytest.approx(0.5)


def test_no_step_at_the_seam():
  """A face six levels too bright fades in instead of starting at an edge."""
  frame = np.full((240, 320, 3), 100, np.uint8)
  face = np.full((160, 160, 3), 106, np.uint8)
  box = np.array([60.0, 30.0, 168.0])
  result = compositing.paste(frame, face, box, compositing.feather(160))
  assert result.max() == 106
  steps = np.abs(np.diff(result[..., 0].astype(int), axis=1))
  assert steps.max() <= 2
