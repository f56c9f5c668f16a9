"""The head moves little and smoothly; the eyes blink now and then."""

import numpy as np

from input_pipeline.head_motion import blink_curve, head_path


def _columns(path):
  return np.array([(*pose.shift, pose.roll, pose.scale) for pose in path])


def test_the_head_stays_near_and_moves_smoothly():
  path = _columns(head_path(1500, 25, np.random.default_rng(0)))
  assert np.abs(path[:, :2]).max() < 4.0
  assert np.abs(np.rad2deg(path[:, 2])).max() < 1.3
  assert np.abs(path[:, 3] - 1).max() < 0.0081
  # Visible, yet under half a pixel from one frame to the next.
  assert np.ptp(path[:, 0]) > 2.0
  assert np.abs(np.diff(path[:, :2], axis=0)).max() < 0.5


def test_a_seed_gives_one_path():
  first, second = (
    _columns(head_path(50, 25, np.random.default_rng(seed))) for seed in (3, 3)
  )
  np.testing.assert_array_equal(first, second)


def test_blinks_are_whole_and_a_few_seconds_apart():
  curve = blink_curve(1500, 25, np.random.default_rng(0))
  shut = np.flatnonzero(curve == 1.0)
  assert 60 / 5.0 - 1 <= len(shut) <= 60 / 2.2 + 1
  assert np.diff(shut).min() >= 2.2 * 25 - 1
  assert np.diff(shut).max() <= 5.0 * 25 + 1
  assert (curve == 0).mean() > 0.8


def test_a_clip_may_end_in_a_blink():
  assert len(blink_curve(27, 25, np.random.default_rng(0))) == 27
