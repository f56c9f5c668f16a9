"""Poses put the lips in order, and map the portrait without folds."""

import itertools

import numpy as np
import pytest

from input_pipeline.demo_portrait import FACE_HEIGHT
from input_pipeline.face_pose import (
  HeadPose,
  MouthPose,
  mouth_points,
  portrait_columns,
  posed_lips,
)
from input_pipeline.visemes import VISEMES

COLUMNS = np.arange(132, 380, dtype=np.float32)
HEAD = HeadPose(shift=(4.0, -2.0), roll=0.03, scale=1.01)
_EXTREMES = [
  [min(values), max(values)]
  for values in zip(
    *((v.opening, v.width, v.rounding) for v in VISEMES.values()), strict=True
  )
]
POSES = [MouthPose(*values) for values in itertools.product(*_EXTREMES)]


@pytest.mark.parametrize("mouth", POSES)
def test_contours_keep_their_order_and_columns_do_not_fold(mouth):
  source = portrait_columns(COLUMNS, mouth.width)
  assert np.diff(source).min() > 0.3
  lips = posed_lips(source, mouth)
  assert (lips.upper_inner - lips.upper_outer).min() > 1.0
  assert (lips.lower_inner - lips.upper_inner).min() >= 0.0
  assert (lips.lower_outer - lips.lower_inner).min() > 1.0


@pytest.mark.parametrize("mouth", POSES)
def test_points_have_the_distances_of_the_pose(mouth):
  upper, lower, left, right = mouth_points(mouth, HEAD)
  size = FACE_HEIGHT * HEAD.scale
  assert np.linalg.norm(lower - upper) == pytest.approx(
    mouth.opening * size, abs=1e-3
  )
  assert np.linalg.norm(right - left) == pytest.approx(mouth.width * size)


def test_the_head_turns_clockwise_and_shifts_right_and_down():
  still = mouth_points(POSES[0], HeadPose())
  moved = mouth_points(POSES[0], HeadPose(shift=(3.0, 1.0)))
  np.testing.assert_allclose(moved - still, [[3.0, 1.0]] * 4)
  turned = mouth_points(POSES[0], HeadPose(roll=0.05))
  # The mouth lies above the neck: clockwise moves it to the right, and its
  # right corner further down than its left one.
  assert (turned[:, 0] > still[:, 0]).all()
  assert turned[3, 1] - turned[2, 1] > 3.0
