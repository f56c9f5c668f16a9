"""What the network sees of a crop: the one transform of all commands."""

import jax
import jax.numpy as jnp
import numpy as np

# Where the masked lower face begins, in shares of the crop's side: below the
# nose. All below is hidden, for cheeks, neck and collar move with the jaw, and
# a network that sees them reads the old mouth there instead of listening.
LOWER_FACE_TOP = 0.17
# The rim that even the fully masked copy keeps, in pixels of a 328 crop:
# the 4 of the border and 5 more.
_RIM = 9 / 328
# Rows over which the answer changes from filmed to drawn.
_FADE = 8 / 328


def lower_face_top(crop_size: int) -> int:
  """The first masked row."""
  return round(LOWER_FACE_TOP * crop_size)


def visibility(crop_size: int) -> np.ndarray:
  """Which pixels the two copies keep.

  Args:
    crop_size: side of the crop in pixels.

  Returns:
    [S, S, 2] float32, 1 where the pixel is kept: of the copy with the lower
    face masked, and of the copy with only a rim left.
  """
  rim = round(_RIM * crop_size)
  keep = np.ones((crop_size, crop_size, 2), np.float32)
  keep[lower_face_top(crop_size) :, :, 0] = 0
  keep[rim:-rim, rim:-rim, 1] = 0
  return keep


def kept_share(crop_size: int) -> np.ndarray:
  """How much of each row of the answer is as it was filmed.

  What is visible need not be drawn: it stays, and fades into what is drawn
  within the visible part, so that there is no edge.

  Args:
    crop_size: side of the crop in pixels.

  Returns:
    [S, 1, 1] float32: 0 in masked rows, rising upwards as a smoothstep to 1
    within `_FADE` of the side.
  """
  above = np.maximum(lower_face_top(crop_size) - np.arange(crop_size), 0)
  ramp = np.clip(above / (_FADE * crop_size), 0.0, 1.0)
  smooth = ramp * ramp * (3 - 2 * ramp)
  return smooth.astype(np.float32)[:, None, None]


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
