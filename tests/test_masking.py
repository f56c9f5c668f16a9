"""What the network can see of a crop, and what it cannot."""

import jax
import numpy as np
import pytest

from synctalk_jax.masking import (
  kept_share,
  lower_face_top,
  network_input,
  visibility,
)


def _crops(size, seed=0):
  rng = np.random.default_rng(seed)
  return rng.integers(1, 256, (2, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize(("size", "rim"), [(328, 9), (168, 5), (88, 2)])
def test_masked_rectangles(size, rim):
  crop = _crops(size)
  seen = np.asarray(network_input(crop))
  assert (seen.shape, seen.dtype) == ((2, size, size, 6), np.float32)
  filmed = crop.astype(np.float64) / 255
  hidden = np.zeros((2, size, size), bool)
  hidden[0, lower_face_top(size) :] = True
  hidden[1, rim:-rim, rim:-rim] = True
  for channels, inside in zip(
    (seen[..., :3], seen[..., 3:]), hidden, strict=True
  ):
    assert not channels[:, inside].any()
    np.testing.assert_allclose(
      channels[:, ~inside], filmed[:, ~inside], rtol=1e-6
    )
    assert (channels[:, ~inside] > 0).all()


@pytest.mark.parametrize("size", [328, 168, 88])
def test_the_lower_face_cannot_influence_the_network(size):
  """Whatever is filmed there, the input is the same to the bit."""
  transform = jax.jit(network_input)
  crop, other = _crops(size), _crops(size)
  top, rim = lower_face_top(size), round(9 * size / 328)
  inside = (slice(None), slice(top, -rim), slice(rim, -rim))
  other[inside] = _crops(size, seed=1)[inside]
  assert (crop != other).any()
  np.testing.assert_array_equal(transform(crop), transform(other))
  other[:, top - 1, rim] ^= 255
  assert (transform(crop) != transform(other)).any()


def test_jit_and_eager_mask_alike():
  crop = _crops(88)
  np.testing.assert_allclose(
    jax.jit(network_input)(crop), network_input(crop), rtol=1e-6
  )


def test_nothing_that_moves_with_the_jaw_is_seen():
  """Mesh points in crops of six filmed people, in shares of the side."""
  extremes = {
    "chin": (0.349, 0.609, 0.642, 0.761),
    "lips": (0.177, 0.252, 0.788, 0.590),
    "jaw corners": (0.064, 0.325, 0.971, 0.584),
  }
  keep = visibility(328)[..., 0]
  for left, top, right, bottom in extremes.values():
    rows = slice(round(328 * top), round(328 * bottom))
    assert not keep[rows, round(328 * left) : round(328 * right)].any()
  # The nose tip, which does not move, tells where the head is.
  assert keep[round(328 * 0.09), 164] == 1


@pytest.mark.parametrize("size", [328, 168, 88])
def test_the_answer_keeps_what_is_seen_and_draws_what_is_not(size):
  kept = kept_share(size)
  assert (kept.shape, kept.dtype) == ((size, 1, 1), np.float32)
  top, fade = lower_face_top(size), -(-8 * size // 328)
  assert not kept[top:].any()
  assert (kept[: top - fade] == 1).all()
  # No edge: the share falls row by row between the two.
  assert (np.diff(kept[top - fade : top, 0, 0]) < 0).all()
  assert 0 < kept[top - 1, 0, 0] < 0.5
