"""The picture shows the pose: edges, regions and closed lips."""

import numpy as np
import pytest

pytest.importorskip("skimage")

from input_pipeline.demo_portrait import load_portrait
from input_pipeline.face_pose import HeadPose, MouthPose, mouth_points
from input_pipeline.face_warp import TalkingFace

REST = MouthPose(opening=0.0, width=0.335, rounding=0.0)
HEAD = HeadPose()


@pytest.fixture(scope="module")
def face():
  return TalkingFace()


def _profile(picture, point, reach=5):
  """Mean brightness of the rows around a point, over five columns."""
  x, y = np.round(point).astype(int)
  part = picture[y - reach : y + reach + 1, x - 2 : x + 3]
  return part.astype(float).mean((1, 2)), y - reach


@pytest.mark.parametrize("opening", [0.05, 0.075, 0.1])
@pytest.mark.parametrize(
  "head", [HEAD, HeadPose(shift=(-4.0, 2.5), roll=-0.02, scale=1.008)]
)
def test_the_lower_lip_begins_where_the_pose_puts_it(face, opening, head):
  mouth = MouthPose(opening, 0.335, 0.0)
  picture = face.render(mouth, head, 0.0)
  lower = mouth_points(mouth, head)[1]
  rows, first = _profile(picture, lower)
  edge = first + np.argmax(np.diff(rows)) + 0.5
  assert abs(edge - lower[1]) < 1.6


@pytest.mark.parametrize("width", [0.26, 0.3, 0.36])
def test_closed_lips_meet_in_one_line_between_the_corners(face, width):
  mouth = MouthPose(0.0, width, 0.0)
  picture = face.render(mouth, HEAD, 0.0).astype(float).mean(-1)
  upper, lower, _, right = mouth_points(mouth, HEAD)
  np.testing.assert_array_equal(upper, lower)
  rows, first = _profile(picture[..., None], upper)
  assert abs(first + np.argmin(rows) - upper[1]) <= 1
  # The smile's teeth, nearly white, have been there.
  reach = int(0.6 * (right[0] - upper[0]))
  line = np.s_[308:319, 256 - reach : 256 + reach]
  assert load_portrait().astype(float).mean(-1)[line].max() > 240
  assert picture[line].max() < 225


def test_rest_differs_from_the_smile_only_round_the_mouth(face):
  difference = face.render(REST, HEAD, 0.0) != load_portrait()
  rows, columns = np.nonzero(difference.any(-1))
  assert rows.min() >= 258
  assert rows.max() < 482
  assert columns.min() >= 132
  assert columns.max() < 380


@pytest.mark.parametrize(
  "mouth",
  [MouthPose(0.104, 0.25, 1.0), MouthPose(0.104, 0.375, 0.0), REST],
)
def test_the_warp_fades_out_without_a_seam(face, mouth):
  """Where the picture begins to differ from the portrait, it does so gently."""
  still = load_portrait().astype(int)
  change = np.abs(face.render(mouth, HEAD, 0.0) - still).max(-1)
  for lines in (change, change.T):
    largest = lines.max(1)
    moved = np.flatnonzero(largest)
    assert largest[moved[[0, -1]]].max() <= 3


def test_the_chin_goes_down_with_the_opening(face):
  """The edge between the lit chin and the darker neck."""
  edges = []
  for opening in (0.0, 0.05, 0.1):
    picture = face.render(MouthPose(opening, 0.335, 0.0), HEAD, 0.0)
    brightness = picture[365:415, 250:262].astype(float).mean((1, 2))
    edges.append(np.argmin(np.diff(brightness[:40])))
  assert edges[0] + 5 < edges[1]
  assert edges[1] + 5 < edges[2]


def test_a_blink_hides_the_pupils_and_leaves_the_rest(face):
  wide, shut = (face.render(REST, HEAD, blink) for blink in (0.0, 1.0))
  rows, _ = np.nonzero((wide != shut).any(-1))
  assert rows.min() >= 190
  assert rows.max() < 232
  for x in (206, 305):
    pupil = np.s_[208:217, x - 4 : x + 5]
    assert wide[pupil].mean() < 90
    assert shut[pupil].mean() > 150


def test_the_head_moves_over_a_still_background(face):
  still = face.render(REST, HEAD, 0.0)
  moved = face.render(REST, HeadPose(shift=(4.0, 2.0)), 0.0)
  np.testing.assert_array_equal(
    moved[102:352, 154:364], still[100:350, 150:360]
  )
  np.testing.assert_array_equal(moved[:, -3:], still[:, -3:])
  np.testing.assert_array_equal(moved[-3:, :60], still[-3:, :60])
