"""Losses and the mouth's rectangle, in numpy and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synctalk_jax import mouth
from synctalk_jax.losses import pixel_loss, target_of

_BORDER = 4


def _landmarks(*corners):
  """Faces whose lips span (left, top, right, bottom); all else far away."""
  points = np.full((len(corners), 478, 2), 1_000.0, np.float32)
  for face, (left, top, right, bottom) in zip(points, corners, strict=True):
    face[mouth.OUTER_LIPS] = ((left + right) / 2, (top + bottom) / 2)
    face[61], face[291] = (
      (left, (top + bottom) / 2),
      (right, (top + bottom) / 2),
    )
    face[0, 1], face[17, 1] = top, bottom
  return points


def _rectangle(size, left, top, right, bottom):
  """Pixels whose centres lie in the lips' box and a quarter of its width."""
  margin = (right - left) / 4
  centres = np.arange(size) + 0.5
  rows = (centres >= top - margin) & (centres <= bottom + margin)
  columns = (centres >= left - margin) & (centres <= right + margin)
  return np.outer(rows, columns).astype(np.float64)


def test_mouth_mask_is_the_lips_and_a_quarter_of_their_width():
  boxes = [(20, 30, 40, 38), (-3, 2, 9, 5), (50.4, 60.2, 70.9, 63.0)]
  masks = np.asarray(mouth.mouth_mask(_landmarks(*boxes), 64))
  assert (masks.shape, masks.dtype) == ((3, 64, 64), np.float32)
  for mask, box in zip(masks, boxes, strict=True):
    np.testing.assert_array_equal(mask, _rectangle(64, *box))
  # By hand: 15 to 45 across, 25 to 43 down.
  rows, columns = (
    np.flatnonzero(masks[0].any(1)),
    np.flatnonzero(masks[0].any(0)),
  )
  assert (rows[0], rows[-1], columns[0], columns[-1]) == (25, 42, 15, 44)


def test_outer_lips_are_a_closed_ring_of_the_mesh():
  """The outline that MediaPipe draws, lower lip first."""
  assert len(set(mouth.OUTER_LIPS.tolist())) == 20
  assert {61, 291, 0, 17} <= set(mouth.OUTER_LIPS.tolist())
  # Inner lips, chin and nose tip are no part of it.
  assert not {13, 14, 78, 308, 152, 1} & set(mouth.OUTER_LIPS.tolist())


def test_target_is_the_inner_part():
  crop = np.random.default_rng(0).integers(0, 256, (2, 24, 24, 3), np.uint8)
  target = np.asarray(target_of(crop))
  assert (target.shape, target.dtype) == ((2, 16, 16, 3), np.float32)
  np.testing.assert_array_equal(
    target, crop[:, 4:20, 4:20].astype(np.float32) / np.float32(255)
  )


@pytest.mark.parametrize("kind", ["l1", "l2"])
@pytest.mark.parametrize("mouth_weight", [0.0, 4.0])
def test_pixel_loss_against_numpy(kind, mouth_weight):
  rng = np.random.default_rng(0)
  prediction, target = rng.uniform(0, 1, (2, 2, 40, 40, 3)).astype(np.float32)
  boxes = [(18, 20, 30, 26), (10, 30, 26, 35)]
  loss, parts = jax.jit(pixel_loss, static_argnames=("kind", "mouth_weight"))(
    prediction,
    target,
    _landmarks(*boxes),
    kind=kind,
    mouth_weight=mouth_weight,
  )
  power = {"l1": 1, "l2": 2}[kind]
  difference = np.abs(prediction.astype(np.float64) - target) ** power
  difference = difference.mean(-1)
  # Landmarks count from the crop's edge, pictures from the border's.
  mask = np.stack(
    [_rectangle(40, *(value - _BORDER for value in box)) for box in boxes]
  )
  weight = 1 + mouth_weight * mask
  np.testing.assert_allclose(
    loss, (difference * weight).sum() / weight.sum(), rtol=1e-5
  )
  np.testing.assert_allclose(parts["pixel"], difference.mean(), rtol=1e-5)
  np.testing.assert_allclose(
    parts["mouth"], difference[mask > 0].mean(), rtol=1e-5
  )


def test_a_mouth_pixel_weighs_as_often_as_asked():
  """One pixel off by 0.3, inside or outside: 5 to 1 with a weight of 4."""

  def loss(row, column):
    target = np.zeros((1, 40, 40, 3), np.float32)
    prediction = target.copy()
    prediction[0, row, column] = 0.3
    return pixel_loss(
      prediction,
      target,
      _landmarks((18, 20, 30, 26)),
      kind="l1",
      mouth_weight=4.0,
    )[0]

  assert float(loss(19, 20) / loss(5, 5)) == pytest.approx(5.0)


def test_a_mouth_outside_the_crop_costs_nothing():
  picture = np.full((1, 40, 40, 3), 0.5, np.float32)
  loss, parts = pixel_loss(
    picture,
    picture * 0,
    _landmarks((200, 200, 220, 210)),
    kind="l1",
    mouth_weight=4.0,
  )
  assert float(loss) == pytest.approx(0.5)
  assert float(parts["mouth"]) == 0.0


def test_half_precision_is_compared_in_float32():
  target = np.full((1, 16, 16, 3), 1 / 3, np.float32)
  prediction = jnp.full((1, 16, 16, 3), 0.5, jnp.bfloat16)
  loss, parts = pixel_loss(
    prediction, target, _landmarks((8, 8, 14, 12)), kind="l1", mouth_weight=4.0
  )
  assert {loss.dtype, parts["mouth"].dtype} == {jnp.dtype("float32")}
  np.testing.assert_allclose(loss, 1 / 6, rtol=1e-5)


def test_opening_is_relative_to_the_face_and_ignores_the_chin():
  points = np.zeros((478, 2))
  points[10] = (50, 10)
  points[61], points[291] = (40, 90), (60, 90)
  points[13], points[14] = (50, 88), (50, 104)
  assert mouth.opening(points) == pytest.approx(16 / 80)
  turned = points @ np.array([[0.6, -0.8], [0.8, 0.6]]) * 2.5 + 7
  turned[152] = (999, 999)
  both = mouth.opening(np.stack([points, turned]))
  np.testing.assert_allclose(both, [0.2, 0.2])
