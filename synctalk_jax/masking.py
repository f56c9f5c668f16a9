"""What the network sees of a crop: the one transform of all commands."""

import jax
import jax.numpy as jnp
import numpy as np

# The masked rectangle of the lower face, in shares of the crop's side. From
# below the nose to below the chin of a wide open mouth; jaw, cheeks and
# lips all lie inside, or the network would read the mouth from the jaw.
LOWER_FACE_TOP = 0.17
LOWER_FACE_BOTTOM = 0.85
# The rim that even the fully masked copy keeps, in pixels of a 328 crop:
# the 4 of the border and 5 more.
_RIM = 9 / 328
# Over which the answer changes from filmed to drawn: what the rim leaves.
_FADE = 5 / 328


def lower_face_rows(crop_size: int) -> tuple[int, int]:
  """First masked row and first row below the mask."""
  return (
    round(LOWER_FACE_TOP * crop_size),
    round(LOWER_FACE_BOTTOM * crop_size),
  )


def visibility(crop_size: int) -> np.ndarray:
  """Which pixels the two copies keep.

  Args:
    crop_size: side of the crop in pixels.

  Returns:
    [S, S, 2] float32, 1 where the pixel is kept: of the copy with the lower
    face masked, and of the copy with only a rim left.
  """
  rim = round(_RIM * crop_size)
  top, bottom = lower_face_rows(crop_size)
  keep = np.ones((crop_size, crop_size, 2), np.float32)
  keep[top:bottom, rim:-rim, 0] = 0
  keep[rim:-rim, rim:-rim, 1] = 0
  return keep


def kept_share(crop_size: int) -> np.ndarray:
  """How much of each pixel of the answer is the filmed pixel.

  What is visible need not be drawn: it stays as it was filmed, and fades into
  what is drawn within the visible part, so that there is no edge.

  Args:
    crop_size: side of the crop in pixels.

  Returns:
    [S, S, 1] float32: 0 where the lower face is masked, rising as a
    smoothstep to 1 in `_FADE` pixels of a 328 crop.
  """
  hidden = visibility(crop_size)[..., 0] == 0
  rows, columns = hidden.any(axis=1), hidden.any(axis=0)
  distance = np.maximum(_distance(rows)[:, None], _distance(columns)[None, :])
  ramp = np.clip(distance / (_FADE * crop_size), 0.0, 1.0)
  return (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)[..., None]


def _distance(hidden: np.ndarray) -> np.ndarray:
  """Pixels from each position of a line to its hidden stretch, 0 inside."""
  inside = np.flatnonzero(hidden)
  position = np.arange(len(hidden))
  return np.maximum(np.maximum(inside[0] - position, position - inside[-1]), 0)


def network_input(crop: jax.Array) -> jax.Array:
  """Makes the six channels from a crop.

  Args:
    crop: [B, S, S, 3] uint8, RGB.

  Returns:
    [B, S, S, 6] float32 in [0, 1], masked pixels 0.
  """
  image = crop.astype(jnp.float32) / 255.0
  keep = jnp.asarray(visibility(crop.shape[1]))
  return jnp.concatenate([image * keep[..., :1], image * keep[..., 1:]], -1)
